"""The conformal guarantee holds on average over calibration sets, for each class by itself."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.errors import NotEvaluableError
from veridical.metrics.conformal import ConformalRule, fit_conformal


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_true_label_is_left_out_as_rarely_as_promised(rate: float) -> None:
    rng = np.random.default_rng(0)
    left_out: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(300):
        labels = np.repeat([0, 1], [40, 60])
        rule = fit_conformal(labels, rng.normal(labels * 2, 1), rate)
        test = np.repeat([0, 1], 200)
        wrong = rule.excludes(test, rng.normal(test * 2, 1))
        for label in (0, 1):
            left_out[label].append(wrong[test == label].mean())
    for label, size in ((0, 40), (1, 60)):
        share = float(np.mean(left_out[label]))
        assert share <= rate + 0.006
        assert share >= rate - 1 / (size + 1) - 0.006


def test_between_the_limits_nothing_is_said() -> None:
    rule = ConformalRule(0.1, fake_from=-1.0, real_to=2.0)
    assert rule.decide(np.array([-2.0, 0.0, 3.0])).tolist() == [0, -1, 1]
    strict = ConformalRule(0.4, fake_from=2.0, real_to=-1.0)
    assert strict.decide(np.array([-2.0, 0.0, 3.0])).tolist() == [0, -1, 1]


def test_a_guarantee_needs_enough_videos() -> None:
    labels = np.repeat([0, 1], [30, 8])
    with pytest.raises(NotEvaluableError, match="at least 9 validation videos of each class, found 8"):
        fit_conformal(labels, np.arange(38.0), 0.1)
