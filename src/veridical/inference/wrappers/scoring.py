"""From a store and a foreign detector to a ScoreTable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from veridical import progress
from veridical.artefacts import Manifest, ScoreTable
from veridical.clips import Clip, ClipStore
from veridical.errors import UsageError
from veridical.inference.scoring import DESCRIBED, chosen_clips
from veridical.inference.wrappers.base import ClipDetector

READ_AT_ONCE = 32


def score_store_with(
    detector: ClipDetector, store: ClipStore, manifest: Manifest, *, splits: Sequence[str] = (), name: str = "detector"
) -> ScoreTable:
    """Score the clips of a store with anything that has `score(clip) -> logit`.

    Args:
        detector: Judges one clip at a time.
        store: Prepared clips.
        manifest: Labels and splits; clips of videos that it does not know are left out.
        splits: Only these splits; empty means every video.
        name: The detector's, for messages.

    Returns:
        A row per clip, condition `joint`; the logit is null where the detector gave none.

    Raises:
        UsageError: when no clip is left to score, the detector fails on one, or it judges none.
    """
    clips = chosen_clips(store, manifest, splits)
    rows = clips["row"].to_numpy()
    logits: list[float] = []
    with progress.task("score", total=len(rows), unit="clip") as task:
        for start in range(0, len(rows), READ_AT_ONCE):
            for clip in store.take(rows[start : start + READ_AT_ONCE]):
                logits.append(_judged(detector, clip, name))
                task.advance()
    if not np.isfinite(logits).any():
        raise UsageError(f"{name}: judged none of the {len(logits)} clips of {store.path}")
    return ScoreTable.from_frame(clips[list(DESCRIBED)].assign(condition="joint", logit=logits))


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
