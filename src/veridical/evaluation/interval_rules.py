"""Which interval each figure gets: the rule from a value and its bootstrap replicates to an interval."""

from __future__ import annotations

from collections.abc import Callable

from veridical.metrics import (
    LEAST_DESIGN_EFFECT,
    FloatArray,
    Interval,
    Support,
    auc_interval,
    average_precision_interval,
    error_rate_interval,
    f1_interval,
    group_variance,
    mean_interval,
    positive_interval,
    rate_interval,
    share_interval,
)

IntervalRule = Callable[[float, FloatArray], Interval]
"""From the value and its (B,) replicates."""
RANK_INTERVALS = {
    "auc": auc_interval,
    "eer": error_rate_interval,
    "average_precision": average_precision_interval,
}
"""Figures with an interval of their own; the others are shares of one class."""
SET_BY = {"tpr_at_1_fpr": ("real", 0.01), "tpr_at_5_fpr": ("real", 0.05), "fpr_at_95_tpr": ("fake", 0.05)}
"""Rates at a threshold: the class whose videos set it, and the share of them beyond."""


def rank_rule(name: str, support: Support, confidence: float) -> IntervalRule:
    """Return how the interval of a ranking metric is made."""

    def interval(value: float, replicates: FloatArray) -> Interval:
        variance = group_variance(replicates, support.fewest)
        if name in RANK_INTERVALS:
            return RANK_INTERVALS[name](value, variance, support, confidence)
        reals = name.startswith("fpr")
        trials = support.num_real if reals else support.num_fake
        return rate_interval(value, replicates, trials=trials, groups=support.fewest, confidence=confidence)

    return interval


def decision_rule(name: str, counts: FloatArray, support: Support, confidence: float) -> IntervalRule:
    """Return how the interval of a decision metric is made from confusion counts (4,)."""
    tp, fp, tn, fn = (float(count) for count in counts)
    trials, groups = {
        "accuracy": (tp + fp + tn + fn, support.groups),
        "precision": (tp + fp, support.groups),
        "recall": (tp + fn, support.groups_fake),
        "fpr": (fp + tn, support.groups_real),
        "f1": (tp + fp + fn, support.groups),
        "balanced_accuracy": (0.0, support.fewest),
    }[name]

    def interval(value: float, replicates: FloatArray) -> Interval:
        variance = group_variance(replicates, groups)
        if name == "balanced_accuracy":
            return error_rate_interval(value, variance, support, confidence)
        size, held = max(trials, 1.0), min(groups, max(int(trials), 1))
        if name == "f1":
            return f1_interval(value, variance, trials=size, groups=held, confidence=confidence)
        least = LEAST_DESIGN_EFFECT if name == "accuracy" else 1.0
        return share_interval(value, variance, trials=size, groups=held, confidence=confidence, least_effect=least)

    return interval


def share_rule(trials: float, groups: int, confidence: float) -> IntervalRule:
    """Return how the interval of a share of so many trials, of so many people, is made."""

    def interval(value: float, replicates: FloatArray) -> Interval:
        variance = group_variance(replicates, groups)
        return share_interval(value, variance, trials=trials, groups=groups, confidence=confidence)

    return interval


def mean_rule(row_variance: float, rows: int, groups: int, confidence: float) -> IntervalRule:
    """Return how the interval of a mean of losses in [0, 1] is made."""

    def interval(value: float, replicates: FloatArray) -> Interval:
        variance = group_variance(replicates, groups)
        return mean_interval(
            value, variance, row_variance=row_variance, rows=rows, groups=groups, confidence=confidence
        )

    return interval


def positive_rule(groups: int, confidence: float) -> IntervalRule:
    """Return how the interval of a mean loss without an upper bound is made."""
    return lambda value, replicates: positive_interval(value, group_variance(replicates, groups), groups, confidence)
