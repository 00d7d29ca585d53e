"""Intervals: their properties, closed forms that they must agree with, and how often they hold the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.metrics import (
    Estimate,
    Interval,
    Support,
    auc_interval,
    average_precision_interval,
    correlations,
    ece_interval,
    error_rate_interval,
    f1_interval,
    linear_interval,
    mean_interval,
    positive_interval,
    precision_at_prevalence,
    rate_interval,
    share_interval,
    spread_interval,
    too_few_for_rate,
)

ONE_EACH = Support(num_fake=30, num_real=20, groups_fake=10, groups_real=8, groups=12)
SINGLE: dict[str, Callable[[float, float, float], Interval]] = {
    "auc": lambda value, variance, level: auc_interval(value, variance, ONE_EACH, level),
    "average precision": lambda value, variance, level: average_precision_interval(
        max(value, 0.35), variance, ONE_EACH, level
    ),
    "error rate": lambda value, variance, level: error_rate_interval(value, variance, ONE_EACH, level),
    "share": lambda value, variance, level: share_interval(value, variance, trials=30, groups=10, confidence=level),
    "mean": lambda value, variance, level: mean_interval(
        value, variance, row_variance=0.04, rows=50, groups=12, confidence=level
    ),
    "f1": lambda value, variance, level: f1_interval(value, variance, trials=30, groups=10, confidence=level),
}


@pytest.mark.parametrize("name", SINGLE)
@settings(max_examples=60, deadline=None)
@given(value=st.floats(0, 1), variance=st.floats(0, 0.05))
def test_the_value_lies_inside_and_no_width_is_zero(name: str, value: float, variance: float) -> None:
    narrow, wide = (SINGLE[name](value, variance, level) for level in (0.8, 0.95))
    inside = max(value, 0.35) if name == "average precision" else value
    assert narrow.low <= inside <= narrow.high
    assert 0 <= wide.low <= narrow.low
    assert narrow.high <= wide.high <= 1
    assert wide.high - wide.low > narrow.high - narrow.low > 0.01


@pytest.mark.parametrize("name", SINGLE)
def test_more_variance_over_people_widens_the_interval(name: str) -> None:
    widths = [ends.high - ends.low for ends in (SINGLE[name](0.8, variance, 0.95) for variance in (0.002, 0.01, 0.03))]
    assert widths[0] < widths[1] < widths[2]


def test_a_share_of_many_independent_trials_has_the_interval_of_wilson() -> None:
    exact = scipy.stats.binomtest(1600, 2000).proportion_ci(method="wilson")
    ours = share_interval(0.8, 0.8 * 0.2 / 2000, trials=2000, groups=2000)
    assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), abs=1e-4)


def test_a_perfect_share_of_a_few_people_is_no_certainty() -> None:
    ours = share_interval(1.0, 0.0, trials=6, groups=6)
    assert ours.high == 1.0
    assert 0.4 < ours.low < scipy.stats.beta.ppf(0.025, 6, 1) + 0.1


def test_a_rate_at_a_threshold_reaches_as_far_as_its_replicates() -> None:
    replicates = np.random.default_rng(0).choice([0.2, 0.9], 500)
    ours = rate_interval(0.85, replicates, trials=40, groups=15)
    assert ours.low <= 0.2
    assert ours.high >= 0.9
    assert too_few_for_rate(299, 0.01, "real").startswith("too few to say (299 real videos;")
    assert too_few_for_rate(300, 0.01, "real") == ""


def test_a_loss_keeps_a_positive_interval() -> None:
    ours = positive_interval(0.4, 0.0, groups=6)
    assert 0 < ours.low < 0.4 < ours.high


def test_a_difference_of_independent_figures_is_newcombes() -> None:
    """R. Newcombe, 1998, table II, method 10: 56/70 minus 48/80 is .2 [.0524, .3339]."""
    parts = [
        Estimate(number / of, Interval(*scipy.stats.binomtest(number, of).proportion_ci(method="wilson")))
        for number, of in ((56, 70), (48, 80))
    ]
    apart = linear_interval(parts, (1.0, -1.0))
    assert (apart.value, apart.interval.low, apart.interval.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_figures_that_move_together_differ_by_little() -> None:
    """The intervals are not symmetric, and yet nothing is left of them where both figures are one."""
    part = Estimate(0.95, Interval(0.85, 0.98))
    tied, free = (
        linear_interval([part, part], (1.0, -1.0), np.array([[1.0, r], [r, 1.0]])).interval for r in (1.0, 0.0)
    )
    assert tied.high - tied.low == pytest.approx(0, abs=1e-9)
    assert free.high - free.low == pytest.approx(2 * np.hypot(0.1, 0.03))
    opposed = linear_interval([part, part], (1.0, 1.0), np.array([[1.0, -1.0], [-1.0, 1.0]])).interval
    assert opposed.high - opposed.low < free.high - free.low
    halves = linear_interval([part, part], (0.5, 0.5), np.ones((2, 2))).interval
    assert (halves.low, halves.high) == pytest.approx((0.85, 0.98))


def test_figures_that_do_not_vary_are_not_taken_as_tied() -> None:
    replicates = np.stack([np.ones(20), np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
    assert correlations(replicates) == pytest.approx(np.array([[1, 0, 0], [0, 1, -1], [0, -1, 1]]))


def test_no_false_alarm_among_twenty_reals_is_no_precision_of_one() -> None:
    recall, fpr = Estimate(0.9, Interval(0.7, 0.97)), Estimate(0.0, Interval(0.0, 0.17))
    precision = precision_at_prevalence(recall, fpr, 0.01)
    assert precision.value == 1.0
    assert 0.02 < precision.interval.low < 0.06
    assert precision.interval.high == 1.0


def test_calibration_error_that_chance_explains_is_not_held_against_a_detector() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, (400, 10))
    variance = np.full(10, 0.02**2)
    arguments = {"groups": 60, "num_videos": 240.0, "rng": rng}
    quiet = ece_interval(noise[0], noise + noise[0], variance, **arguments)
    assert quiet.observed == pytest.approx(np.abs(noise[0]).sum())
    assert quiet.p_chance > 0.05
    assert quiet.interval.low == 0.0
    assert quiet.interval.low <= quiet.value < quiet.observed
    loud = ece_interval(np.full(10, 0.06), noise + 0.06, variance, **arguments)
    assert loud.p_chance < 0.01
    assert 0.3 < loud.interval.low < loud.value < loud.interval.high < 1
    assert loud.by_chance < 0.3 < loud.observed


def test_a_spread_is_compared_with_what_chance_gives() -> None:
    rng = np.random.default_rng(1)
    support = Support(30, 30, 10, 10, 10)
    areas = np.array([0.85, 0.88, 0.9, 0.83])
    replicates = areas[:, None] + rng.normal(0, 0.05, (4, 400))
    chance = spread_interval(areas, replicates, [support] * 4, rng=rng)
    assert chance.observed == pytest.approx(0.07)
    assert chance.by_chance > 0.07
    assert (chance.value, chance.interval.low) == (0.0, 0.0)
    assert chance.interval.high > 0.07
    assert chance.p_chance > 0.3
    many = Support(900, 900, 300, 300, 300)
    apart = np.array([0.9, 0.7])
    proven = spread_interval(apart, apart[:, None] + rng.normal(0, 0.012, (2, 400)), [many] * 2, rng=rng)
    assert proven.p_chance < 0.01
    assert 0.1 < proven.interval.low < proven.value < proven.interval.high < 0.3
    perfect = spread_interval(np.ones(2), np.ones((2, 400)), [support] * 2, rng=rng)
    assert (perfect.value, perfect.interval.low) == (0.0, 0.0)
    assert perfect.interval.high > 0.01
