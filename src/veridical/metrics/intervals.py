"""Intervals that hold when people are few: score intervals whose variance is that of the group bootstrap, kept from collapsing.

The group bootstrap of a few people has two faults that no quantile rule repairs: its variance has few degrees of freedom,
and it is zero (or nearly) where a figure is close to its bound. Both are met in one way:

- V, the variance over groups, is the bootstrap's times G / (G - 1). It is averaged with the variance V0 that the figure
  would have if every group were a single video, worth `PRIOR_GROUPS` groups:
  V^ = ((G - 1) V + k V0) / (G - 1 + k), with a t quantile of G - 1 + k degrees of freedom (shrinkage of variances:
  G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 2004). V0 is taken at the value moved by half an observation from its bound.
- the ratio of V^ to the variance of independent videos is the design effect (L. Kish, Survey Sampling, 1965; N. Rao and
  A. Scott, Biometrics 1992). The interval holds every truth t with (value - t)^2 <= q^2 deff V(t): a score interval, so
  it stays within the bounds, holds its value, and has no zero width. V(t) is t (1 - t) / n for shares (E. Wilson, 1927; with
  effective size: E. Korn and B. Graubard, Surv. Methodol. 1998) and for areas that of Hanley and McNeil in the form of
  R. Newcombe (Stat. Med. 2006, method 5), with the design effect of N. Obuchowski (Biometrics 1997).

Differences, sums and ratios of figures: `metrics.mover`. What chance can only raise (an expected calibration error, a highest
minus a lowest figure): `metrics.chance`.

Shapes: B replicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from veridical.metrics.checks import FloatArray

Limits = tuple[FloatArray, FloatArray]
"""Lower and upper limits."""

PRIOR_GROUPS = 3.0
"""How many groups the variance of single independent videos is worth beside the variance over groups."""
LEAST_DESIGN_EFFECT = 0.5
"""Of V^ over the variance of independent videos, where people may serve as their own comparison; 1 for shares of one class."""
FEWEST_GROUPS = 5
"""Groups (people) of each class under which no figure is given."""
MOST_TRIALS = 10.0
"""Zeros and ones that a row with a loss in [0, 1] may count for."""
FEWEST_BEYOND = 3
"""Videos beyond a threshold at a stated rate under which what is found there is not given."""
_ROUNDING = 1e-9
_HALVINGS = 40


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Support:
    """What stands behind a figure."""

    num_fake: float
    num_real: float
    groups_fake: int
    groups_real: int
    groups: int
    """Groups with a video of either class."""

    @property
    def fewest(self) -> int:
        """Groups of the class that has fewer."""
        return min(self.groups_fake, self.groups_real)

    @property
    def too_few(self) -> str:
        """Why no figure is given, '' where one is."""
        if self.fewest >= FEWEST_GROUPS:
            return ""
        rarer = "real" if self.groups_real <= self.groups_fake else "fake"
        people = "1 person" if self.fewest == 1 else f"{self.fewest} people"
        return f"too few to say ({people} with {rarer} videos; at least {FEWEST_GROUPS} are needed)"


def too_few_for_rate(number: int, rate: float, noun: str) -> str:
    """Return why a rate at a threshold is not given, '' where it is.

    The threshold is set by the videos of the other class beyond it: with fewer than `FEWEST_BEYOND` of them it is a matter of
    chance.

    Args:
        number: Videos of the class that sets the threshold.
        rate: Share of them beyond it.
        noun: "real" or "fake".
    """
    needed = int(np.ceil(FEWEST_BEYOND / rate))
    if number >= needed:
        return ""
    return f"too few to say ({number} {noun} videos; a threshold that {rate:.0%} of them pass needs {needed})"


def group_variance(replicates: FloatArray, groups: int) -> float:
    """Return the variance over groups from (B,) replicates; NaN (a class was not drawn) is left out."""
    defined = replicates[np.isfinite(replicates)]
    return float(defined.var()) * groups / max(groups - 1, 1) if len(defined) else 0.0


def share_limits(
    value: ArrayLike,
    variance: ArrayLike,
    trials: ArrayLike,
    groups: ArrayLike,
    units: ArrayLike | None = None,
    confidence: float = 0.95,
    least_effect: float = 1.0,
) -> Limits:
    """Return lower and upper limits of shares, or of figures that behave like one (error rate, Brier score, recall of stretches).

    All arguments may be arrays of one shape.

    Args:
        value: In [0, 1].
        variance: Over groups, from :func:`group_variance`.
        trials: Trials that would give the variance value (1 - value) / trials if videos were independent.
        groups: Groups with at least one trial.
        units: `trials` if every group were one video; `groups` if not given.
        confidence: Two-sided coverage that is aimed at.
        least_effect: Least design effect; `LEAST_DESIGN_EFFECT` for figures of both classes.
    """
    value, alone = _snapped(value), np.asarray(groups if units is None else units, dtype=np.float64)
    inner = (value * alone + 0.5) / (alone + 1)
    spread = inner * (1 - inner)
    size = spread / _steadied(variance, spread / alone, spread / np.asarray(trials), groups, least_effect)
    quantile = _t_quantile(groups, confidence)
    centre = (value + quantile**2 / (2 * size)) / (1 + quantile**2 / size)
    reach = quantile / (1 + quantile**2 / size) * np.sqrt(value * (1 - value) / size + quantile**2 / (4 * size**2))
    return _around(value, centre - reach, centre + reach)


def auc_limits(
    value: ArrayLike,
    variance: ArrayLike,
    num_fake: ArrayLike,
    num_real: ArrayLike,
    groups_fake: ArrayLike,
    groups_real: ArrayLike,
    confidence: float = 0.95,
) -> Limits:
    """Return lower and upper limits of areas under ROC curves; a perfect area has them too.

    Arguments as in :func:`share_limits`, for both classes.
    """
    value, fewest = _snapped(value), np.minimum(groups_fake, groups_real)
    inner = (value * fewest + 0.5) / (fewest + 1)
    independent = area_variance(inner, num_fake, num_real)
    alone = area_variance(inner, groups_fake, groups_real)
    effect = _steadied(variance, alone, independent, fewest, LEAST_DESIGN_EFFECT) / independent
    quantile = _t_quantile(fewest, confidence)

    def edge(bound: float) -> FloatArray:
        near, far = value.copy(), np.full_like(value, bound)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            reach = quantile * np.sqrt(effect * area_variance(middle, num_fake, num_real))
            inside = np.abs(value - middle) <= reach
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        return far

    return _around(value, edge(0.0), edge(1.0))


def share_interval(
    value: float,
    variance: float,
    *,
    trials: float,
    groups: int,
    units: float | None = None,
    confidence: float = 0.95,
    least_effect: float = 1.0,
) -> Interval:
    """Return the interval of one share; see :func:`share_limits`."""
    return _interval(share_limits(value, variance, trials, groups, units, confidence, least_effect))


def mean_interval(
    value: float, variance: float, *, row_variance: float, rows: int, groups: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of a mean of losses in [0, 1] (Brier score): a share of as many trials as its rows are worth.

    Losses vary less than zeros and ones with their mean would; a row counts for up to `MOST_TRIALS` trials.

    Args:
        value: The mean.
        variance: Over groups.
        row_variance: Of the rows.
        rows: Number of rows.
        groups: Groups with rows.
        confidence: Two-sided coverage that is aimed at.
    """
    worth = float(np.clip(value * (1 - value) / row_variance if row_variance > 0 else MOST_TRIALS, 1.0, MOST_TRIALS))
    return share_interval(
        value, variance, trials=worth * rows, groups=groups, units=worth * groups, confidence=confidence,
        least_effect=LEAST_DESIGN_EFFECT,
    )  # fmt: skip


def rate_interval(
    value: float, replicates: FloatArray, *, trials: float, groups: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of a rate at a threshold that is itself found in the data (TPR at an FPR, FPR at a TPR).

    With few distinct scores such a rate jumps, which a variance does not show; so the interval is that of a share, drawn out
    to the quantiles of the replicates.
    """
    share = share_interval(
        value, group_variance(replicates, groups), trials=trials, groups=groups, confidence=confidence
    )
    # Expanded percentiles: T. Hesterberg, "What teachers should know about the bootstrap", 2015.
    tail = scipy.special.ndtr(-np.sqrt(groups / (groups - 1)) * _t_quantile(groups, confidence, prior=0.0))
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return Interval(min(share.low, float(low)), max(share.high, float(high)))


def auc_interval(value: float, variance: float, support: Support, confidence: float = 0.95) -> Interval:
    """Return the interval of an area under the ROC curve; a perfect area has one too."""
    sizes = (support.num_fake, support.num_real, support.groups_fake, support.groups_real)
    return _interval(auc_limits(value, variance, *sizes, confidence))


def area_variance(area: ArrayLike, num_fake: ArrayLike, num_real: ArrayLike) -> FloatArray:
    """Return the variance of an area from independent videos (J. Hanley and B. McNeil, 1982; R. Newcombe, 2006, method 5)."""
    area, fakes, reals = (np.asarray(values, dtype=np.float64) for values in (area, num_fake, num_real))
    others = (fakes + reals) / 2 - 1
    shape = 1 + others * (1 - area) / (2 - area) + others * area / (1 + area)
    return np.asarray(area * (1 - area) * shape / (fakes * reals))


def average_precision_interval(value: float, variance: float, support: Support, confidence: float = 0.95) -> Interval:
    """Return the interval of an average precision, as a share of the way from the least possible value to 1.

    The least average precision of m fakes among n reals is 1 - n / m (H(m + n) - H(n)) (K. Boyd et al., ICML 2012).
    """
    fakes, reals = support.num_fake, support.num_real
    scale = float(reals / fakes * (scipy.special.digamma(fakes + reals + 1) - scipy.special.digamma(reals + 1)))
    share = share_interval(
        1 - (1 - value) / scale,
        variance / scale**2,
        trials=float(_harmonic(fakes, reals)),
        groups=support.fewest,
        confidence=confidence,
        least_effect=LEAST_DESIGN_EFFECT,
    )
    return Interval(min(1 - scale * (1 - share.low), value), max(1 - scale * (1 - share.high), value))


def error_rate_interval(value: float, variance: float, support: Support, confidence: float = 0.95) -> Interval:
    """Return the interval of an equal error rate or of a balanced accuracy: half of one class, half of the other."""
    return share_interval(
        value,
        variance,
        trials=2 * float(_harmonic(support.num_fake, support.num_real)),
        groups=support.fewest,
        units=float(_harmonic(support.groups_fake, support.groups_real)),
        confidence=confidence,
        least_effect=LEAST_DESIGN_EFFECT,
    )


def f1_interval(value: float, variance: float, *, trials: float, groups: int, confidence: float = 0.95) -> Interval:
    """Return the interval of F1 through the share that it is a function of: J = tp / (tp + fp + fn), F1 = 2 J / (1 + J).

    Args:
        value: F1.
        variance: Of F1 over groups.
        trials: tp + fp + fn.
        groups: Groups behind them.
        confidence: Two-sided coverage that is aimed at.
    """
    slope = 2 / (2 - value) ** 2
    share = share_interval(
        value / (2 - value),
        variance * slope**2,
        trials=trials,
        groups=groups,
        confidence=confidence,
        least_effect=LEAST_DESIGN_EFFECT,
    )
    return Interval(min(2 * share.low / (1 + share.low), value), max(2 * share.high / (1 + share.high), value))


def positive_interval(value: float, variance: float, groups: int, confidence: float = 0.95) -> Interval:
    """Return the interval of a positive mean without an upper bound (log loss): t on the logarithmic scale."""
    spread = max(np.sqrt(variance) / value, 1 / np.sqrt(16.0 * groups)) if value > 0 else 0.0
    reach = float(np.exp(_t_quantile(groups, confidence, prior=0.0) * spread))
    return Interval(float(value / reach), float(value * reach))


def _steadied(
    variance: ArrayLike, prior: ArrayLike, independent: ArrayLike, groups: ArrayLike, least_effect: float
) -> FloatArray:
    free = np.maximum(np.asarray(groups, dtype=np.float64) - 1, 0)
    steadied = (free * np.asarray(variance) + PRIOR_GROUPS * np.asarray(prior)) / (free + PRIOR_GROUPS)
    return np.asarray(np.maximum(steadied, least_effect * np.asarray(independent)))


def _t_quantile(groups: ArrayLike, confidence: float, prior: float = PRIOR_GROUPS) -> FloatArray:
    free = np.maximum(np.asarray(groups, dtype=np.float64) - 1 + prior, 1.0)
    return np.asarray(scipy.special.stdtrit(free, (1 + confidence) / 2))


def _harmonic(first: ArrayLike, second: ArrayLike) -> FloatArray:
    one, other = (np.asarray(number, dtype=np.float64) for number in (first, second))
    return np.asarray(2 * one * other / (one + other))


def _snapped(value: ArrayLike) -> FloatArray:
    """Return the values, 0 or 1 where only rounding keeps them from there."""
    value = np.asarray(value, dtype=np.float64)
    return np.where(value < _ROUNDING, 0.0, np.where(value > 1 - _ROUNDING, 1.0, value))


def _around(value: FloatArray, low: FloatArray, high: FloatArray) -> Limits:
    """Return limits within [0, 1] that hold the value."""
    return np.clip(np.minimum(low, value), 0.0, 1.0), np.clip(np.maximum(high, value), 0.0, 1.0)


def _interval(limits: Limits) -> Interval:
    return Interval(float(limits[0]), float(limits[1]))
