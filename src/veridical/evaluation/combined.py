"""Figures made of figures: differences, weighted sums, the spread over slices, the precision in deployment."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from veridical.evaluation.figures import Figure, without_chance
from veridical.metrics import (
    FloatArray,
    Support,
    correlations,
    linear_interval,
    precision_at_prevalence,
    spread_interval,
)
from veridical.randomness import stream


def difference(first: Figure, second: Figure, confidence: float = 0.95, *, paired: bool = True) -> Figure:
    """Return first minus second.

    Args:
        first: A figure.
        second: Another.
        confidence: Coverage of the interval.
        paired: Both come from one bootstrap; False for other people (two data sets).
    """
    return linear([first, second], (1.0, -1.0), confidence=confidence, paired=paired)


def linear(
    figures: list[Figure],
    weights: tuple[float, ...],
    constant: float = 0.0,
    confidence: float = 0.95,
    *,
    paired: bool = True,
) -> Figure:
    """Return a weighted sum of figures with its interval; the arguments are those of :func:`metrics.linear_interval`."""
    missing = next((figure for figure in figures if not figure.evaluable), None)
    if missing is not None:
        return Figure(reason=missing.reason)
    n_real, n_fake = (min(getattr(figure, name) for figure in figures) for name in ("n_real", "n_fake"))
    replicates, supports = _behind(figures)
    related = correlations(replicates) if paired else None
    total = linear_interval([figure.estimate for figure in figures], weights, related, constant)
    support = min(supports, key=lambda support: support.fewest)
    low, high = total.interval.low, total.interval.high
    summed = constant + np.array(weights) @ replicates
    return Figure(total.value, low, high, n_real, n_fake, "", summed, support, no_fault=0.0)


def precision_in_use(recall: Figure, fpr: Figure, prevalence: float) -> Figure:
    """Return the precision where a share `prevalence` of the videos is fake."""
    for figure in (recall, fpr):
        if not figure.evaluable:
            return Figure(n_real=figure.n_real, n_fake=figure.n_fake, reason=figure.reason)
    precision = precision_at_prevalence(recall.estimate, fpr.estimate, prevalence)
    if not np.isfinite(precision.value):
        return Figure(n_real=fpr.n_real, n_fake=fpr.n_fake, reason="not defined: nothing is called fake")
    low, high = precision.interval.low, precision.interval.high
    return Figure(precision.value, low, high, fpr.n_real, fpr.n_fake, "", None, fpr.support)


def spread(figures: Iterable[Figure], confidence: float = 0.95, seed: int = 0) -> Figure:
    """Return the highest minus the lowest AUC of slices, without what chance adds."""
    figures = [figure for figure in figures if figure.evaluable]
    if len(figures) < 2:
        return Figure(reason="fewer than two slices stand on enough people")
    replicates, supports = _behind(figures)
    measured = spread_interval(
        np.array([figure.value for figure in figures]),
        replicates,
        supports,
        rng=stream(seed, "spread", len(figures)),
        confidence=confidence,
    )
    n_real, n_fake = (min(getattr(figure, name) for figure in figures) for name in ("n_real", "n_fake"))
    return without_chance(measured, n_real, n_fake, min(supports, key=lambda support: support.fewest))


def _behind(figures: list[Figure]) -> tuple[FloatArray, list[Support]]:
    """Return the (F, B) replicates of evaluable figures and what stands behind each."""
    replicates = [figure.replicates for figure in figures if figure.replicates is not None]
    supports = [figure.support for figure in figures if figure.support is not None]
    assert len(replicates) == len(supports) == len(figures), "only figures of one sample each can be combined"
    return np.stack(replicates), supports
