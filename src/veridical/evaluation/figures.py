"""Figures with intervals; each keeps its bootstrap replicates, so that differences between figures are paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

from veridical.errors import NotEvaluableError
from veridical.evaluation.interval_rules import (
    SET_BY,
    IntervalRule,
    decision_rule,
    mean_rule,
    positive_rule,
    rank_rule,
    share_rule,
)  # fmt: skip
from veridical.evaluation.tables import METRIC_COLUMNS
from veridical.metrics import (
    DECISION_METRICS,
    AgainstChance,
    Estimate,
    FloatArray,
    GroupBootstrap,
    IntArray,
    Interval,
    RocCurves,
    Rows,
    Support,
    auc_of,
    average_precision_of,
    bin_index,
    confusion,
    decision_metrics,
    ece_by_chance,
    ece_interval,
    eer_of,
    equal_count_edges,
    equal_width_edges,
    fpr_at_tpr_of,
    label_support,
    labels_and_probabilities,
    labels_and_scores,
    roc_curve,
    row_log_loss,
    too_few_for_rate,
    tpr_at_fpr_of,
)
from veridical.randomness import stream

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
    support: Support | None = None
    """Videos and leak groups of both classes; None where the figure does not come from videos."""
    observed: float = np.nan
    """The plain figure where `value` is that without what chance adds (ECE, spreads)."""
    by_chance: float = np.nan
    """What chance alone gives."""
    p_chance: float = np.nan
    """Share of faultless worlds that show at least `observed`."""
    no_fault: float = np.nan
    """What the figure is in truth where there is no fault (0 for a difference)."""

    @property
    def groups(self) -> int:
        """Leak groups of the smaller class; 0 where the figure does not come from videos."""
        return self.support.fewest if self.support is not None else 0

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, Interval(self.low, self.high))

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

    @cached_property
    def support(self) -> Support:
        """Videos and leak groups behind figures of this sample."""
        return label_support(self.bootstrap, self.labels, self.rows)


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
                **{name: getattr(figure, name) for name in METRIC_COLUMNS[len(names) :]},
            }
            for key, figure in self._figures.items()
        ]
        return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def figure_from(value: float, replicates: FloatArray, sample: Sample, interval: IntervalRule) -> Figure:
    """Return a figure with its interval; what is undefined, or stands on too few people, says why.

    Args:
        value: The figure itself; NaN where it is undefined.
        replicates: (B,).
        sample: What it was computed from.
        interval: How its interval is made.
    """
    if reason := sample.support.too_few:
        return not_evaluable(sample, reason)
    if not np.isfinite(value):
        return not_evaluable(sample, "not defined: nothing is called fake")
    defined = int(np.isfinite(replicates).sum())
    if defined * 2 < len(replicates):
        return not_evaluable(sample, f"defined in {defined} of {len(replicates)} bootstrap replicates only")
    ends, (n_real, n_fake) = interval(value, replicates), sample.counts
    return Figure(value, ends.low, ends.high, n_real, n_fake, "", replicates, sample.support)


def without_chance(measured: AgainstChance, n_real: int, n_fake: int, support: Support) -> Figure:
    """Return a figure that chance can only raise, without what chance adds."""
    return Figure(
        measured.value, measured.interval.low, measured.interval.high, n_real, n_fake, "", None, support,
        measured.observed, measured.by_chance, measured.p_chance, 0.0,
    )  # fmt: skip


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
    if reason := sample.support.too_few:
        return {name: not_evaluable(sample, reason) for name in names}
    exact = roc_curve(sample.labels, sample.logits)
    replicates: dict[str, list[FloatArray]] = {name: [] for name in names}
    for curves in sample.bootstrap.curves(sample.labels, sample.logits, sample.rows):
        for name in names:
            replicates[name].append(RANK_METRICS[name](curves))
    figures = {
        name: figure_from(
            float(RANK_METRICS[name](exact)[0]),
            np.concatenate(replicates[name]),
            sample,
            rank_rule(name, sample.support, sample.confidence),
        )
        for name in names
    }
    numbers = {"real": int(sample.support.num_real), "fake": int(sample.support.num_fake)}
    for name, (noun, rate) in SET_BY.items():
        if name in figures and (reason := too_few_for_rate(numbers[noun], rate, noun)):
            figures[name] = not_evaluable(sample, reason)
    return figures


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
    return {
        name: figure_from(
            float(values[name]),
            replicates[name],
            sample,
            decision_rule(name, counts, sample.support, sample.confidence),
        )
        for name in DECISION_METRICS
    }


def share_figures(sample: Sample, events: Mapping[str, tuple[FloatArray, FloatArray]]) -> dict[str, Figure]:
    """Return shares with intervals; `events`: name → (m,) rows counted and (m,) rows they are a share of, both 0 or 1."""
    shares = {}
    for name, (counted, among) in events.items():
        if not among.sum():
            shares[name] = not_evaluable(sample, "there is no such video")
            continue
        totals = sample.bootstrap.totals(np.stack([counted * among, among], axis=1), sample.rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = totals[:, 0] / totals[:, 1]
        groups = len(np.unique(sample.bootstrap.cluster[sample.rows][among > 0]))
        interval = share_rule(float(among.sum()), groups, sample.confidence)
        shares[name] = figure_from(float((counted * among).sum() / among.sum()), replicates, sample, interval)
    return shares


def calibration_figures(sample: Sample, p_fake: FloatArray, bins: int = 10, seed: int = 0) -> dict[str, Figure]:
    """Return ECE, adaptive ECE, Brier score and log loss of probabilities (m,), and the ECE expected by chance alone."""
    names = (*CALIBRATION_METRICS, "ece_by_chance")
    try:
        labels_and_scores(sample.labels, sample.logits)
        labels_and_probabilities(sample.labels, p_fake)
    except NotEvaluableError as error:
        return {name: not_evaluable(sample, str(error)) for name in names}
    if reason := sample.support.too_few:
        return {name: not_evaluable(sample, reason) for name in names}
    figures = {
        name: _ece(sample, p_fake, np.ones(len(p_fake)), edges, seed)
        for name, edges in (("ece", equal_width_edges(bins)), ("adaptive_ece", equal_count_edges(p_fake, bins)))
    }
    surplus = p_fake - sample.labels
    losses = {"brier": surplus**2, "log_loss": row_log_loss(sample.labels, p_fake)}
    for name, loss in losses.items():
        totals = sample.bootstrap.totals(np.stack([loss, np.ones_like(loss)], axis=1), sample.rows)
        facts = sample.support.groups, sample.confidence
        interval = mean_rule(float(loss.var()), len(loss), *facts) if name == "brier" else positive_rule(*facts)
        figures[name] = figure_from(float(loss.mean()), totals[:, 0] / totals[:, 1], sample, interval)
    n_real, n_fake = sample.counts
    expected = ece_by_chance(p_fake, bins, seed=seed)
    figures["ece_by_chance"] = Figure(
        expected, n_real=n_real, n_fake=n_fake, reason="an expectation: it has no interval"
    )
    return figures


def ece_at_prevalence(sample: Sample, p_fake: FloatArray, prevalence: float, bins: int = 10) -> Figure:
    """Return the ECE of probabilities (m,) if fakes made up a share `prevalence` of the videos."""
    try:
        labels_and_scores(sample.labels, sample.logits)
    except NotEvaluableError as error:
        return not_evaluable(sample, str(error))
    if reason := sample.support.too_few:
        return not_evaluable(sample, reason)
    share = sample.labels.mean()
    weight = np.where(sample.labels == 1, prevalence / share, (1 - prevalence) / (1 - share))
    return _ece(sample, p_fake, weight, equal_width_edges(bins), seed=0)


def _ece(sample: Sample, p_fake: FloatArray, weight: FloatArray, edges: FloatArray, seed: int) -> Figure:
    """Return the expected calibration error of weighted videos (m,), without what chance adds."""
    index, total = bin_index(p_fake, edges), weight.sum()
    surplus, size = (p_fake - sample.labels) * weight, len(edges) - 1
    replicates = sample.bootstrap.binned_totals(surplus, index, size, sample.rows)
    error = ece_interval(
        np.bincount(index, weights=surplus, minlength=size) / total,
        replicates / sample.bootstrap.totals(weight[:, None], sample.rows),
        np.bincount(index, weights=p_fake * (1 - p_fake) * weight**2, minlength=size) / total**2,
        groups=sample.support.groups,
        num_videos=float(total**2 / (weight**2).sum()),
        rng=stream(seed, "ece", len(p_fake)),
        confidence=sample.confidence,
    )
    return without_chance(error, *sample.counts, sample.support)
