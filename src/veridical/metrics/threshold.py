"""Decision metrics at a threshold (accuracy, recall, …), and thresholds chosen on a validation set.

A row is called fake when its score is at least the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from veridical.metrics.checks import FloatArray, labels_and_scores
from veridical.metrics.ranking import roc_curve

DECISION_METRICS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "fpr")


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> FloatArray:
    """Return counts (4,): true positives, false positives, true negatives, false negatives (fake is positive).

    Raises:
        NotEvaluableError: one class only, no rows, or scores that are not finite.
    """
    label_array, score_array = labels_and_scores(labels, scores)
    called, fake = score_array >= threshold, label_array == 1
    cells = (called & fake, called & ~fake, ~called & ~fake, ~called & fake)
    return np.array([cell.sum() for cell in cells], dtype=np.float64)


def decision_metrics(counts: FloatArray) -> dict[str, FloatArray]:
    """Return every decision metric of confusion counts.

    Args:
        counts: (..., 4) true positives, false positives, true negatives, false negatives; they may be weighted.

    Returns:
        Metric name → (...) values. Precision is NaN where nothing is called fake; F1 is then 0, by its usual formula
        2 tp / (2 tp + fp + fn). Rates of a class that is absent are NaN.
    """
    tp, fp, tn, fn = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        return {
            "accuracy": (tp + tn) / (tp + fp + tn + fn),
            "balanced_accuracy": (recall + specificity) / 2,
            "precision": tp / (tp + fp),
            "recall": recall,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "fpr": 1 - specificity,
        }


def threshold_at_eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the threshold at which false positive and false negative rates are closest; ties: the higher one.

    The threshold lies half-way between the two distinct scores that it separates, so that it does not sit on a score.
    """
    curves = roc_curve(labels, scores)
    distance = np.abs(curves.fpr[:, 0] - (1 - curves.tpr[:, 0]))
    return _between(curves.thresholds, int(np.argmin(distance)))


def threshold_at_tpr(labels: ArrayLike, scores: ArrayLike, tpr: float = 0.95) -> float:
    """Return the highest threshold that finds at least `tpr` of the fakes, half-way down to the next distinct score."""
    curves = roc_curve(labels, scores)
    return _between(curves.thresholds, int(np.argmax(curves.tpr[:, 0] >= tpr - 1e-12)))


def _between(thresholds: FloatArray, index: int) -> float:
    if index == 0:
        return float(np.nextafter(thresholds[1], np.inf))
    if index == len(thresholds) - 1:
        return float(thresholds[index])
    middle = float((thresholds[index] + thresholds[index + 1]) / 2)
    return middle if middle > thresholds[index + 1] else float(thresholds[index])
