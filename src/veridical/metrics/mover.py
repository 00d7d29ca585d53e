"""Intervals of differences, sums and ratios of figures, from those of the figures.

The distances from each value to its own limits are combined, with the correlation of the replicates (MOVER: R. Newcombe,
Stat. Med. 1998; G. Zou, W. Huang and X. Zhang, Comput. Stat. Data Anal. 2009; for a ratio A. Donner and G. Zou, Stat. Methods
Med. Res. 2012). Where two figures are closely tied it departs from them, see :func:`_linear_reach`.

Shapes: B replicates, F figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veridical.metrics.checks import FloatArray
from veridical.metrics.intervals import Interval


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    interval: Interval


def linear_interval(
    estimates: Sequence[Estimate],
    weights: Sequence[float],
    correlation: FloatArray | None = None,
    constant: float = 0.0,
) -> Estimate:
    """Return a sum of F weighted figures with its interval (MOVER), e.g. weights (1, -1) for a difference.

    Args:
        estimates: F figures with intervals.
        weights: (F,).
        correlation: (F, F) of the replicates; None for figures of different people.
        constant: Added to the sum.
    """
    sign = np.sign(np.asarray(weights, dtype=np.float64))
    related = np.eye(len(estimates)) if correlation is None else np.nan_to_num(correlation, nan=0.0)
    np.fill_diagonal(related, 1.0)
    value = constant + sum(weight * part.value for weight, part in zip(weights, estimates, strict=True))
    below = np.abs(weights) * np.array([part.value - part.interval.low for part in estimates])
    above = np.abs(weights) * np.array([part.interval.high - part.value for part in estimates])
    low, high = (_linear_reach(below, above, sign * towards, sign * related * sign[:, None]) for towards in (-1, 1))
    return Estimate(float(value), Interval(float(value - low), float(value + high)))


def _linear_reach(below: FloatArray, above: FloatArray, towards: FloatArray, related: FloatArray) -> float:
    """Return how far a sum of figures reaches to one side.

    Where the errors of two figures cancel, MOVER subtracts the product of their distances on opposite sides, which leaves a
    remainder however close the figures are tied if their intervals are not symmetric. Here the remainder is what is left of the
    distances on the side to which both err together; with symmetric intervals the two are equal.

    Args:
        below: (F,) weighted distances to the lower limits.
        above: (F,) to the upper limits.
        towards: (F,) 1 where a figure that is higher moves the sum to this side, else -1.
        related: (F, F) correlations of the terms of the sum.
    """
    reach = np.where(towards > 0, above, below)
    total = float(reach @ reach)
    for first, second in zip(*np.triu_indices(len(reach), 1), strict=True):
        correlation = float(related[first, second])
        if correlation >= 0:
            total += 2 * correlation * reach[first] * reach[second]
            continue
        pair = below[second], above[second]
        lower, upper = pair if towards[first] != towards[second] else pair[::-1]
        left = max((below[first] - lower) ** 2, (above[first] - upper) ** 2)
        total += correlation * (reach[first] ** 2 + reach[second] ** 2 - left)
    return float(np.sqrt(max(total, 0.0)))


def correlations(replicates: FloatArray) -> FloatArray:
    """Return the (F, F) correlation of (F, B) replicates of one bootstrap; 0 where a figure does not vary."""
    defined = np.isfinite(replicates).all(axis=0)
    if defined.sum() < 3:
        return np.eye(len(replicates))
    centred = replicates[:, defined] - replicates[:, defined].mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1))
    moving = size > 1e-9
    unit = np.where(moving[:, None], centred / np.where(moving, size, 1.0)[:, None], 0.0)
    related = unit @ unit.T
    np.fill_diagonal(related, 1.0)
    return np.asarray(related)


def precision_at_prevalence(recall: Estimate, fpr: Estimate, prevalence: float) -> Estimate:
    """Return the precision where a share `prevalence` is fake: 1 / (1 + (1 - s) / s * fpr / recall), by limits of the ratio."""
    odds = (1 - prevalence) / prevalence

    def precision(ratio: float) -> float:
        return 1 / (1 + odds * ratio)

    value = precision(fpr.value / recall.value) if recall.value > 0 else float("nan")
    least, most = _ratio_limits(fpr, recall)
    low, high = (precision(limit) for limit in (most, least))
    return Estimate(value, Interval(min(low, value), max(high, value)) if np.isfinite(value) else Interval(0.0, 1.0))


def _ratio_limits(top: Estimate, bottom: Estimate) -> tuple[float, float]:
    """Return limits of top / bottom, both independent and not negative (Donner and Zou, 2012, equation 9)."""
    product = top.value * bottom.value
    low, high = bottom.interval.low, bottom.interval.high

    def root(of_top: float, of_bottom: float, sign: int) -> float:
        below = of_bottom * (2 * bottom.value - of_bottom)
        if below <= 0:
            return float("inf") if sign > 0 else 0.0
        inner = product**2 - of_top * of_bottom * (2 * top.value - of_top) * (2 * bottom.value - of_bottom)
        return float((product + sign * np.sqrt(max(inner, 0.0))) / below)

    return max(root(top.interval.low, high, -1), 0.0), root(top.interval.high, low, 1)
