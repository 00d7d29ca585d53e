"""From a clip store to a score table, by any detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from veridical import progress
from veridical.artefacts import LABELS, LEARNED, SELECTED, Manifest, ScoreTable, Seen
from veridical.clips import Clip, ClipStore, Content, first_clip_hashes, label_clips
from veridical.devices import map_ahead
from veridical.errors import SeenError, UsageError
from veridical.inference.conditions import Logits
from veridical.inference.detector import BATCH_CLIPS, load_detector
from veridical.interventions import AppliedIntervention
from veridical.machine import num_cores
from veridical.metrics import Aggregation, Calibration

IntArray = npt.NDArray[np.int64]
_FACTS = ("dataset", "split", "generator", "compression", "group", "attributes")
_DESCRIBED = ("video_id", "start_s", "person", *_FACTS, *LABELS, "speech_share", "face_size_px")
"""Columns of a score table that describe the clip."""


class ClipScorer(Protocol):
    """Anything that scores clips: a `Detector`, or a foreign detector behind `foreign.ForeignScorer`."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    @property
    def conditions(self) -> tuple[str, ...]:
        """What it can score a clip under; the first is `joint`."""
        ...

    @property
    def aggregation(self) -> Aggregation:
        """Its rule from clip logits to a video's."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """Its map from joint logits to probabilities; None when it has none."""
        ...

    @property
    def contents(self) -> tuple[Content, ...] | None:
        """Optional contents of clips that it reads; None for all that the store keeps."""
        ...

    @property
    def concurrent(self) -> bool:
        """Whether `logits` may run in several threads at once."""
        ...

    @property
    def seen(self) -> Seen | None:
        """The videos and people of its training; None when they are not known."""
        ...

    def check(self, store: ClipStore) -> None:
        """Refuse a store whose clips it cannot take, with a `UsageError`."""
        ...

    def logits(self, clips: Sequence[Clip], conditions: Sequence[str]) -> Logits:
        """Return logits (B,) per condition, higher = more fake; NaN where a clip cannot be scored."""
        ...


def load_scorer(spec: str | Path, device: str = "auto") -> ClipScorer:
    """Load a detector of this project, or a foreign one.

    Args:
        spec: A run or its model folder; `FILE.py:NAME` or `MODULE:NAME` for a Python function or object; a `.yaml` file with
            `kind: onnx` or `kind: huggingface`.
        device: Of a detector of this project: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one.

    Raises:
        ArtefactError: when the model folder is damaged.
        UsageError: when the detector cannot be found or loaded, or is not declared in full.
    """
    from veridical.inference.foreign import KINDS, load_declared, load_python

    path = Path(spec)
    if path.is_dir():
        return load_detector(path, device)
    if path.suffix in (".yaml", ".yml"):
        return load_declared(path)
    if ":" in str(spec):
        return load_python(str(spec))
    raise UsageError(
        f"{spec}: no such detector; expected a run or its model folder, FILE.py:NAME, MODULE:NAME, or a .yaml file with "
        f"kind: {' or '.join(KINDS)}"
    )


def score_store(
    scorer: ClipScorer,
    store: ClipStore,
    manifest: Manifest,
    *,
    splits: Sequence[str] = (),
    conditions: Sequence[str] | None = None,
    interventions: Sequence[AppliedIntervention] = (),
    batch: int = BATCH_CLIPS,
    accept_seen: bool = False,
) -> ScoreTable:
    """Score the clips of a store.

    Args:
        scorer: The detector.
        store: Prepared clips.
        manifest: Labels and splits; clips of videos that it does not list are left out.
        splits: Only these splits; empty means every video, in a split or not.
        conditions: Some of the scorer's conditions; None for all.
        interventions: Changes of the clips, each a further condition with the joint score of the changed clip.
        batch: Clips at a time.
        accept_seen: Score videos that the detector was trained on as if they were new; without it they are refused, unless the
            manifest has them in the split that they had in training.

    Returns:
        A row per clip and condition; the logit is null where there is no score. `p_fake` is set for `joint` when the scorer
        is calibrated; `seen` says how well the detector knows the video from its training.

    Raises:
        SeenError: when the detector was trained on videos that it is to be judged on.
        UsageError: when scorer and store do not fit, no clip is left to score, or none of them gets a score.
    """
    scorer.check(store)
    clips = _select_clips(store, manifest, splits)
    clips["seen"] = _seen(scorer, store, manifest, clips, accept_seen)
    names = tuple(scorer.conditions if conditions is None else conditions)
    rows = clips["row"].to_numpy()
    partners = np.roll(rows, len(rows) // 2)  # of another video wherever there are several

    def score(batch_rows: slice) -> Logits:
        taken = store.take(rows[batch_rows], scorer.contents)
        needed = any(applied.intervention.needs_partner for applied in interventions)
        others = store.take(partners[batch_rows], scorer.contents) if needed else taken
        return _score_clips(scorer, taken, others, names, interventions)

    parts = []
    with progress.task("score", total=len(rows), unit="clip") as task:
        slices = [slice(first, min(first + batch, len(rows))) for first in range(0, len(rows), batch)]
        scored: Iterator[Logits] = map_ahead(score, slices, num_cores()) if scorer.concurrent else map(score, slices)
        for batch_rows, logits in zip(slices, scored, strict=True):
            parts.append(logits)
            task.advance(batch_rows.stop - batch_rows.start)
    logits = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not any(np.isfinite(values).any() for values in logits.values()):
        raise UsageError(f"{scorer.name}: gave no score for any of the {len(rows)} clips of {store.path}")
    return _table(clips, logits, scorer)


def _score_clips(
    scorer: ClipScorer,
    clips: Sequence[Clip],
    partners: Sequence[Clip],
    conditions: Sequence[str],
    interventions: Sequence[AppliedIntervention],
) -> Logits:
    logits = dict(scorer.logits(clips, conditions))
    for applied in interventions:
        changed = [applied.apply(clip, partner) for clip, partner in zip(clips, partners, strict=True)]
        logits[applied.condition] = scorer.logits(changed, ("joint",))["joint"]
    return logits


def _select_clips(store: ClipStore, manifest: Manifest, splits: Sequence[str]) -> pd.DataFrame:
    """Return `row` and the columns `_DESCRIBED` of the clips of these splits (all when empty), in store order."""
    clips = label_clips(store.index(), manifest, store.settings.window_s, _FACTS)
    if splits:
        clips = clips[clips["split"].isin(list(splits))]
    if clips.empty:
        where = f" in split {', '.join(splits)}" if splits else ""
        raise UsageError(f"{store.path}: no clip belongs to a video of the manifest{where}; nothing to score")
    return clips.rename(columns={"mean_box_size_px": "face_size_px"}).reset_index(drop=True)


def _seen(scorer: ClipScorer, store: ClipStore, manifest: Manifest, clips: pd.DataFrame, accept: bool) -> pd.Series:
    """Return for each clip how well the detector knows its video, null where that is not known."""
    if scorer.seen is None:
        return pd.Series(None, index=clips.index, dtype=object)
    known = clips["video_id"].map(scorer.seen.compare(manifest, first_clip_hashes(store, clips["video_id"])))
    learned = (known == LEARNED) & (clips["split"] != "train")
    selected = (known == SELECTED) & ~clips["split"].isin(["train", "val"])
    if (learned | selected).any() and not accept:
        counts = [clips.loc[rows, "video_id"].nunique() for rows in (learned, selected)]
        names = ", ".join(clips.loc[learned | selected, "video_id"].unique()[:3])
        raise SeenError(
            f"{scorer.name}: of the {clips['video_id'].nunique()} videos to judge it learned from {counts[0]} and was selected "
            f"on {counts[1]} (for example {names}): figures on them say nothing about new videos; judge others, give the "
            "manifest of training with its splits, or go on with --accept-seen (accept_seen=True in Python)"
        )
    return known


def _table(clips: pd.DataFrame, logits: Logits, scorer: ClipScorer) -> ScoreTable:
    frames, calibration = [], scorer.calibration
    for condition, values in logits.items():
        p_fake = np.nan if calibration is None or condition != "joint" else calibration.p_fake(values)
        frames.append(clips[[*_DESCRIBED, "seen"]].assign(condition=condition, logit=values, p_fake=p_fake))
    return ScoreTable.from_frame(pd.concat(frames, ignore_index=True), scorer.aggregation)
