"""Figures with intervals; each keeps its bootstrap replicates, so that differences between figures are paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace

import numpy as np
import pandas as pd

from veridical.errors import NotEvaluableError
from veridical.evaluation.tables import METRIC_COLUMNS
from veridical.metrics import (
    DECISION_METRICS,
    FloatArray,
    GroupBootstrap,
    IntArray,
    RocCurves,
    Rows,
    auc_of,
    average_precision_of,
    bin_index,
    bootstrap_interval,
    confusion,
    decision_metrics,
    ece_by_chance,
    eer_of,
    equal_count_edges,
    equal_width_edges,
    fpr_at_tpr_of,
    labels_and_probabilities,
    labels_and_scores,
    roc_curve,
    row_log_loss,
    smaller_class_groups,
    tpr_at_fpr_of,
)

RANK_METRICS: dict[str, Callable[[RocCurves], FloatArray]] = {
    "auc": auc_of,
    "eer": eer_of,
    "average_precision": average_precision_of,
    "fpr_at_95_tpr": lambda curves: fpr_at_tpr_of(curves, 0.95),
    "tpr_at_1_fpr": lambda curves: tpr_at_fpr_of(curves, 0.01),
    "tpr_at_5_fpr": lambda curves: tpr_at_fpr_of(curves, 0.05),
}
SLICE_METRICS = ("auc", "eer", "average_precision", "fpr_at_95_tpr")
CALIBRATION_METRICS = ("ece", "adaptive_ece", "brier", "log_loss")


@dataclass(frozen=True)
class Key:
    """The columns of metrics.csv that identify a figure."""

    dataset: str
    split: str
    metric: str
    level: str = "video"
    aggregation: str = "mean"
    condition: str = "joint"
    slice: str = ""
    calibration: str = ""
    operating_point: str = ""


@dataclass(frozen=True, eq=False)
class Figure:
    """A measured value with its interval, or the reason why there is none."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    n_real: int = 0
    n_fake: int = 0
    reason: str = ""
    replicates: FloatArray | None = None
    """(B,) the figure in each bootstrap replicate."""
    groups: int = 0
    """Leak groups of the smaller class."""

    @property
    def evaluable(self) -> bool:
        """True when there is a value."""
        return bool(np.isfinite(self.value))


@dataclass(frozen=True, eq=False)
class Sample:
    """The m rows that a figure is computed from."""

    labels: IntArray
    """(m,) 0 or 1."""
    logits: FloatArray
    """(m,) finite."""
    rows: Rows
    """Which units of the bootstrap they are."""
    bootstrap: GroupBootstrap
    confidence: float = 0.95
    reason: str = ""
    """Why there are no rows, where there are none."""

    @property
    def counts(self) -> tuple[int, int]:
        """Number of reals and fakes."""
        return int((self.labels == 0).sum()), int((self.labels == 1).sum())


class FigureTable:
    """All figures of an evaluation, by key, in the order in which they were added."""

    def __init__(self) -> None:
        self._figures: dict[Key, Figure] = {}

    def add(self, key: Key, figure: Figure) -> None:
        """Add one figure; its key must be new."""
        assert key not in self._figures, key
        self._figures[key] = figure

    def get(self, key: Key) -> Figure:
        """Return a figure; one that was not computed is not evaluable, with that reason."""
        return self._figures.get(key, Figure(reason="not computed"))

    def items(self) -> Iterator[tuple[Key, Figure]]:
        """Yield all keys and figures."""
        yield from self._figures.items()

    def slices(self, key: Key, prefix: str) -> dict[str, Figure]:
        """Return value → evaluable figure for all slices `prefix=value` that are otherwise like the key."""
        return {
            other.slice.partition("=")[2]: figure
            for other, figure in self._figures.items()
            if other.slice.startswith(f"{prefix}=") and replace(other, slice=key.slice) == key and figure.evaluable
        }

    def frame(self) -> pd.DataFrame:
        """Return the table that metrics.csv holds."""
        names = [item.name for item in fields(Key)]
        rows = [
            {
                **dict(zip(names, astuple(key), strict=True)),
                **{name: getattr(figure, name) for name in ("value", "low", "high", "n_real", "n_fake", "reason")},
            }
            for key, figure in self._figures.items()
        ]
        return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def figure_from(value: float, replicates: FloatArray, sample: Sample, groups: int, *, shift: bool = False) -> Figure:
    """Return a figure with its interval, or with the reason why it is undefined.

    Args:
        value: The figure itself; NaN where it is undefined.
        replicates: (B,).
        sample: What it was computed from.
        groups: Leak groups of the smaller class.
        shift: For figures that chance can only raise (ECE, a highest minus a lowest): the interval is moved down by twice
            the bootstrap's bias, once for the bias of the replicates and once for that of the figure.
    """
    n_real, n_fake = sample.counts
    if not np.isfinite(value):
        return Figure(n_real=n_real, n_fake=n_fake, reason="not defined: nothing is called fake")
    low, high, reason = _interval(value, replicates, groups, sample.confidence, shift=shift)
    return Figure(value, low, high, n_real, n_fake, reason, replicates, groups)


def _interval(
    value: float, replicates: FloatArray, groups: int, confidence: float, *, shift: bool, share: bool = True
) -> tuple[float, float, str]:
    """Return low, high and, where there is no interval, NaN, NaN and the reason."""
    try:
        interval = bootstrap_interval(value, replicates, groups=groups, confidence=confidence, share=share)
    except NotEvaluableError as error:
        return np.nan, np.nan, str(error)
    if not shift:
        return interval.low, interval.high, ""
    bias = max(float(np.nanmean(replicates)) - value, 0.0)
    return max(interval.low - 2 * bias, 0.0), max(interval.high - 2 * bias, 0.0), ""


def not_evaluable(sample: Sample, reason: str) -> Figure:
    """Return a figure without a value, with its reason."""
    n_real, n_fake = sample.counts
    return Figure(n_real=n_real, n_fake=n_fake, reason=sample.reason or reason)


def rank_figures(sample: Sample, names: Iterable[str] = tuple(RANK_METRICS)) -> dict[str, Figure]:
    """Return the ranking metrics of a sample."""
    names = tuple(names)
    try:
        labels_and_scores(sample.labels, sample.logits)
    except NotEvaluableError as error:
        return {name: not_evaluable(sample, str(error)) for name in names}
    exact = roc_curve(sample.labels, sample.logits)
    replicates: dict[str, list[FloatArray]] = {name: [] for name in names}
    for curves in sample.bootstrap.curves(sample.labels, sample.logits, sample.rows):
        for name in names:
            replicates[name].append(RANK_METRICS[name](curves))
    groups = smaller_class_groups(sample.bootstrap, sample.labels, sample.rows)
    return {
        name: figure_from(float(RANK_METRICS[name](exact)[0]), np.concatenate(replicates[name]), sample, groups)
        for name in names
    }


def decision_figures(sample: Sample, threshold: float) -> dict[str, Figure]:
    """Return the decision metrics of calling fake what has at least this logit."""
    try:
        counts = confusion(sample.labels, sample.logits, threshold)
    except NotEvaluableError as error:
        return {name: not_evaluable(sample, str(error)) for name in DECISION_METRICS}
    called, fake = sample.logits >= threshold, sample.labels == 1
    cell = np.select([called & fake, called & ~fake, ~called & ~fake], [0, 1, 2], 3)
    totals = sample.bootstrap.binned_totals(np.ones(len(cell)), cell, 4, sample.rows)
    values, replicates = decision_metrics(counts), decision_metrics(totals)
    groups = smaller_class_groups(sample.bootstrap, sample.labels, sample.rows)
    return {name: figure_from(float(values[name]), replicates[name], sample, groups) for name in DECISION_METRICS}


def share_figures(sample: Sample, events: Mapping[str, tuple[FloatArray, FloatArray]]) -> dict[str, Figure]:
    """Return shares with intervals; `events`: name → (m,) rows counted and (m,) rows they are a share of, both 0 or 1."""
    groups = smaller_class_groups(sample.bootstrap, sample.labels, sample.rows)
    shares = {}
    for name, (counted, among) in events.items():
        if not among.sum():
            shares[name] = not_evaluable(sample, "there is no such video")
            continue
        totals = sample.bootstrap.totals(np.stack([counted * among, among], axis=1), sample.rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = totals[:, 0] / totals[:, 1]
        shares[name] = figure_from(float((counted * among).sum() / among.sum()), replicates, sample, groups)
    return shares


def calibration_figures(sample: Sample, p_fake: FloatArray, bins: int = 10, seed: int = 0) -> dict[str, Figure]:
    """Return ECE, adaptive ECE, Brier score and log loss of probabilities (m,), and the ECE expected by chance alone."""
    names = (*CALIBRATION_METRICS, "ece_by_chance")
    try:
        labels_and_scores(sample.labels, sample.logits)
        labels_and_probabilities(sample.labels, p_fake)
    except NotEvaluableError as error:
        return {name: not_evaluable(sample, str(error)) for name in names}
    groups = smaller_class_groups(sample.bootstrap, sample.labels, sample.rows)
    surplus = p_fake - sample.labels
    figures = {}
    for name, edges in (("ece", equal_width_edges(bins)), ("adaptive_ece", equal_count_edges(p_fake, bins))):
        index = bin_index(p_fake, edges)
        exact = np.abs(np.bincount(index, weights=surplus)).sum() / len(surplus)
        totals = sample.bootstrap.binned_totals(surplus, index, len(edges) - 1, sample.rows)
        size = sample.bootstrap.binned_totals(np.ones(len(surplus)), np.zeros_like(index), 1, sample.rows)[:, 0]
        figures[name] = figure_from(float(exact), np.abs(totals).sum(axis=1) / size, sample, groups, shift=True)
    losses = {"brier": surplus**2, "log_loss": row_log_loss(sample.labels, p_fake)}
    for name, loss in losses.items():
        totals = sample.bootstrap.totals(np.stack([loss, np.ones_like(loss)], axis=1), sample.rows)
        figures[name] = figure_from(float(loss.mean()), totals[:, 0] / totals[:, 1], sample, groups)
    n_real, n_fake = sample.counts
    chance = ece_by_chance(p_fake, bins, seed=seed)
    figures["ece_by_chance"] = Figure(chance, n_real=n_real, n_fake=n_fake, reason="an expectation: it has no interval")
    return figures


def ece_at_prevalence(sample: Sample, p_fake: FloatArray, prevalence: float, bins: int = 10) -> Figure:
    """Return the ECE of probabilities (m,) if fakes made up a share `prevalence` of the videos."""
    try:
        labels_and_scores(sample.labels, sample.logits)
    except NotEvaluableError as error:
        return not_evaluable(sample, str(error))
    share = sample.labels.mean()
    weight = np.where(sample.labels == 1, prevalence / share, (1 - prevalence) / (1 - share))
    surplus, index = (p_fake - sample.labels) * weight, bin_index(p_fake, equal_width_edges(bins))
    exact = np.abs(np.bincount(index, weights=surplus)).sum() / weight.sum()
    totals = sample.bootstrap.binned_totals(surplus, index, bins, sample.rows)
    size = sample.bootstrap.totals(weight[:, None], sample.rows)[:, 0]
    groups = smaller_class_groups(sample.bootstrap, sample.labels, sample.rows)
    return figure_from(float(exact), np.abs(totals).sum(axis=1) / size, sample, groups, shift=True)


def difference(first: Figure, second: Figure, confidence: float = 0.95) -> Figure:
    """Return first minus second: paired where both come from one bootstrap, else independent."""
    return combine([first, second], lambda values: values[0] - values[1], confidence)


def spread(figures: Iterable[Figure], confidence: float = 0.95) -> Figure:
    """Return the highest minus the lowest figure; the interval is corrected for the spread that chance adds."""
    return combine(
        list(figures), lambda values: np.max(values, axis=0) - np.min(values, axis=0), confidence, shift=True
    )


def combine(
    figures: list[Figure],
    function: Callable[[FloatArray], FloatArray],
    confidence: float = 0.95,
    *,
    shift: bool = False,
) -> Figure:
    """Return a function of several figures with its interval.

    Args:
        figures: F figures.
        function: Takes (F, ...) values to (...).
        confidence: Coverage of the interval.
        shift: As in :func:`figure_from`.

    Where all replicates are equal (all figures perfect), the widest interval of a part is put around the value.
    """
    missing = next((figure for figure in figures if not figure.evaluable), None)
    if missing is not None:
        return Figure(reason=missing.reason)
    n_real, n_fake = (min(getattr(figure, name) for figure in figures) for name in ("n_real", "n_fake"))
    value = float(function(np.array([figure.value for figure in figures])))
    if not np.isfinite(value):
        return Figure(n_real=n_real, n_fake=n_fake, reason="not defined: nothing is called fake")
    stacked = [figure.replicates for figure in figures if figure.replicates is not None]
    if len(stacked) < len(figures):
        return Figure(value, n_real=n_real, n_fake=n_fake, reason="no interval: a part has none")
    replicates = np.asarray(function(np.stack(stacked)))
    groups = min(figure.groups for figure in figures)
    low, high, reason = _interval(value, replicates, groups, confidence, shift=shift, share=False)
    if not reason and np.ptp(replicates[np.isfinite(replicates)]) == 0:
        reach = max(figure.high - figure.low for figure in figures)
        low, high = max(value - reach, 0.0) if shift else value - reach, value + reach
    return Figure(value, low, high, n_real, n_fake, reason, replicates, groups)
