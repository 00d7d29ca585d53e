"""Learning rates of the open parts."""

from __future__ import annotations

import pytest

from veridical.training.parts import cosine_lr


def test_the_rate_falls_along_a_half_cosine_to_its_end() -> None:
    rates = [cosine_lr(1e-3, 1e-5, step, 11) for step in range(11)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[5] == pytest.approx((1e-3 + 1e-5) / 2)
    assert rates[10] == pytest.approx(1e-5), "the last step has the final rate"
    assert rates == sorted(rates, reverse=True)
    assert cosine_lr(1e-3, 1e-5, 0, 1) == pytest.approx(1e-3)
