"""Metrics of finding the forged stretches of partial fakes: average precision at an overlap, average recall of proposals.

As LAV-DF and AV-Deepfake1M report them: AP at a temporal intersection over union (IoU) of .5, .75 and .95, where the
predictions of all videos are ranked together; AR as the mean recall of the N best proposals of each video over IoU
thresholds .5 to .95 in steps of .05. Precision is made non-increasing in recall before the area is taken (as
ActivityNet does). Ties in score keep the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics.checks import FloatArray, IntArray

RECALL_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True, eq=False)
class Segments:
    """Predicted stretches of one video."""

    bounds: FloatArray
    """(n, 2) start and end in seconds, half-open."""
    scores: FloatArray
    """(n,) higher: more surely forged."""

    def __post_init__(self) -> None:
        if self.bounds.ndim != 2 or self.bounds.shape[1:] != (2,) or len(self.bounds) != len(self.scores):
            raise ValueError(f"segments must be (n, 2) with n scores, got {self.bounds.shape} and {self.scores.shape}")
        if not (np.isfinite(self.scores).all() and (self.bounds[:, 0] < self.bounds[:, 1]).all()):
            raise NotEvaluableError("segments need a start before the end and a finite score")


def temporal_iou(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Return (n, m) intersection over union of (n, 2) and (m, 2) stretches of time."""
    a, b = (np.asarray(values, dtype=np.float64).reshape(-1, 2) for values in (first, second))
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0.0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None, :] - shared
    return np.asarray(shared / union)


def average_precision_at_iou(
    predictions: Mapping[str, Segments], truths: Mapping[str, FloatArray], iou: float = 0.5
) -> float:
    """Return the average precision of finding forged stretches with at least this overlap.

    Args:
        predictions: Video → predicted stretches; a video may be absent.
        truths: Video → (m, 2) forged stretches in seconds; (0, 2) for a real video. All videos that are judged.
        iou: Least overlap of a hit; every true stretch is hit once at most, by the best scored prediction that can.

    Raises:
        NotEvaluableError: when there is no forged stretch at all.
    """
    total = _num_stretches(truths)
    correct, _ = ranked_hits(predictions, truths, iou)
    return float(average_precision_of(correct, np.ones((len(correct), 1)), np.array([float(total)]))[0])


def ranked_hits(
    predictions: Mapping[str, Segments], truths: Mapping[str, FloatArray], iou: float
) -> tuple[FloatArray, IntArray]:
    """Return, best prediction first, (P,) 1 for a hit and (P,) the position of its video in `truths`."""
    scores, hits, videos = [np.empty(0)], [np.empty(0)], [np.empty(0, np.int64)]
    for position, (video, stretches) in enumerate(truths.items()):
        found = predictions.get(video)
        if found is not None and len(found.scores):
            scores.append(found.scores)
            hits.append(_hits(found, stretches, iou))
            videos.append(np.full(len(found.scores), position, dtype=np.int64))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return np.concatenate(hits)[order], np.concatenate(videos)[order]


def average_precision_of(correct: FloatArray, weights: FloatArray, total: FloatArray) -> FloatArray:
    """Return (B,) average precision of ranked predictions (P,), each counted as often as its weights (P, B) say.

    Args:
        correct: (P,) 1 for a hit, best prediction first.
        weights: (P, B).
        total: (B,) number of true stretches.
    """
    hits = correct[:, None] * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(np.cumsum(hits, axis=0) / np.cumsum(weights, axis=0))
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        return np.asarray((envelope * hits).sum(axis=0) / total)


def _num_stretches(truths: Mapping[str, FloatArray]) -> int:
    total = sum(len(stretches) for stretches in truths.values())
    if total == 0:
        raise NotEvaluableError("no forged stretch in any video")
    return total


def average_recall(
    predictions: Mapping[str, Segments],
    truths: Mapping[str, FloatArray],
    proposals: int = 100,
    ious: Sequence[float] = RECALL_IOUS,
) -> float:
    """Return the share of forged stretches that the best `proposals` of their video hit, averaged over overlaps.

    Raises:
        NotEvaluableError: when there is no forged stretch at all.
    """
    total = _num_stretches(truths)
    return float(recalled(predictions, truths, proposals, ious).sum() / total)


def recalled(
    predictions: Mapping[str, Segments],
    truths: Mapping[str, FloatArray],
    proposals: int,
    ious: Sequence[float] = RECALL_IOUS,
) -> FloatArray:
    """Return (V,) how many of each video's stretches its best proposals hit, averaged over overlaps; ordered as `truths`."""
    counts = np.zeros(len(truths))
    for position, (video, stretches) in enumerate(truths.items()):
        found = predictions.get(video)
        if found is None or len(stretches) == 0:
            continue
        best = np.argsort(-found.scores, kind="stable")[:proposals]
        kept = Segments(found.bounds[best], found.scores[best])
        counts[position] = sum(_hits(kept, stretches, iou).sum() for iou in ious) / len(ious)
    return counts


def _hits(found: Segments, truth: FloatArray, iou: float) -> FloatArray:
    """Return (n,) 1 where a prediction is the first, by score, to hit a true stretch; its best free one is taken."""
    result = np.zeros(len(found.scores))
    overlap = temporal_iou(found.bounds, truth)
    for index in np.argsort(-found.scores, kind="stable"):
        if overlap.shape[1] == 0:
            break
        best = int(np.argmax(overlap[index]))
        if overlap[index, best] >= iou:
            result[index] = 1.0
            overlap[:, best] = -1.0
    return result
