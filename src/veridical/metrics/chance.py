"""Figures that chance can only raise: expected calibration error, and the highest minus the lowest of several slices.

With few people both are large without any fault, so the measured figure is no estimate of the true one, and a bootstrap
around it adds chance a second time. Instead the error of each part (bin, slice) is drawn: the replicates about their mean,
scaled to a variance that does not collapse (as in `metrics.intervals`). From these draws come the share of faultless worlds
that show as much (the p-value of the verdict), a median-unbiased value and an interval, by inverting the test along figures
whose parts keep the measured proportions.

Bias of binned calibration errors: R. Roelofs et al., "Mitigating bias in calibration error estimation", AISTATS 2022. The
spread is compared with that of slices which all have the pooled area: each slice's design effect is its own, its variance is
that of the pooled area, so that a perfect slice of a few people is no proof of a difference.

Shapes: B replicates, M bins or slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from veridical.metrics.checks import FloatArray
from veridical.metrics.intervals import LEAST_DESIGN_EFFECT, PRIOR_GROUPS, Interval, Support, area_variance

_ROUNDING = 1e-9


@dataclass(frozen=True)
class AgainstChance:
    """A figure that chance can only raise, once what chance adds is taken off."""

    value: float
    """Median unbiased, 0 where chance gives as much in half of all worlds."""
    interval: Interval
    """Of the true figure; holds `value`, and 0 unless chance is ruled out."""
    observed: float
    """As measured."""
    by_chance: float
    """What chance alone gives in the median."""
    p_chance: float
    """Share of worlds without any fault that would give at least what was observed."""


def raised_by_chance(
    centre: FloatArray,
    noise: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    most: float = 1.0,
    confidence: float = 0.95,
) -> AgainstChance:
    """Return a figure that chance can only raise, with its interval and what chance gives, by inversion of tests.

    For a true figure t the parts are taken as t in the proportions that were seen, plus noise. The interval holds every t under
    which what was observed is not among the most extreme 2.5 % on either side.

    Args:
        centre: (M,) parts as observed (surplus of each bin, area of each slice less their mean).
        noise: (B, M) draws of their error.
        statistic: (..., M) parts → (...) figure, positively homogeneous: sum of absolute values, highest less lowest.
        most: The largest figure there can be.
        confidence: Two-sided coverage that is aimed at.
    """
    observed = float(statistic(centre))
    null = np.sort(statistic(noise))
    tail, error = (1 - confidence) / 2, noise.var(axis=0)
    # What chance adds depends on how many parts the figure comes from, which the measured ones overstate: the lower end takes
    # them shrunk by their error, the upper end spread by it.
    shrunk = centre * np.maximum(1 - error / np.maximum(centre**2, 1e-30), 0.0)
    spread = np.sign(centre) * np.sqrt(centre**2 + error)

    def truth_at(share: float, parts: FloatArray) -> float:
        """Return the true figure under which this share of worlds shows at least what was observed."""
        size = float(statistic(parts))
        pattern = parts / size if size > 0 else centre / max(observed, 1e-30)
        low, high = 0.0, most
        if np.mean(null >= observed - _ROUNDING) >= share:
            return 0.0
        for _ in range(20):
            middle = (low + high) / 2
            reached = np.mean(statistic(middle * pattern + noise) >= observed - _ROUNDING) >= share
            low, high = (low, middle) if reached else (middle, high)
        return (low + high) / 2

    p_chance = (float((null >= observed - _ROUNDING).sum()) + 1) / (len(null) + 1)
    value = truth_at(0.5, centre)
    low, high = min(truth_at(tail, shrunk), value), truth_at(1 - tail, spread)
    by_chance = float(np.median(null))
    if high == 0.0:  # less than chance gives: no test tells such small figures apart
        high = max(observed, by_chance)
    return AgainstChance(value, Interval(low, max(high, value)), observed, by_chance, p_chance)


def ece_interval(
    surplus: FloatArray,
    replicates: FloatArray,
    binomial_variance: FloatArray,
    *,
    groups: int,
    num_videos: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> AgainstChance:
    """Return an expected calibration error without what chance adds.

    Args:
        surplus: (M,) sum of probability less label in each bin, divided by the number of videos.
        replicates: (B, M) the same in each bootstrap replicate.
        binomial_variance: (M,) sum of p (1 - p) in each bin, divided by the square of the number of videos.
        groups: G.
        num_videos: With their weights, sum(w)^2 / sum(w^2).
        rng: For bins that no replicate moves.
        confidence: Two-sided coverage that is aimed at.
    """
    surprise = 0.5 / (groups + 1)  # no bin is quite without error: half a group that was not seen
    floor = binomial_variance + surprise * (1 - surprise) / num_videos * _occupied(replicates, binomial_variance)
    deviation = replicates - replicates.mean(axis=0)
    noise = _steadied_noise(deviation, floor, LEAST_DESIGN_EFFECT * floor, groups, rng)
    return raised_by_chance(surplus, noise, lambda parts: np.abs(parts).sum(axis=-1), confidence=confidence)


def spread_interval(
    areas: FloatArray,
    replicates: FloatArray,
    supports: Sequence[Support],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> AgainstChance:
    """Return the highest minus the lowest of M areas without what chance adds, if all were truly one area.

    Args:
        areas: (M,).
        replicates: (M, B) of the areas, of one bootstrap, so that slices which share people or reals are drawn together.
        supports: M.
        rng: For slices that no replicate moves (perfect ones).
        confidence: Two-sided coverage that is aimed at.
    """
    groups = np.array([support.fewest for support in supports], dtype=np.float64)
    alone = np.array([(support.groups_fake, support.groups_real) for support in supports], dtype=np.float64).T
    videos = np.array([(support.num_fake, support.num_real) for support in supports], dtype=np.float64).T
    inner = (areas * groups + 0.5) / (groups + 1)
    single, independent = area_variance(inner, *alone), area_variance(inner, *videos)
    common, half = float((areas / single).sum() / (1 / single).sum()), 0.5 / (groups.sum() + 1)
    common = min(max(common, half), 1 - half)
    filled = np.where(np.isfinite(replicates), replicates, areas[:, None])
    deviation = (filled - filled.mean(axis=1, keepdims=True)).T
    # Each slice's design effect is its own; its variance is that of the common area, so that a perfect slice is no proof.
    under_null = area_variance(common, *videos)
    ratio = under_null / independent
    noise = _steadied_noise(deviation * np.sqrt(ratio), single * ratio, LEAST_DESIGN_EFFECT * under_null, groups, rng)
    # Draws stay in [0, 1], and lean away from the nearer bound, on the scale on which a share has constant variance.
    angle = np.arcsin(np.sqrt(common)) + noise / (2 * np.sqrt(common * (1 - common)))
    draws = np.sin(np.clip(angle, 0.0, np.pi / 2)) ** 2 - common
    return raised_by_chance(areas - areas.mean(), draws, lambda parts: np.ptp(parts, axis=-1), confidence=confidence)


def _steadied_noise(
    deviation: FloatArray, prior: FloatArray, floor: FloatArray, groups: FloatArray | int, rng: np.random.Generator
) -> FloatArray:
    """Return (B, M) deviations scaled to their steadied variance; a part that hardly moves gets normal draws."""
    count = np.asarray(groups, dtype=np.float64)
    free = np.maximum(count - 1, 0)
    variance = deviation.var(axis=0)
    wanted = (count * variance + PRIOR_GROUPS * prior) / (free + PRIOR_GROUPS)  # count = free * G / (G - 1)
    wanted = np.maximum(wanted, floor)
    still = variance <= 0.05 * wanted
    scaled = deviation * np.sqrt(wanted / np.where(still, 1.0, variance))
    return np.asarray(np.where(still, rng.normal(size=deviation.shape) * np.sqrt(wanted), scaled))


def _occupied(replicates: FloatArray, binomial_variance: FloatArray) -> FloatArray:
    """Return (M,) weights of the bins that hold videos, adding up to 1."""
    held = (np.abs(replicates).max(axis=0) > 0) | (binomial_variance > 0)
    return np.asarray(held / max(held.sum(), 1))
