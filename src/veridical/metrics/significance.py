"""Is a difference between two detectors more than chance: DeLong's test, paired group bootstrap, Holm.

DeLong: E. R. DeLong et al., "Comparing the areas under two or more correlated ROC curves", 1988, in the mid-rank form
of X. Sun and W. Xu, 2014. It takes rows as independent; where leak groups hold several rows the paired group bootstrap
is the one to believe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics.bootstrap import Interval, bootstrap_interval, draw_groups, fewest_groups, smaller_class_groups
from veridical.metrics.checks import FloatArray, labels_and_scores
from veridical.metrics.ranking import auc_of, roc_auc


@dataclass(frozen=True)
class Difference:
    """AUC of the second minus AUC of the first."""

    value: float
    interval: Interval
    p_value: float
    """Two-sided; the chance of a difference at least this large if there were none."""


def delong_covariance(labels: ArrayLike, *scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the (D,) AUCs of D detectors on the same rows and their (D, D) covariance.

    Raises:
        NotEvaluableError: fewer than two rows of a class, or scores that are not finite.
    """
    placements = [_placements(*labels_and_scores(labels, values)) for values in scores]
    fake = np.stack([item[0] for item in placements])
    real = np.stack([item[1] for item in placements])
    if min(fake.shape[1], real.shape[1]) < 2:
        raise NotEvaluableError("DeLong's variance needs at least two rows of each class")
    covariance = np.atleast_2d(np.cov(fake)) / fake.shape[1] + np.atleast_2d(np.cov(real)) / real.shape[1]
    return fake.mean(axis=1), np.asarray(covariance)


def _placements(labels: np.ndarray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return for each fake the share of reals below it, and for each real the share of fakes above it (ties half)."""
    fake, real = scores[labels == 1], scores[labels == 0]
    together = scipy.stats.rankdata(np.concatenate([fake, real]))
    above = (together[: len(fake)] - scipy.stats.rankdata(fake)) / len(real)
    below = 1 - (together[len(fake) :] - scipy.stats.rankdata(real)) / len(fake)
    return above, below


def delong_interval(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> tuple[float, Interval]:
    """Return the AUC and its normal interval, cut to [0, 1]."""
    areas, covariance = delong_covariance(labels, scores)
    reach = scipy.stats.norm.ppf((1 + confidence) / 2) * np.sqrt(covariance[0, 0])
    return float(areas[0]), Interval(float(max(areas[0] - reach, 0)), float(min(areas[0] + reach, 1)))


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Difference:
    """Compare the AUCs of two detectors on the same rows; equal scores give p = 1.

    Raises:
        NotEvaluableError: as :func:`delong_covariance`.
    """
    areas, covariance = delong_covariance(labels, first, second)
    value = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    deviation = float(np.sqrt(max(variance, 0.0)))
    reach = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * deviation
    if deviation < 1e-12:
        p_value = 1.0 if abs(value) < 1e-12 else 0.0
    else:
        p_value = float(2 * scipy.stats.norm.sf(abs(value) / deviation))
    return Difference(value, Interval(value - reach, value + reach), p_value)


def paired_group_bootstrap(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Difference:
    """Compare the AUCs of two detectors on the same rows, drawing whole groups for both alike.

    The p-value is that of the interval: the level at which it would just reach zero, from the smaller share of replicates on
    either side of zero, (count + 1) / (B + 1), made larger for few groups as the interval is made wider.

    Raises:
        NotEvaluableError: one class only, scores that are not finite, or fewer groups than `fewest_groups`: with those
            no difference, however large, has a p-value below .05.
    """
    label_array, first_array = labels_and_scores(labels, first)
    second_array = labels_and_scores(labels, second)[1]
    bootstrap = draw_groups(groups, replicates=replicates, seed=seed)
    rows = np.ones(len(label_array), dtype=bool)
    areas = [
        np.concatenate([auc_of(curves) for curves in bootstrap.curves(label_array, values, rows)])
        for values in (first_array, second_array)
    ]
    found = areas[1] - areas[0]
    value = roc_auc(label_array, second_array) - roc_auc(label_array, first_array)
    groups_behind = smaller_class_groups(bootstrap, label_array, rows)
    if groups_behind < (needed := fewest_groups(replicates)):
        raise NotEvaluableError(
            f"no interval of a difference: {groups_behind} leak groups in the smaller class, at least {needed} are needed"
        )
    interval = bootstrap_interval(value, found, groups=groups_behind, share=False)
    defined = found[np.isfinite(found)]
    share = (min((defined <= 0).sum(), (defined >= 0).sum()) + 1) / (len(defined) + 1)
    deviate = scipy.special.ndtri(min(share, 0.5)) / np.sqrt(groups_behind / (groups_behind - 1))
    return Difference(value, interval, float(2 * scipy.special.stdtr(groups_behind - 1, deviate)))


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
