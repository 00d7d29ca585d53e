"""From the members' scores to one probability: common scale, temperature and bias, operating point, all from held-out scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """`p_fake` = sigmoid(logit / temperature + bias), at equal numbers of genuine and synthetic utterances."""

    temperature: float
    bias: float

    def p_fake(self, logits_N: Array) -> Array:
        """Return probabilities that the speech is synthetic."""
        return np.asarray(expit(logits_N / self.temperature + self.bias))


def fit_calibration(logits_N: Array, is_fake_N: Array, weight_N: Array) -> Calibration:
    """Fit temperature and bias by weighted cross-entropy; both classes are given the same total weight."""
    weight = weight_N.copy()
    for kind in (0, 1):
        weight[is_fake_N == kind] /= 2 * weight[is_fake_N == kind].sum()
    sign = 2 * is_fake_N - 1

    def loss(p: Array) -> float:
        return float(weight @ np.logaddexp(0, -sign * (logits_N * np.exp(-p[0]) + p[1])))

    log_temperature, bias = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Calibration(float(np.exp(log_temperature)), float(bias))


def expected_calibration_error(p_N: Array, is_fake_N: Array, weight_N: Array, num_bins: int = 10) -> float:
    """Weighted mean distance between probability and share of synthetic speech, in bins of equal width; classes weigh alike."""
    weight_N = np.where(
        is_fake_N == 1, weight_N / weight_N[is_fake_N == 1].sum(), weight_N / weight_N[is_fake_N == 0].sum()
    )
    bins = np.minimum((p_N * num_bins).astype(int), num_bins - 1)
    total = 0.0
    for b in range(num_bins):
        inside = bins == b
        if weight_N[inside].sum() > 0:
            total += abs(weight_N[inside] @ (p_N[inside] - is_fake_N[inside]))
    return float(total / weight_N.sum())


def threshold_for(genuine_p_N: Array, false_alarms: float) -> float:
    """Smallest probability at which at most that share of genuine utterances is called synthetic."""
    return float(np.nextafter(np.quantile(genuine_p_N, 1 - false_alarms, method="higher"), 2))


def scale_of(logits_N: Array, is_fake_N: Array) -> tuple[float, float]:
    """Centre (midpoint of the class means) and spread (mean within-class deviation) of a member's held-out scores."""
    means = [logits_N[is_fake_N == kind].mean() for kind in (0, 1)]
    spreads = [logits_N[is_fake_N == kind].std() for kind in (0, 1)]
    return float(np.mean(means)), float(np.mean(spreads) + 1e-9)
