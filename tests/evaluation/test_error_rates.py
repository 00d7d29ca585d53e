"""How often intervals hold the truth and verdicts err, on simulated detectors: small versions of the scripts in benchmarks/."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.clean_worlds import judged
from benchmarks.compare_null import p_values
from benchmarks.coverage import measure


@pytest.mark.slow
def test_every_figure_holds_the_truth_with_six_and_with_twenty_people() -> None:
    rows = measure(12, (6, 20), ("1:1",), 200)
    assert len({row["figure"] for row in rows}) >= 20
    assert sum(int(str(row["zero"])) + int(str(row["outside"])) for row in rows) == 0
    known = {f"{row['figure']}, {row['people']}": float(str(row["coverage"])) for row in rows}
    assert {name: share for name, share in known.items() if share < 85} == {}, "of 60; none is truly under 90 %"
    assert np.nanmean(list(known.values())) > 95


@pytest.mark.slow
def test_three_people_get_no_figures() -> None:
    assert {row["withheld"] for row in measure(2, (3,), ("1:1",), 60)} == {100.0}


@pytest.mark.slow
def test_clean_worlds_are_seldom_flagged_and_a_planted_bias_often() -> None:
    clean, biased = judged(12, 15, 200), judged(120, 10, 200, bias=0.1)
    assert float(str(clean["certain_flag"])) <= 0.15
    assert float(str(clean["any_flag"])) <= 0.4
    assert float(str(biased["gender_flag"])) >= 0.5


@pytest.mark.slow
def test_two_equal_detectors_differ_as_rarely_as_p_says() -> None:
    ours, delong = p_values(20, 0.85, 400).T
    assert 0.02 <= np.mean(ours < 0.05) <= 0.08
    assert np.mean(delong < 0.05) > np.mean(ours < 0.05)
