"""Aggregation of clip logits against NumPy, video by video."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from veridical.metrics.aggregation import Aggregation, AggregationRule


def by_hand(rule: str, top_k: int, logits: np.ndarray) -> float:
    logits = logits[np.isfinite(logits)]
    if not len(logits):
        return np.nan
    highest = np.sort(logits)[::-1]
    return float(
        {
            "mean": np.mean(logits),
            "max": np.max(logits),
            "median": np.median(logits),
            "top-k": np.mean(highest[:top_k]),
        }[rule]
    )


@pytest.mark.parametrize("rule", get_args(AggregationRule))
@pytest.mark.parametrize("top_k", [1, 2, 3, 50])
def test_every_rule_agrees_with_numpy(rule: AggregationRule, top_k: int) -> None:
    rng = np.random.default_rng(top_k)
    video = rng.integers(0, 12, 200)
    logits = rng.normal(size=200)
    logits[rng.random(200) < 0.2] = np.nan
    logits[video == 5] = np.nan
    aggregation = Aggregation(rule=rule, top_k=top_k)
    actual = aggregation.video_logits(logits, video, 14)
    expected = [by_hand(rule, top_k, logits[video == number]) for number in range(14)]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    assert np.isnan(actual[[5, 12, 13]]).all()
    assert aggregation.video_logit(logits[video == 3]) == pytest.approx(expected[3])


def test_names() -> None:
    assert str(Aggregation()) == "mean"
    assert str(Aggregation(rule="top-k", top_k=2)) == "top-2"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("mean", [True, True, True, True, False, True, True]),
        ("max", [False, True, False, True, False, True, False]),
        ("median", [False, False, True, True, False, True, True]),
        ("top-k", [False, True, True, True, False, True, True]),
    ],
)
def test_selected_clips_by_hand(rule: AggregationRule, expected: list[bool]) -> None:
    logits = np.array([1.0, 3.0, 2.0, -1.0, np.nan, 5.0, 5.0])
    video = np.array([0, 0, 0, 2, 1, 1, 1])
    assert Aggregation(rule=rule, top_k=2).selected(logits, video).tolist() == expected
