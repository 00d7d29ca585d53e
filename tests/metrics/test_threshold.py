"""Decision metrics against scikit-learn; thresholds do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import ArrayLike

from veridical.metrics import DECISION_METRICS, confusion, decision_metrics, threshold_at_eer, threshold_at_tpr


def decision_metric(name: str, labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    return float(decision_metrics(confusion(labels, scores, threshold))[name])


REFERENCES = {
    "accuracy": sklearn.metrics.accuracy_score,
    "balanced_accuracy": sklearn.metrics.balanced_accuracy_score,
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
    "f1": sklearn.metrics.f1_score,
    "fpr": lambda labels, called: 1 - sklearn.metrics.recall_score(labels, called, pos_label=0),
}


@pytest.mark.parametrize("name", DECISION_METRICS)
@pytest.mark.parametrize("threshold", [-0.5, 0.5, 1.3])
def test_agrees_with_scikit_learn(name: str, threshold: float) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(300) < 0.4).astype(int)
    scores = np.round(rng.normal(labels, 1), 1)
    expected = REFERENCES[name](labels, (scores >= threshold).astype(int))
    assert decision_metric(name, labels, scores, threshold) == pytest.approx(expected, abs=1e-12)


def test_a_score_at_the_threshold_is_called_fake() -> None:
    assert decision_metric("recall", [0, 1], [0.1, 0.5], 0.5) == 1.0


def test_precision_without_any_call_is_not_a_number_that_lies() -> None:
    assert np.isnan(decision_metric("precision", [0, 1], [0.1, 0.5], 9.0))
    assert decision_metric("f1", [0, 1], [0.1, 0.5], 9.0) == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_threshold_at_tpr_is_the_highest_that_finds_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(90) < 0.5).astype(int)
    scores = np.round(rng.normal(labels, 1), 1)
    threshold = threshold_at_tpr(labels, scores, 0.95)
    assert (scores[labels == 1] >= threshold).mean() >= 0.95
    higher = scores[scores >= threshold].min() + 1e-9
    assert (scores[labels == 1] >= higher).mean() < 0.95


@pytest.mark.parametrize("seed", range(8))
def test_threshold_at_eer_balances_the_errors_as_well_as_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(90) < 0.5).astype(int)
    scores = rng.normal(labels, 1)

    def imbalance(threshold: float) -> float:
        called = scores >= threshold
        return abs(called[labels == 0].mean() - (~called)[labels == 1].mean())

    best = min(imbalance(t) for t in [np.inf, *scores])
    assert imbalance(threshold_at_eer(labels, scores)) == pytest.approx(best, abs=1e-12)


def test_thresholds_of_separated_classes_lie_between_them() -> None:
    assert threshold_at_eer([0, 0, 1, 1], [0.0, 1.0, 3.0, 4.0]) == 2.0
    assert threshold_at_tpr([0, 0, 1, 1], [0.0, 1.0, 3.0, 4.0]) == 2.0
