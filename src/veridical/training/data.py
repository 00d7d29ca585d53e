"""Training data: the clips of a store joined with the labels and splits of a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from veridical.artefacts import Manifest, fingerprint
from veridical.clips import ClipStore, join_stores, label_clips
from veridical.errors import UsageError
from veridical.inputs import InputSettings, check_fit
from veridical.settings import Settings
from veridical.training.objectives import OBJECTIVES, ObjectiveName
from veridical.training.targets import modalities_labelled

_MANIFEST_COLUMNS = ("dataset", "split", "generator", "group", "attributes")

_LEARNED_FROM = pa.schema(
    [(name, pa.string()) for name in ("video_id", "split", "generator", "origin", "digest")]
    + [("start_s", pa.float64())]
    + [(name, pa.int8()) for name in ("label", "visual_label", "audio_label")]
)


class DataSettings(Settings):
    """The clips to learn from."""

    store: Path | None = None
    """The clip store that `veridical prepare` wrote."""
    more_stores: tuple[Path, ...] = ()
    """Further stores, prepared alike (another corpus, another compression); no video may be in two of them."""
    manifest: Path | None = None
    """Labels and splits; by default the copy inside the store."""
    accept_leaks: tuple[str, ...] = ()
    """What is known and accepted: properties that separate the classes, what splits share (see `veridical audit`), and
    held-out corpora (celebdf)."""
    clips_per_video: int | None = Field(None, ge=1)
    """Use at most this many windows of each training video, evenly spread; None uses all."""


@dataclass(frozen=True)
class TrainingData:
    """A store with the labels, splits and further facts of its clips.

    `clips` has a row per clip: row, video_id, start_s, usable_audio, modalities_labelled, dataset, split, generator, group, the
    labels, and origin (video_id of the real video that a fake was made from, where known).
    """

    store: ClipStore
    manifest: Manifest
    clips: pd.DataFrame

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the clips, their content, labels, generators and splits; not with where they lie."""
        digests = self.store.ledger().set_index("video_id")["digest"]
        facts = self.clips.assign(digest=self.clips["video_id"].map(digests))[_LEARNED_FROM.names]
        return fingerprint(pa.Table.from_pandas(facts, schema=_LEARNED_FROM, preserve_index=False))

    def for_objective(self, name: ObjectiveName, split: str, uses_audio: bool = True) -> pd.DataFrame:
        """Return the clips of a split that an objective can use, with a column `target` (0 or 1).

        Args:
            name: The objective; it decides which label is the target and which clips are usable.
            split: Name of the split.
            uses_audio: Whether the model has an audio encoder.

        Raises:
            UsageError: when there are none, or all are of one class.
        """
        objective = OBJECTIVES[name]
        clips = objective.usable(self.clips[self.clips["split"] == split], uses_audio)
        clips = clips[clips[objective.label].notna()]
        counts = clips.groupby("video_id")[objective.label].max().value_counts()
        num_real, num_fake = int(counts.get(0, 0)), int(counts.get(1, 0))
        if not num_real or not num_fake:
            audible = " with usable audio" if objective.modality == "audio" else ""
            raise UsageError(
                f"the {name} objective needs real and fake videos{audible} by {objective.label} in split {split!r}, found "
                f"{num_real} real and {num_fake} fake; add such videos, split anew, or leave the stage out of the recipe"
            )
        return clips.assign(target=clips[objective.label].astype(int)).reset_index(drop=True)


def load_data(settings: DataSettings, inputs: InputSettings) -> TrainingData:
    """Open the store, check that it was prepared as the model needs it, and join labels and splits.

    Raises:
        UsageError: when no store is named, it was prepared differently, or no clip belongs to a split.
    """
    if settings.store is None:
        raise UsageError("data.store is not set: name the clip store to train on, for example --set data.store=store")
    store = join_stores([settings.store, *settings.more_stores])
    if not len(store):
        raise UsageError(f"{settings.store}: holds no clips; see its ledger ({_commonest_reason(store)})")
    check_fit(store, inputs)
    manifest = Manifest.read(settings.manifest) if settings.manifest else store.manifest()
    clips = join_labels(store, manifest, inputs)
    if not len(clips):
        raise UsageError(
            f"{settings.store}: holds none of the videos of {settings.manifest or 'its manifest'}; "
            "was it made from another manifest?"
        )
    if settings.clips_per_video is not None:
        clips = _evenly(clips, settings.clips_per_video)
    if not clips["split"].notna().any():
        raise UsageError(
            f"{settings.store}: no clip belongs to a split; run `veridical split` and name its manifest in data.manifest"
        )
    return TrainingData(store, manifest, clips)


def _commonest_reason(store: ClipStore) -> str:
    reasons = store.ledger()["reason"].value_counts()
    return f"{reasons.iloc[0]} videos: {reasons.index[0]}" if len(reasons) else "no video was prepared yet"


def join_labels(store: ClipStore, manifest: Manifest, inputs: InputSettings) -> pd.DataFrame:
    """Return a row per clip of the store that the manifest knows, in store order."""
    clips = label_clips(store.index(), manifest, store.settings.window_s, _MANIFEST_COLUMNS)
    clips["origin"] = [(attributes or {}).get("original") for attributes in clips.pop("attributes")]
    loud = clips["loudness_dbfs"].fillna(-np.inf) >= inputs.min_loudness_dbfs
    clips["usable_audio"] = (
        clips["has_audio"].astype(bool) & loud & (clips["speech_share"].fillna(0) >= inputs.min_speech_share)
    )
    clips["modalities_labelled"] = modalities_labelled(clips)
    return clips


def _evenly(clips: pd.DataFrame, count: int) -> pd.DataFrame:
    """Keep `count` clips of each training video, evenly spread in time; other splits keep all."""
    position = clips.groupby("video_id").cumcount()
    size = clips.groupby("video_id")["row"].transform("size")
    slot = (position * count) // size
    previous = ((position - 1) * count) // size
    keep = (clips["split"] != "train") | (size <= count) | (slot != previous) | (position == 0)
    return clips[keep].reset_index(drop=True)
