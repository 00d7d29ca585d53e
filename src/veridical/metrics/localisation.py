"""Temporal localisation of partial fakes: average precision at an overlap (IoU), average recall of proposals.

As LAV-DF and AV-Deepfake1M report them: AP at a temporal intersection over union (IoU) of .5, .75 and .95, with the
predictions of all videos ranked together; AR as the mean recall of the N best proposals of each video over IoU
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
    """Predicted forged segments of one video."""

    bounds: FloatArray
    """(n, 2) start and end in seconds, half-open."""
    scores: FloatArray
    """(n,) higher when more surely forged."""

    def __post_init__(self) -> None:
        if self.bounds.ndim != 2 or self.bounds.shape[1:] != (2,) or len(self.bounds) != len(self.scores):
            raise ValueError(f"segments must be (n, 2) with n scores, got {self.bounds.shape} and {self.scores.shape}")
        if not (np.isfinite(self.scores).all() and (self.bounds[:, 0] < self.bounds[:, 1]).all()):
            raise NotEvaluableError("segments need a start before the end and a finite score")


def temporal_iou(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Return (n, m) intersection over union of (n, 2) and (m, 2) segments in seconds."""
    a, b = (np.asarray(values, dtype=np.float64).reshape(-1, 2) for values in (first, second))
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0.0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None, :] - shared
    return np.asarray(shared / union)


def ranked_hits(
    predictions: Mapping[str, Segments], truths: Mapping[str, FloatArray], iou: float
) -> tuple[FloatArray, IntArray]:
    """Rank the predictions of all videos and say which hit a forged segment with at least this overlap.

    Args:
        predictions: Video → predicted segments; a video may be absent.
        truths: Video → (m, 2) forged segments in seconds; (0, 2) for a real video. All videos that are evaluated.
        iou: Least overlap of a hit; every forged segment is hit once at most, by the best scored prediction that can.

    Returns:
        (P,) 1 for a hit, best prediction first, and (P,) the position of its video in `truths`.
    """
    scores, hits, videos = [np.empty(0)], [np.empty(0)], [np.empty(0, np.int64)]
    for position, (video, forged) in enumerate(truths.items()):
        predicted = predictions.get(video)
        if predicted is not None and len(predicted.scores):
            scores.append(predicted.scores)
            hits.append(_hits(predicted, forged, iou))
            videos.append(np.full(len(predicted.scores), position, dtype=np.int64))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return np.concatenate(hits)[order], np.concatenate(videos)[order]


def segment_average_precision(correct: FloatArray, weights: FloatArray, total: FloatArray) -> FloatArray:
    """Return (B,) average precision of ranked predictions (P,), each counted with its weight (P, B).

    Args:
        correct: (P,) 1 for a hit, best prediction first.
        weights: (P, B) how often the prediction's video is in each of B replicates.
        total: (B,) number of forged segments.
    """
    hits = correct[:, None] * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(np.cumsum(hits, axis=0) / np.cumsum(weights, axis=0))
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        return np.asarray((envelope * hits).sum(axis=0) / total)


def recalled_segments(
    predictions: Mapping[str, Segments],
    truths: Mapping[str, FloatArray],
    proposals: int,
    ious: Sequence[float] = RECALL_IOUS,
) -> FloatArray:
    """Return (V,) how many forged segments of each video its best proposals hit, averaged over overlaps; ordered as `truths`.

    Args:
        predictions: Video → proposed segments; a video may be absent.
        truths: Video → (m, 2) forged segments in seconds.
        proposals: How many of a video's proposals count, best first.
        ious: Least overlaps of a hit.
    """
    counts = np.zeros(len(truths))
    for position, (video, forged) in enumerate(truths.items()):
        proposed = predictions.get(video)
        if proposed is None or len(forged) == 0:
            continue
        best = np.argsort(-proposed.scores, kind="stable")[:proposals]
        kept = Segments(proposed.bounds[best], proposed.scores[best])
        counts[position] = sum(_hits(kept, forged, iou).sum() for iou in ious) / len(ious)
    return counts


def _hits(predicted: Segments, forged: FloatArray, iou: float) -> FloatArray:
    """Return (n,) 1 where a prediction is the first, by score, to hit a forged segment; its best free one is taken."""
    result = np.zeros(len(predicted.scores))
    overlap = temporal_iou(predicted.bounds, forged)
    for index in np.argsort(-predicted.scores, kind="stable"):
        if overlap.shape[1] == 0:
            break
        best = int(np.argmax(overlap[index]))
        if overlap[index, best] >= iou:
            result[index] = 1.0
            overlap[:, best] = -1.0
    return result
