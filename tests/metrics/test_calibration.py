"""Calibration against brute force, scikit-learn and known truths."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.isotonic
import sklearn.metrics

from veridical.errors import NotEvaluableError
from veridical.metrics import (
    ece,
    ece_by_chance,
    equal_count_edges,
    equal_width_edges,
    fit_beta,
    fit_isotonic,
    fit_temperature,
    logit_of,
    reliability,
    row_log_loss,
)
from veridical.metrics.calibration import TEMPERATURE_BOUNDS


def overconfident(seed: int, size: int = 4000, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times the true log odds."""
    rng = np.random.default_rng(seed)
    true_logit = rng.normal(0, 1.5, size)
    labels = (rng.random(size) < scipy.special.expit(true_logit)).astype(int)
    return labels, true_logit * factor


def ece_by_hand(labels: np.ndarray, p_fake: np.ndarray, bins: int) -> float:
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = (p_fake >= low) & ((p_fake < high) | (index == bins - 1))
        if inside.any():
            total += inside.mean() * abs(p_fake[inside].mean() - labels[inside].mean())
    return total


@pytest.mark.parametrize("seed", range(4))
def test_ece_agrees_with_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, p_fake = rng.integers(0, 2, 500), np.round(rng.random(500), 3)
    assert ece(labels, p_fake) == pytest.approx(ece_by_hand(labels, p_fake, 10), abs=1e-12)


def test_ece_of_known_cases() -> None:
    assert ece([0, 1], [0.0, 1.0]) == 0.0
    assert ece([0, 1], [1.0, 0.0]) == 1.0
    assert ece([1, 1, 1, 0], [0.75] * 4) == 0.0


def test_adaptive_bins_hold_equally_many_rows_and_keep_ties_together() -> None:
    p_fake = np.random.default_rng(0).beta(0.3, 0.3, 1000)
    counts = reliability(np.zeros(1000, int), p_fake, equal_count_edges(p_fake, 10)).count
    assert counts.sum() == 1000
    assert counts.min() >= 99
    tied = np.repeat([0.2, 0.9], [990, 10])
    assert equal_count_edges(tied, 10).tolist() == [0.0, 0.2, 1.0]


def test_log_loss_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels, p_fake = rng.integers(0, 2, 300), rng.random(300)
    assert row_log_loss(labels, p_fake).mean() == pytest.approx(sklearn.metrics.log_loss(labels, p_fake))


def test_temperature_finds_the_factor_and_the_optimum() -> None:
    labels, logits = overconfident(0)
    fitted = fit_temperature(labels, logits)
    assert fitted.temperature == pytest.approx(3.0, rel=0.1)
    assert not fitted.at_bound

    def loss(temperature: float) -> float:
        return sklearn.metrics.log_loss(labels, scipy.special.expit(logits / temperature))

    grid = scipy.optimize.brute(
        lambda t: loss(float(t[0])), [(0.5, 10)], Ns=400, finish=scipy.optimize.fmin, disp=False
    )
    assert fitted.temperature == pytest.approx(float(grid[0]), rel=1e-3)
    assert fitted.loss_after == pytest.approx(loss(fitted.temperature), abs=1e-9)
    assert ece(labels, fitted.calibration.p_fake(logits)) < ece(labels, scipy.special.expit(logits)) / 3


def test_temperature_is_bounded_where_no_best_value_exists() -> None:
    separated = fit_temperature([0, 0, 1, 1], [-1.0, -2.0, 1.0, 2.0])
    assert separated.at_bound
    assert separated.temperature == 1.0, "four videos are no evidence for certainty"
    many = fit_temperature([0, 1] * 50_000, [-1.0, 1.0] * 50_000)
    assert many.at_bound
    assert many.temperature < 0.2
    reversed_scores = fit_temperature([0, 0, 1, 1], [1.0, 2.0, -1.0, -2.0])
    assert reversed_scores.at_bound
    assert reversed_scores.temperature == pytest.approx(TEMPERATURE_BOUNDS[1], rel=0.02)


def test_chance_is_not_made_certain() -> None:
    rng = np.random.default_rng(3)
    labels = np.array([0, 1] * 8)
    logits = 0.05 * (rng.normal(size=16) + 0.3 * labels)
    fitted = fit_temperature(labels, logits)
    assert fitted.temperature == 1.0
    assert np.abs(fitted.calibration.p_fake(logits) - 0.5).max() < 0.05


def test_a_temperature_below_one_goes_as_far_as_the_evidence() -> None:
    labels, logits = overconfident(4, size=4000, factor=0.2)
    assert fit_temperature(labels, logits).temperature == pytest.approx(0.2, rel=0.15)
    few = fit_temperature(labels, logits, num_independent=40).temperature
    assert 0.2 < few < 1.0
    assert fit_temperature(labels, logits, num_independent=4).temperature > few
    n = 60
    loss = [
        sklearn.metrics.log_loss(labels[:n], scipy.special.expit(logits[:n] / t)) for t in np.linspace(0.05, 1, 2000)
    ]
    allowed = np.linspace(0.05, 1, 2000)[n * (np.array(loss) - min(loss)) <= scipy.stats.chi2.ppf(0.95, 1) / 2]
    assert fit_temperature(labels[:n], logits[:n]).temperature == pytest.approx(allowed.max(), abs=2e-3)


def test_isotonic_agrees_with_scikit_learn_and_beta_corrects_a_shift() -> None:
    labels, logits = overconfident(2)
    reference = sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit(logits, labels)
    at = np.linspace(-12, 12, 101)
    assert np.allclose(fit_isotonic(labels, logits)(at), reference.predict(at))
    shifted = logits + 4.0
    fitted = fit_beta(labels, shifted)
    assert (
        ece(labels, fitted(shifted)) < 0.03 < ece(labels, fit_temperature(labels, shifted).calibration.p_fake(shifted))
    )
    assert (np.diff(fitted(at)) >= 0).all()


@pytest.mark.parametrize("fit", [fit_temperature, fit_isotonic, fit_beta])
def test_calibration_refuses_one_class(fit) -> None:
    with pytest.raises(NotEvaluableError, match="one class only"):
        fit([1, 1, 1], [0.0, 1.0, 2.0])


@pytest.mark.parametrize("wrong", [1.2, -0.1, np.nan])
def test_probabilities_outside_the_unit_interval_are_refused(wrong: float) -> None:
    with pytest.raises(NotEvaluableError, match="1 of 2 probabilities"):
        ece([0, 1], [0.5, wrong])


def test_chance_alone_gives_what_calibrated_draws_give() -> None:
    rng = np.random.default_rng(5)
    p_fake = rng.random(150)
    drawn = np.mean([ece((rng.random(150) < p_fake).astype(int), p_fake) for _ in range(400)])
    assert ece_by_chance(p_fake) == pytest.approx(drawn, abs=0.006)
    assert ece_by_chance(rng.random(15_000)) < ece_by_chance(p_fake) / 5


def test_logit_of_inverts_the_sigmoid_and_survives_the_ends() -> None:
    assert np.allclose(logit_of(scipy.special.expit(np.array([-9.0, 0.0, 4.0]))), [-9.0, 0.0, 4.0])
    assert np.isfinite(logit_of([0.0, 1.0])).all()
    assert len(equal_width_edges(10)) == 11
