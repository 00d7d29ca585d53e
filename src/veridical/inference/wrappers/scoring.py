"""From a store and a foreign detector to a ScoreTable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from veridical import progress
from veridical.artefacts import Manifest, ScoreTable
from veridical.clips import Clip, ClipStore
from veridical.errors import UsageError
from veridical.inference.controls import PREFIX, destroyed
from veridical.inference.scoring import DESCRIBED, chosen_clips, partners
from veridical.inference.wrappers.base import ClipDetector

READ_AT_ONCE = 32


def score_store_with(
    detector: ClipDetector,
    store: ClipStore,
    manifest: Manifest,
    *,
    splits: Sequence[str] = (),
    controls: Sequence[str] = (),
    name: str = "detector",
) -> ScoreTable:
    """Score the clips of a store with anything that has `score(clip) -> logit`.

    Args:
        detector: Judges one clip at a time.
        store: Prepared clips.
        manifest: Labels and splits; clips of videos that it does not know are left out.
        splits: Only these splits; empty means every video.
        controls: Ways of destroying a cue (`inference.controls`), each a condition `control:…`.
        name: The detector's, for messages.

    Returns:
        A row per clip and condition (`joint`, controls); the logit is null where the detector gave none.

    Raises:
        UsageError: when no clip is left to score, the detector fails on one, or it judges none.
    """
    clips = chosen_clips(store, manifest, splits)
    rows = clips["row"].to_numpy()
    logits: dict[str, list[float]] = {"joint": [], **{PREFIX + control: [] for control in controls}}
    with progress.task("score", total=len(rows), unit="clip") as task:
        for start in range(0, len(rows), READ_AT_ONCE):
            chosen = store.take(rows[start : start + READ_AT_ONCE])
            strangers = store.take(partners(rows)[start : start + READ_AT_ONCE]) if controls else chosen
            for clip, other in zip(chosen, strangers, strict=True):
                logits["joint"].append(_judged(detector, clip, name))
                for control in controls:
                    logits[PREFIX + control].append(_judged(detector, destroyed(clip, other, control), name))
                task.advance()
    if not np.isfinite(logits["joint"]).any():
        raise UsageError(f"{name}: judged none of the {len(rows)} clips of {store.path}")
    described = clips[list(DESCRIBED)]
    tables = [described.assign(condition=condition, logit=values) for condition, values in logits.items()]
    return ScoreTable.from_frame(pd.concat(tables, ignore_index=True))


def _judged(detector: ClipDetector, clip: Clip, name: str) -> float:
    """Return the logit, NaN where there is none."""
    where = f"{name}: clip of {clip.video_id!r} at {clip.start_s:g} s"
    try:
        found = detector.score(clip)
    except Exception as error:
        raise UsageError(f"{where}: {type(error).__name__}: {error} (--debug shows where)") from error
    if found is None:
        return np.nan
    try:
        value = np.nan if isinstance(found, bool | str) else float(found)
    except (TypeError, ValueError, RuntimeError):
        value = np.nan
    if not np.isfinite(value):
        raise UsageError(f"{where}: expected a finite number (a logit, higher = more fake) or None, got {found!r}")
    return value
