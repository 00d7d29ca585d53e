"""Ranking metrics: ROC, AUC, EER, average precision, TPR at an FPR and FPR at a TPR.

All are computed from one object, :class:`RocCurves`, which holds many weightings of the same rows side by side, so that
a bootstrap of 1000 replicates is a handful of array operations: `eer_of(roc_curve(labels, scores))[0]` for a single
curve. Scores are higher when more fake; ties count half. Constant scores give AUC .5, EER .5 and an average precision
equal to the share of fakes.

Shapes: K distinct scores (or score bins), B weightings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from veridical.metrics.checks import FloatArray, labels_and_scores


@dataclass(frozen=True)
class RocCurves:
    """B ROC curves over the same thresholds; row 0 is the origin (nothing called fake)."""

    thresholds: FloatArray
    """(K + 1,) descending; the first is +inf: call fake what scores at least this."""
    tpr: FloatArray
    """(K + 1, B) share of the fakes called fake; NaN where a weighting has no fake."""
    fpr: FloatArray
    """(K + 1, B) share of the reals called fake; NaN where a weighting has no real."""
    fake_weight: FloatArray
    """(B,) total weight of the fakes."""
    real_weight: FloatArray
    """(B,) total weight of the reals."""


def curves_from_counts(thresholds: FloatArray, fake: FloatArray, real: FloatArray) -> RocCurves:
    """Build curves from the weight of fakes and reals at each threshold.

    Args:
        thresholds: (K,) descending.
        fake: (K, B) weight of the fakes at each threshold.
        real: (K, B) weight of the reals at each threshold.
    """
    origin = np.zeros((1, fake.shape[1]))
    tp = np.concatenate([origin, np.cumsum(fake, axis=0, dtype=np.float64)])
    fp = np.concatenate([origin, np.cumsum(real, axis=0, dtype=np.float64)])
    with np.errstate(invalid="ignore", divide="ignore"):
        tpr, fpr = tp / tp[-1], fp / fp[-1]
    return RocCurves(np.concatenate([[np.inf], thresholds]), tpr, fpr, tp[-1], fp[-1])


def roc_curve(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> RocCurves:
    """Return the ROC curve of (n,) labels and scores with B = 1, a point per distinct score.

    Raises:
        NotEvaluableError: one class only, no rows, or scores that are not finite.
    """
    label_array, score_array = labels_and_scores(labels, scores)
    weight = np.ones(len(label_array)) if weights is None else np.asarray(weights, dtype=np.float64)
    distinct, position = np.unique(score_array, return_inverse=True)
    position = len(distinct) - 1 - position
    fake = np.bincount(position, weights=weight * label_array, minlength=len(distinct)).astype(np.float64)
    real = np.bincount(position, weights=weight * (1 - label_array), minlength=len(distinct)).astype(np.float64)
    return curves_from_counts(distinct[::-1], fake[:, None], real[:, None])


def auc_of(curves: RocCurves) -> FloatArray:
    """Return the (B,) areas under the curves."""
    steps = np.diff(curves.fpr, axis=0)
    heights = (curves.tpr[1:] + curves.tpr[:-1]) / 2
    return np.asarray((steps * heights).sum(axis=0))


def eer_of(curves: RocCurves) -> FloatArray:
    """Return the (B,) equal error rates, where the piecewise linear curve has as many false positives as negatives."""
    difference = curves.fpr - (1 - curves.tpr)
    after = np.argmax(difference >= 0, axis=0)
    columns = np.arange(difference.shape[1])
    before = np.maximum(after - 1, 0)
    low, high = difference[before, columns], difference[after, columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, -low / (high - low), 0.0)
    fpr_before, fpr_after = curves.fpr[before, columns], curves.fpr[after, columns]
    return np.asarray(np.where(np.isnan(difference[-1]), np.nan, fpr_before + share * (fpr_after - fpr_before)))


def average_precision_of(curves: RocCurves) -> FloatArray:
    """Return the (B,) average precisions: precision summed over the steps of recall, without interpolation."""
    tp, fp = curves.tpr[1:] * curves.fake_weight, curves.fpr[1:] * curves.real_weight
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(tp + fp > 0, tp / (tp + fp), 0.0)
    area = (np.diff(curves.tpr, axis=0) * precision).sum(axis=0)
    return np.asarray(np.where(curves.real_weight > 0, area, np.nan))


def fpr_at_tpr_of(curves: RocCurves, tpr: float) -> FloatArray:
    """Return the (B,) lowest false positive rates among thresholds that find at least this share of the fakes."""
    index = np.argmax(curves.tpr >= tpr - 1e-12, axis=0)
    lowest = curves.fpr[index, np.arange(curves.fpr.shape[1])]
    return np.asarray(np.where(np.isnan(curves.tpr[-1]), np.nan, lowest))


def tpr_at_fpr_of(curves: RocCurves, fpr: float) -> FloatArray:
    """Return the (B,) highest shares of fakes found among thresholds with at most this false positive rate."""
    last = (curves.fpr <= fpr + 1e-12).sum(axis=0) - 1
    highest = curves.tpr[np.maximum(last, 0), np.arange(curves.tpr.shape[1])]
    return np.asarray(np.where(np.isnan(curves.fpr[-1]), np.nan, highest))


def roc_auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve: the chance that a fake scores above a real, ties half.

    Raises:
        NotEvaluableError: one class only, no rows, or scores that are not finite.

    Example:
        >>> roc_auc([0, 0, 1, 1], [.1, .4, .35, .8])
        0.75
    """
    return float(auc_of(roc_curve(labels, scores, weights))[0])
