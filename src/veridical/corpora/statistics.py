"""stats: what a corpus holds: the diversity matrix, durations, sound, faces, speech, per generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from veridical.artefacts import Manifest
from veridical.corpora.proof import generators
from veridical.errors import UsageError


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a manifest, and the clips made from it, hold."""

    totals: dict[str, float | int | None]
    """Figure → value; None where it is not known (not probed, not prepared)."""
    matrix: pd.DataFrame
    """Videos per generator (rows, real first) and compression (columns)."""
    generators: pd.DataFrame
    """A row per generator: videos, people, seconds (quartiles), share with sound, clips, face size, speech share."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        table = self.generators.astype(object).where(self.generators.notna(), None)
        matrix = {str(name): {str(k): int(v) for k, v in row.items()} for name, row in self.matrix.iterrows()}
        return {"totals": self.totals, "matrix": matrix, "generators": table.to_dict(orient="records")}


def statistics(manifest: Manifest, clips: pd.DataFrame | None = None, *, frames_per_clip: int = 5) -> Statistics:
    """Return what a manifest holds.

    Args:
        manifest: The videos.
        clips: The index of a clip store (a row per clip with video_id, and optionally speech_share and
            mean_box_size_px), or None.
        frames_per_clip: Pictures in a clip of that store.

    Raises:
        UsageError: when the manifest is empty.
    """
    if len(manifest) == 0:
        raise UsageError("the manifest holds no videos: no statistics")
    videos = manifest.frame(["video_id", "label", "compression", "identities", "has_audio", "duration_s", "fps"])
    videos["generator"] = np.asarray(generators(manifest), dtype=object)
    videos["compression"] = videos["compression"].astype(object).where(videos["compression"].notna(), "unknown")
    videos["frames"] = videos["duration_s"] * videos["fps"]
    videos = _with_clips(videos, clips)
    matrix = pd.crosstab(videos["generator"], videos["compression"])
    order = sorted(matrix.index, key=lambda name: (name != "real", name))
    rows = [_summary(name, videos[videos["generator"] == name]) for name in order]
    return Statistics(_totals(videos, clips, frames_per_clip), matrix.loc[order], pd.DataFrame(rows))


def _with_clips(videos: pd.DataFrame, clips: pd.DataFrame | None) -> pd.DataFrame:
    if clips is None:
        return videos.assign(clips=np.nan, speech_share=np.nan, face_px=np.nan)
    grouped = clips.groupby("video_id", sort=False)
    known = pd.DataFrame({"clips": grouped.size().astype(float)})
    for name, column in (("speech_share", "speech_share"), ("face_px", "mean_box_size_px")):
        known[name] = grouped[column].mean() if column in clips else np.nan
    joined = videos.join(known, on="video_id")
    joined["clips"] = joined["clips"].fillna(0)
    return joined


def _summary(name: str, videos: pd.DataFrame) -> dict[str, Any]:
    """Return the row of one generator; figures that nothing is known of are NaN."""
    sound = videos["has_audio"].dropna().astype(float)
    people = {person for names in videos["identities"] if names is not None for person in names}
    quartiles = videos["duration_s"].quantile([0.25, 0.5, 0.75])
    return {
        "generator": name,
        "videos": len(videos),
        "people": len(people),
        "duration_25": quartiles.iloc[0],
        "duration_50": quartiles.iloc[1],
        "duration_75": quartiles.iloc[2],
        "sound_share": sound.mean() if len(sound) else np.nan,
        "prepared_share": (videos["clips"] > 0).mean() if videos["clips"].notna().any() else np.nan,
        "clips": videos["clips"].sum() if videos["clips"].notna().any() else np.nan,
        "face_px": videos["face_px"].mean(),
        "speech_share": videos["speech_share"].mean(),
    }


def _totals(videos: pd.DataFrame, clips: pd.DataFrame | None, frames_per_clip: int) -> dict[str, float | int | None]:
    real, fake = int((videos["label"] == 0).sum()), int((videos["label"] == 1).sum())
    sound = videos["has_audio"].dropna()
    probed = videos["duration_s"].notna()
    return {
        "videos": len(videos),
        "real": real,
        "fake": fake,
        "unlabelled": len(videos) - real - fake,
        "fakes_per_real": round(fake / real, 4) if real else None,
        "probed": int(probed.sum()),
        "hours": round(float(videos["duration_s"].sum()) / 3600, 4) if probed.any() else None,
        "frames": int(videos["frames"].sum()) if videos["frames"].notna().any() else None,
        "with_sound": int(sound.astype(bool).sum()) if len(sound) else None,
        "without_sound": int((~sound.astype(bool)).sum()) if len(sound) else None,
        "sound_unknown": int(videos["has_audio"].isna().sum()),
        "clips": None if clips is None else len(clips),
        "clip_frames": None if clips is None else len(clips) * frames_per_clip,
    }
