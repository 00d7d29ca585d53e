"""Is a difference between two detectors more than chance? DeLong's test, its form for groups of rows, Holm's correction.

DeLong: E. R. DeLong et al., "Comparing the areas under two or more correlated ROC curves", 1988, in the mid-rank form
of X. Sun and W. Xu, 2014. It takes rows as independent; where leak groups hold several rows, believe the test over groups
instead. Variance over clusters of rows: N. Obuchowski, "Nonparametric analysis of clustered ROC curve data",
Biometrics 1997. Variance under a hypothesis: J. Hanley and B. McNeil, Radiology 1982.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics.checks import FloatArray, IntArray, labels_and_scores
from veridical.metrics.intervals import FEWEST_GROUPS, Interval, share_interval


@dataclass(frozen=True)
class Difference:
    """AUC of the second detector minus AUC of the first."""

    value: float
    interval: Interval
    p_value: float
    """Two-sided; the chance of a difference at least this large if there were none."""


def placements(labels: IntArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, for each fake, the share of reals below it and, for each real, the share of fakes above it (ties half).

    The mean of either is the AUC; their spread is what its variance is made of.

    Raises:
        NotEvaluableError: when a class is missing.
    """
    fake, real = scores[labels == 1], scores[labels == 0]
    _need_both(len(fake), len(real))
    together = _mid_ranks(np.concatenate([fake, real]))
    below = (together[: len(fake)] - _mid_ranks(fake)) / len(real)
    above = 1 - (together[len(fake) :] - _mid_ranks(real)) / len(fake)
    return below, above


def _mid_ranks(scores: FloatArray) -> FloatArray:
    """Return (n,) ranks from 1, ties sharing their mean rank (`scipy.stats.rankdata`, which takes half a second to load)."""
    _, position, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[position])


def clustered_auc_variance(
    fake_placements: FloatArray, real_placements: FloatArray, fake_clusters: ArrayLike, real_clusters: ArrayLike
) -> float:
    """Return the variance of an AUC whose rows are independent only between clusters (Obuchowski, 1997).

    Args:
        fake_placements: (F,) of the fakes, see :func:`placements`.
        real_placements: (R,) of the reals.
        fake_clusters: (F,) the cluster of each fake, for example the person shown.
        real_clusters: (R,) the cluster of each real.
    """
    num_fake, num_real = len(fake_placements), len(real_placements)
    _, cluster = np.unique(np.concatenate([fake_clusters, real_clusters]), return_inverse=True)
    size, auc = int(cluster.max()) + 1, fake_placements.mean()
    fakes = np.bincount(cluster[:num_fake], weights=fake_placements - auc, minlength=size) / num_fake
    reals = np.bincount(cluster[num_fake:], weights=real_placements - auc, minlength=size) / num_real
    return float(((fakes + reals) ** 2).sum() * size / max(size - 1, 1))


def expected_auc_variance(auc: float, num_fake: int, num_real: int) -> float:
    """Return the variance of an AUC that is truly `auc`, from independent rows (Hanley and McNeil, 1982).

    Raises:
        NotEvaluableError: when a class is missing.
    """
    _need_both(num_fake, num_real)
    two_fakes, two_reals = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (num_fake - 1) * (two_fakes - auc**2) + (num_real - 1) * (two_reals - auc**2)
    return spread / (num_fake * num_real)


def _need_both(num_fake: int, num_real: int) -> None:
    if not num_fake or not num_real:
        raise NotEvaluableError(f"an AUC needs rows of both classes, found {num_real} real and {num_fake} fake")


def delong_covariance(labels: ArrayLike, *scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the (D,) AUCs of D detectors on the same rows and their (D, D) covariance.

    Raises:
        NotEvaluableError: fewer than two rows of a class, or scores that are not finite.
    """
    pairs = [placements(*labels_and_scores(labels, values)) for values in scores]
    fake = np.stack([below for below, _ in pairs])
    real = np.stack([above for _, above in pairs])
    if min(fake.shape[1], real.shape[1]) < 2:
        raise NotEvaluableError("DeLong's variance needs at least two rows of each class")
    covariance = np.atleast_2d(np.cov(fake)) / fake.shape[1] + np.atleast_2d(np.cov(real)) / real.shape[1]
    return fake.mean(axis=1), np.asarray(covariance)


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Difference:
    """Compare the AUCs of two detectors on the same rows; equal scores give p = 1.

    Raises:
        NotEvaluableError: as :func:`delong_covariance`.
    """
    areas, covariance = delong_covariance(labels, first, second)
    value = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    deviation = float(np.sqrt(max(variance, 0.0)))
    reach = float(scipy.special.ndtri((1 + confidence) / 2)) * deviation
    if deviation < 1e-12:
        p_value = 1.0 if abs(value) < 1e-12 else 0.0
    else:
        p_value = float(2 * scipy.special.ndtr(-abs(value) / deviation))
    return Difference(value, Interval(value - reach, value + reach), p_value)


def clustered_test(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike, confidence: float = 0.95
) -> Difference:
    """Compare the AUCs of two detectors on the same rows, where rows of a group belong together.

    The variance is that of :func:`clustered_auc_variance`, of the differences of placements; the quantile is Student's, for the
    groups of the smaller class.

    Args:
        labels: (n,) 0 or 1.
        first: (n,) scores of one detector.
        second: (n,) of the other.
        groups: (n,) what belongs together.
        confidence: Nominal two-sided coverage of the interval.

    Raises:
        NotEvaluableError: one class only, scores that are not finite, or fewer than `FEWEST_GROUPS` groups of a class.
    """
    label_array, first_array = labels_and_scores(labels, first)
    second_array = labels_and_scores(labels, second)[1]
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    clusters = group[label_array == 1], group[label_array == 0]
    fewest = min(len(np.unique(cluster)) for cluster in clusters)
    if fewest < FEWEST_GROUPS:
        raise NotEvaluableError(f"too few to say ({fewest} people of a class; at least {FEWEST_GROUPS} are needed)")
    parts = zip(placements(label_array, first_array), placements(label_array, second_array), strict=True)
    fakes, reals = (later - earlier for earlier, later in parts)
    value, deviation = float(fakes.mean()), float(np.sqrt(clustered_auc_variance(fakes, reals, *clusters)))
    if deviation < 1e-12:  # the same order everywhere: the interval is that of a share of no differences
        reach = share_interval(0.0, 0.0, trials=len(label_array), groups=fewest, confidence=confidence).high
        return Difference(value, Interval(value - reach, value + reach), 1.0)
    reach = float(scipy.special.stdtrit(fewest - 1, (1 + confidence) / 2)) * deviation
    p_value = float(2 * scipy.special.stdtr(fewest - 1, -abs(value) / deviation))
    return Difference(value, Interval(max(value - reach, -1.0), min(value + reach, 1.0)), p_value)


def holm(p_values: ArrayLike) -> FloatArray:
    """Return (m,) p-values adjusted for m comparisons (S. Holm, 1979), in the given order.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
