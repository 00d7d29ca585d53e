"""Ranking metrics against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics import average_precision_of, eer_of, fpr_at_tpr_of, roc_auc, roc_curve, tpr_at_fpr_of


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    return float(eer_of(roc_curve(labels, scores))[0])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    return float(average_precision_of(roc_curve(labels, scores))[0])


def fpr_at_tpr(labels: ArrayLike, scores: ArrayLike, tpr: float = 0.95) -> float:
    return float(fpr_at_tpr_of(roc_curve(labels, scores), tpr)[0])


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float = 0.01) -> float:
    return float(tpr_at_fpr_of(roc_curve(labels, scores), fpr)[0])


def samples(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(200) < 0.3).astype(int)
    scores = rng.normal(labels, 1)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int, ties: bool) -> None:
    labels, scores = samples(seed, ties=ties)
    weights = np.random.default_rng(seed + 100).integers(0, 4, len(labels)).astype(float)
    assert roc_auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert roc_auc(labels, scores, weights) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )
    assert average_precision(labels, scores) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-12
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_rates_agree_with_brute_force(seed: int, ties: bool) -> None:
    labels, scores = samples(seed, ties=ties)
    rates = [
        ((scores >= t)[labels == 1].mean(), (scores >= t)[labels == 0].mean()) for t in [np.inf, *np.unique(scores)]
    ]
    assert fpr_at_tpr(labels, scores, 0.95) == pytest.approx(min(fpr for tpr, fpr in rates if tpr >= 0.95))
    assert tpr_at_fpr(labels, scores, 0.05) == pytest.approx(max(tpr for tpr, fpr in rates if fpr <= 0.05))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_eer_is_where_the_interpolated_curve_crosses(seed: int, ties: bool) -> None:
    labels, scores = samples(seed, ties=ties)
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    path = np.linspace(0, len(fpr) - 1, 400_001)
    x, y = np.interp(path, np.arange(len(fpr)), fpr), np.interp(path, np.arange(len(fpr)), tpr)
    assert eer(labels, scores) == pytest.approx(x[np.argmin(np.abs(x - (1 - y)))], abs=1e-4)


def test_documented_values_of_scores_without_information() -> None:
    labels = [0, 1, 1, 1]
    assert roc_auc(labels, [2.0] * 4) == 0.5
    assert eer(labels, [2.0] * 4) == 0.5
    assert average_precision(labels, [2.0] * 4) == 0.75
    assert fpr_at_tpr(labels, [2.0] * 4) == 1.0
    assert tpr_at_fpr(labels, [2.0] * 4) == 0.0


def test_perfect_and_reversed() -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]
    assert (roc_auc(labels, scores), eer(labels, scores), fpr_at_tpr(labels, scores)) == (1.0, 0.0, 0.0)
    reversed_scores = [-score for score in scores]
    assert (roc_auc(labels, reversed_scores), eer(labels, reversed_scores)) == (0.0, 1.0)


@pytest.mark.parametrize("metric", [roc_auc, roc_curve])
@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([1, 1], [0.1, 0.2], "one class only: 0 real, 2 fake"),
        ([0, 0], [0.1, 0.2], "one class only: 2 real, 0 fake"),
        ([], [], "no rows"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are NaN"),
        ([0, 1], [np.inf, 0.1], "1 of 2 scores are NaN or infinite"),
    ],
)
def test_refuses_what_cannot_be_judged(metric, labels, scores, reason) -> None:
    with pytest.raises(NotEvaluableError, match=reason):
        metric(labels, scores)


@pytest.mark.parametrize(("labels", "scores"), [([0, 2], [0.1, 0.2]), ([0, 1, 1], [0.1, 0.2])])
def test_wrong_arguments_are_errors_of_the_programmer(labels, scores) -> None:
    with pytest.raises(ValueError):
        roc_auc(labels, scores)


scored = st.lists(st.tuples(st.integers(0, 1), st.integers(-20, 20)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@given(scored)
def test_only_the_order_counts(rows) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=float)
    stretched = np.exp(scores / 5) * 3 - 1
    for metric in (roc_auc, eer, average_precision, fpr_at_tpr):
        assert metric(labels, stretched) == pytest.approx(metric(labels, scores), abs=1e-12)


@given(scored)
def test_swapping_the_classes_mirrors_the_auc(rows) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=float)
    assert roc_auc(1 - labels, -scores) == pytest.approx(roc_auc(labels, scores), abs=1e-12)
    assert eer(1 - labels, -scores) == pytest.approx(eer(labels, scores), abs=1e-12)


def test_a_rate_that_is_reached_exactly_needs_no_further_threshold() -> None:
    labels, scores = [1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0]
    assert fpr_at_tpr(labels, scores, 0.5) == 0.0
    assert fpr_at_tpr(labels, scores, 0.51) == 0.5
