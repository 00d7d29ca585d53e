"""From a store to a ScoreTable: every clip of the chosen splits under every condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from veridical import progress
from veridical.artefacts import Manifest, ScoreTable
from veridical.clips import LABELS, Clip, ClipStore, label_clips
from veridical.devices import map_ahead
from veridical.errors import UsageError
from veridical.inference.bundle import Bundle
from veridical.inference.conditions import CONDITIONS, Logits
from veridical.inference.controls import PREFIX, destroyed
from veridical.inference.judging import judge
from veridical.inputs import check_fit, clip_inputs
from veridical.machine import num_cores

_FACTS = ("dataset", "split", "generator", "compression", "group", "attributes")
IntArray = npt.NDArray[np.int64]
DESCRIBED = ("video_id", "start_s", *_FACTS, *LABELS, "speech_share", "face_size_px")
"""Columns of a score table that say what was scored."""


def score_store(
    bundle: Bundle,
    store: ClipStore,
    manifest: Manifest,
    *,
    splits: Sequence[str] = (),
    conditions: tuple[str, ...] = CONDITIONS,
    controls: Sequence[str] = (),
    batch: int = 16,
) -> ScoreTable:
    """Score the clips of a store.

    Args:
        bundle: The detector.
        store: Prepared clips; must have been prepared as the model wants them.
        manifest: Labels and splits; clips of videos that it does not know are left out.
        splits: Only these splits; empty means every video, in a split or not.
        conditions: Some of `CONDITIONS`.
        controls: Ways of destroying a cue (`inference.controls`), each a condition `control:…` with the joint score.
        batch: Clips at a time.

    Returns:
        A row per clip and condition. `p_fake` is set for `joint` when the model is calibrated.

    Raises:
        UsageError: when store and model do not fit, or no clip is left to score.
    """
    check_fit(store, bundle.facts.inputs, bundle.facts.preparation)
    clips = chosen_clips(store, manifest, splits)
    rows = clips["row"].to_numpy()
    batches = [(rows[i : i + batch], partners(rows)[i : i + batch]) for i in range(0, len(rows), batch)]
    parts = []
    with progress.task("score", total=len(rows), unit="clip") as task:
        for (chunk, _), logits in zip(
            batches,
            map_ahead(lambda pair: _judge(bundle, store, *pair, conditions, controls), batches, num_cores()),
            strict=True,
        ):
            parts.append(logits)
            task.advance(len(chunk))
    return _table(clips, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, bundle)


def partners(rows: IntArray) -> IntArray:
    """Return for each row one from the other half of the table, so of another video wherever there are several."""
    return np.roll(rows, len(rows) // 2)


def _judge(
    bundle: Bundle,
    store: ClipStore,
    rows: IntArray,
    others: IntArray,
    conditions: tuple[str, ...],
    controls: Sequence[str],
) -> Logits:
    contents = bundle.facts.inputs.contents
    clips = store.take(rows, contents)
    found = _logits(bundle, clips, conditions)
    strangers = store.take(others, contents) if controls else clips
    for control in controls:
        changed = [destroyed(clip, other, control) for clip, other in zip(clips, strangers, strict=True)]
        found[PREFIX + control] = _logits(bundle, changed, ("joint",))["joint"]
    return found


def _logits(bundle: Bundle, clips: Sequence[Clip], conditions: tuple[str, ...]) -> Logits:
    return judge(bundle, clip_inputs(clips, bundle.facts.inputs), conditions)


def chosen_clips(store: ClipStore, manifest: Manifest, splits: Sequence[str]) -> pd.DataFrame:
    """Return `row` and the columns `DESCRIBED` of the clips of these splits (all when empty), in store order.

    Raises:
        UsageError: when there is none.
    """
    clips = label_clips(store.index(), manifest, store.settings.window_s, _FACTS)
    if splits:
        clips = clips[clips["split"].isin(list(splits))]
    if clips.empty:
        where = f" in split {', '.join(splits)}" if splits else ""
        raise UsageError(f"{store.path}: no clip belongs to a video of the manifest{where}; nothing to score")
    return clips.rename(columns={"mean_box_size_px": "face_size_px"}).reset_index(drop=True)


def _table(clips: pd.DataFrame, logits: Logits, bundle: Bundle) -> ScoreTable:
    calibration = bundle.facts.calibration
    frames = []
    for condition, values in logits.items():
        frame = clips[list(DESCRIBED)].assign(condition=condition, logit=values)
        frame["p_fake"] = expit(values / calibration.temperature) if calibration and condition == "joint" else np.nan
        frames.append(frame)
    return ScoreTable.from_frame(pd.concat(frames, ignore_index=True))
