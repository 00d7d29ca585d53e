"""Labels of clips: a partial fake is forged only where its segments say so.

A window of a partial fake is labelled by how much of it a forged segment of that modality covers: enough, 1; nothing, 0;
a little, unknown. So a detector neither learns the genuine seconds of a partial fake as fake, nor is scored on windows that
cannot be labelled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from veridical.artefacts import LABELS, Manifest

MIN_OVERLAP_S = 0.2
"""A window that holds this much of a forged segment is forged: one frame at five a second."""


def label_clips(
    index: pd.DataFrame, manifest: Manifest, window_s: float, columns: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Label the clips of a store from a manifest.

    Args:
        index: A row per clip, as `ClipStore.index` gives it: row, video_id, start_s, …
        manifest: Labels, segments and facts of the videos.
        window_s: Length of a clip in seconds.
        columns: Further manifest columns that are wanted.

    Returns:
        The clips whose video the manifest knows, in store order, with `columns`, the three labels of the clip (Int8, null
        unknown) and `video_label`, the label of the whole video.
    """
    facts = manifest.frame(["video_id", *LABELS, "fake_segments", *columns])
    facts["video_label"] = facts["label"]
    segments = facts.pop("fake_segments")
    partial = segments.map(lambda forged: forged is not None and len(forged) > 0) & (facts["label"] == 1).fillna(False)
    clips = index.merge(facts, on="video_id", how="inner", validate="many_to_one").sort_values("row")
    clips = clips.reset_index(drop=True)
    if partial.any():
        _relabel(clips, _united(_exploded(facts["video_id"][partial], segments[partial])), window_s)
    return clips


def _exploded(video_ids: pd.Series, segments: pd.Series) -> pd.DataFrame:
    rows = [
        (video_id, segment["start_s"], segment["end_s"], segment["modality"])
        for video_id, forged in zip(video_ids, segments, strict=True)
        for segment in forged
    ]
    return pd.DataFrame(rows, columns=["video_id", "from_s", "to_s", "modality"])


def _united(segments: pd.DataFrame) -> pd.DataFrame:
    """Return the segments of each video and modality with those that overlap made one, so that no stretch counts twice."""
    keys = ["video_id", "modality"]
    segments = segments.sort_values([*keys, "from_s"], ignore_index=True)
    reached_s = segments.assign(to_s=segments.groupby(keys)["to_s"].cummax()).groupby(keys)["to_s"].shift()
    piece = (~(segments["from_s"] <= reached_s)).cumsum()
    return segments.groupby(piece).agg({**dict.fromkeys([*keys, "from_s"], "first"), "to_s": "max"})


def _relabel(clips: pd.DataFrame, segments: pd.DataFrame, window_s: float) -> None:
    """Write the labels of the clips of partial fakes in place."""
    chosen = clips.index[clips["video_id"].isin(segments["video_id"])]
    forged = np.zeros(len(chosen))
    for column, modality in (("visual_label", "visual"), ("audio_label", "audio")):
        own = segments[segments["modality"] == modality]
        labels = _forged(clips.loc[chosen], own, window_s)
        whole = ~clips.loc[chosen, "video_id"].isin(own["video_id"]) & (clips.loc[chosen, column] == 1).fillna(False)
        labels[whole.to_numpy(dtype=bool)] = 1
        forged = _either(forged, labels)
        known = (clips.loc[chosen, column] == 1).fillna(False).to_numpy(dtype=bool)
        clips.loc[chosen[known], column] = pd.Series(labels[known], index=chosen[known]).astype("Int8")
    clips.loc[chosen, "label"] = pd.Series(forged, index=chosen).astype("Int8")


def _forged(clips: pd.DataFrame, segments: pd.DataFrame, window_s: float) -> np.ndarray:
    """Return 1 (forged), 0 (genuine) or NaN (too little of it to say) for each clip."""
    met = clips[["row", "video_id", "start_s"]].merge(segments, on="video_id")
    ends_s = (met["start_s"] + window_s).clip(upper=met["to_s"])
    met["overlap_s"] = (ends_s - met["start_s"].clip(lower=met["from_s"])).clip(lower=0)
    total_s = met.groupby("row")["overlap_s"].sum().reindex(clips["row"], fill_value=0.0).to_numpy()
    return np.where(total_s >= MIN_OVERLAP_S - 1e-6, 1.0, np.where(total_s > 1e-6, np.nan, 0.0))


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return 1 where one of them is 1, else NaN where one of them is NaN, else 0."""
    return np.where((first == 1) | (second == 1), 1.0, first + second)
