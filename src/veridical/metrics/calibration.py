"""Calibration: how far probabilities are from observed shares, and maps from logits to calibrated probabilities.

ECE here is that of the probability of fake in a two-class problem (mean |mean p - share of fakes| over bins, weighted
by rows), after M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.
Temperature scaling: C. Guo et al., 2017; beta calibration: M. Kull et al., 2017. Give every `fit_*` function validation
data only. What fits is imported where it is used: scipy.optimize and scikit-learn take long to load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics.checks import FloatArray, IntArray, labels_and_probabilities, labels_and_scores
from veridical.randomness import stream
from veridical.settings import Settings

TEMPERATURE_BOUNDS = (0.05, 20.0)
EVIDENCE_NATS = 1.92
"""Half of the 95 % quantile of chi-squared with one degree of freedom: how much log likelihood a likelihood ratio test needs."""
_EDGE = 1e-12


@dataclass(frozen=True)
class Reliability:
    """What a reliability diagram shows: a row per bin of p_fake; empty bins have weight 0 and NaN means."""

    edges: FloatArray
    """(bins + 1,) of p_fake, ascending; bins are half-open, the last is closed."""
    count: FloatArray
    """(bins,) rows in each bin."""
    mean_p_fake: FloatArray
    """(bins,) mean probability of fake."""
    fake_share: FloatArray
    """(bins,) share of fakes among the rows."""


class Calibration(Settings):
    """How a logit becomes a calibrated probability: p_fake = sigmoid(logit / temperature)."""

    temperature: float
    fitted_on: str = ""
    """Data and level, for example `val, mean logit per video`."""
    num_videos: int = 0
    ece_before: float | None = None
    ece_after: float | None = None
    """Expected calibration error on the videos of the fit, hence optimistic."""

    def p_fake(self, logits: FloatArray | float) -> FloatArray:
        """Return the calibrated probability of fake, in the shape of the logits."""
        return np.asarray(scipy.special.expit(np.asarray(logits, dtype=np.float64) / self.temperature))


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, and how well it fits."""

    temperature: float
    """The best one; below 1 only as far as there is evidence for it."""
    at_bound: bool
    """The best value lies at the edge of what is allowed: the validation set is separated perfectly, or not at all."""
    loss_before: float
    """Log loss on the validation set at temperature 1, nats."""
    loss_after: float

    @property
    def calibration(self) -> Calibration:
        """The map to probabilities."""
        return Calibration(temperature=self.temperature)


@dataclass(frozen=True)
class MonotoneMap:
    """A calibration map given by points, linear in between and constant outside (isotonic and beta calibration)."""

    kind: Literal["isotonic", "beta"]
    logits: FloatArray
    """(P,) ascending."""
    p_fake: FloatArray
    """(P,) not descending."""

    def __call__(self, logits: FloatArray) -> FloatArray:
        """Return the calibrated probability of fake of (n,) logits."""
        return np.asarray(np.interp(logits, self.logits, self.p_fake))


def equal_width_edges(bins: int) -> FloatArray:
    """Return the (bins + 1,) edges of equally wide bins of [0, 1]."""
    return np.arange(bins + 1) / bins


def equal_count_edges(p_fake: FloatArray, bins: int) -> FloatArray:
    """Return edges of bins that hold about equally many rows; equal values stay together, so there may be fewer."""
    inner = np.unique(np.quantile(p_fake, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    inner = inner[(inner > 0) & (inner < 1)]
    return np.concatenate([[0.0], inner, [1.0]])


def bin_index(p_fake: FloatArray, edges: FloatArray) -> IntArray:
    """Return which bin each probability is in: bins are half-open [low, high), the last one closed."""
    return np.clip(np.searchsorted(edges, p_fake, side="right") - 1, 0, len(edges) - 2)


def reliability(labels: ArrayLike, p_fake: ArrayLike, edges: FloatArray) -> Reliability:
    """Return bin counts, mean probabilities and shares of fakes.

    Raises:
        NotEvaluableError: no rows, or probabilities that are NaN or outside [0, 1].
    """
    label_array, probability = labels_and_probabilities(labels, p_fake)
    index, size = bin_index(probability, edges), len(edges) - 1
    count = np.bincount(index, minlength=size).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights=probability, minlength=size) / count
        share = np.bincount(index, weights=label_array, minlength=size) / count
    return Reliability(edges, count, mean, share)


def ece(labels: ArrayLike, p_fake: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error over equally wide bins of p_fake, in [0, 1], lower is better."""
    table = reliability(labels, p_fake, equal_width_edges(bins))
    distance = np.abs(np.nan_to_num(table.mean_p_fake - table.fake_share))
    return float((distance * table.count).sum() / table.count.sum())


def ece_by_chance(p_fake: ArrayLike, bins: int = 10, *, draws: int = 200, seed: int = 0) -> float:
    """Return the mean ECE that perfectly calibrated probabilities would show at this sample size, by chance alone."""
    probability = np.sort(np.asarray(p_fake, dtype=np.float64))
    index = bin_index(probability, equal_width_edges(bins))
    rng = stream(seed, "ece by chance", len(probability))
    total = 0.0
    for _ in range(draws):
        surplus = probability - (rng.random(len(probability)) < probability)
        total += float(np.abs(np.bincount(index, weights=surplus, minlength=bins)).sum() / len(probability))
    return total / draws


def row_log_loss(labels: IntArray, p_fake: FloatArray) -> FloatArray:
    """Return the negative log likelihood of each row, nats; probabilities are kept 1e-12 away from 0 and 1."""
    kept = np.clip(p_fake, _EDGE, 1 - _EDGE)
    return np.asarray(-np.where(labels == 1, np.log(kept), np.log1p(-kept)))


def logit_of(p_fake: ArrayLike) -> FloatArray:
    """Return log(p / (1 - p)); probabilities are kept 1e-12 away from 0 and 1."""
    return np.asarray(scipy.special.logit(np.clip(np.asarray(p_fake, dtype=np.float64), _EDGE, 1 - _EDGE)))


def at_prevalence(p_fake: ArrayLike, share_before: float, share_in_use: float) -> FloatArray:
    """Return probabilities (n,) corrected from one share of fakes to another (Bayes; M. Saerens et al., 2002).

    Args:
        p_fake: Calibrated on videos of which a share `share_before` is fake.
        share_before: In (0, 1).
        share_in_use: In (0, 1).
    """
    moved = logit_of(p_fake) + float(logit_of(share_in_use)) - float(logit_of(share_before))
    return np.asarray(scipy.special.expit(moved))


def fit_temperature(
    labels: ArrayLike,
    logits: ArrayLike,
    bounds: tuple[float, float] = TEMPERATURE_BOUNDS,
    num_independent: int | None = None,
) -> Temperature:
    """Find the temperature with the least log loss, within bounds; one below 1 sharpens the logits and needs evidence.

    The best temperature of few videos is far too low by chance. Below 1 it is the largest one, at most 1, that a likelihood ratio
    test at 95 % does not reject against the best: nearly the best for many videos, 1 where the data say nothing.

    Args:
        labels: (n,) 0 real, 1 fake.
        logits: (n,).
        bounds: Of the temperature.
        num_independent: Independent cases (leak groups) among the n rows; n when not given.

    Raises:
        NotEvaluableError: one class only, no rows, or logits that are not finite.
    """
    import scipy.optimize

    label_array, logit_array = labels_and_scores(labels, logits)

    def loss(log_temperature: float) -> float:
        signed = np.where(label_array == 1, -logit_array, logit_array) / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, signed)))

    log_bounds = (np.log(bounds[0]), np.log(bounds[1]))
    best = float(scipy.optimize.minimize_scalar(loss, bounds=log_bounds, method="bounded", options={"xatol": 1e-6}).x)
    at_bound = min(best - log_bounds[0], log_bounds[1] - best) < 1e-2
    allowed = loss(best) + EVIDENCE_NATS / min(num_independent or len(label_array), len(label_array))
    cautious = best
    if best < 0:  # the loss rises from the best temperature to 1
        rejected = loss(0.0) > allowed
        cautious = scipy.optimize.brentq(lambda value: loss(value) - allowed, best, 0.0) if rejected else 0.0
    return Temperature(float(np.exp(cautious)), bool(at_bound), loss(0.0), loss(cautious))


def fit_isotonic(labels: ArrayLike, logits: ArrayLike) -> MonotoneMap:
    """Fit the best non-decreasing step function from logit to probability; needs many validation rows.

    Raises:
        NotEvaluableError: one class only, no rows, or logits that are not finite.
    """
    from sklearn.isotonic import IsotonicRegression

    label_array, logit_array = labels_and_scores(labels, logits)
    model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(logit_array, label_array)
    return MonotoneMap("isotonic", np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_))


def fit_beta(labels: ArrayLike, logits: ArrayLike) -> MonotoneMap:
    """Fit beta calibration: logit(p') = a log p - b log(1 - p) + c with a, b >= 0, p = sigmoid(logit).

    The map is returned on 513 points, denser where validation logits are.

    Raises:
        NotEvaluableError: one class only, no rows, or logits that are not finite.
    """
    import scipy.optimize

    label_array, logit_array = labels_and_scores(labels, logits)

    def features(values: FloatArray) -> FloatArray:
        return np.stack([-np.logaddexp(0, -values), np.logaddexp(0, values), np.ones_like(values)], axis=1)

    table, sign = features(logit_array), np.where(label_array == 1, -1.0, 1.0)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        signed = sign * (table @ parameters)
        slope = sign * scipy.special.expit(signed) / len(sign)
        return float(np.mean(np.logaddexp(0, signed))), table.T @ slope

    limits = [(0.0, 50.0), (0.0, 50.0), (-50.0, 50.0)]
    fitted = scipy.optimize.minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, bounds=limits, method="L-BFGS-B")
    if not np.isfinite(fitted.fun):
        raise NotEvaluableError("beta calibration did not converge")
    spread = float(np.ptp(logit_array)) or 1.0
    ends = (logit_array.min() - spread, logit_array.max() + spread)
    points = np.unique(np.concatenate([np.quantile(logit_array, np.linspace(0, 1, 257)), np.linspace(*ends, 257)]))
    return MonotoneMap("beta", points, np.asarray(scipy.special.expit(features(points) @ fitted.x)))
