"""What risks and sign-off are decided from, and how a figure becomes the verdict of a risk.

PASS: the interval lies on the good side of the threshold. FLAG: the value is beyond it, and data without any fault would show so
much in fewer than 5 % of cases; `certain` if the interval excludes the threshold as well. UNDECIDED: the value is beyond the
threshold but chance could do that, or the interval spans it; with the number of people that would decide. NOT EVALUABLE: there is
no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy.special

from veridical.artefacts import Manifest
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.figures import Figure, FigureTable, Key
from veridical.evaluation.protocol import test_set
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell
from veridical.metrics import Interval

CHANCE = 0.05
"""Share of data sets without any fault that may show as much as a flagged figure."""
Verdict = Literal["FLAG", "UNDECIDED", "PASS", "NOT EVALUABLE"]


@dataclass(frozen=True)
class Risk:
    """One row of the risk register (risks.csv)."""

    risk: str
    figure: float
    low: float
    high: float
    threshold: float
    verdict: Verdict
    certain: bool
    """The whole interval is on the side of the verdict."""
    crossed: bool
    """The plain rule: the figure as measured is beyond the threshold."""
    groups_needed: int
    """People who would decide; 0 where it is decided."""
    reason: str
    mitigation: str


@dataclass(frozen=True, eq=False)
class Measurements:
    """All that an evaluation measured: what risks and sign-off are decided from."""

    evidence: Evidence
    parts: list[Cell]
    selection: Selection
    settings: EvaluationSettings
    table: FigureTable
    coverage: list[Coverage]
    looks: int | None
    manifest: Manifest | None
    audits: Mapping[str, pd.DataFrame]
    """Data set → the audit of its test set (`corpora.audit`), where files were probed or clips measured."""

    @property
    def reference(self) -> Cell | None:
        """The test set of the training corpus."""
        return test_set(self.parts, self.selection.dataset) if self.selection.dataset is not None else None

    @property
    def test_sets(self) -> list[Cell]:
        """The test set of every data set, the reference first."""
        names = sorted({cell.dataset: None for cell in self.parts}, key=lambda name: name != self.selection.dataset)
        return [cell for name in names if (cell := test_set(self.parts, name)) is not None]

    def key(self, cell: Cell, metric: str, **facts: str) -> Key:
        """Return the key of a video-level figure of the primary condition."""
        condition = facts.pop("condition", self.evidence.primary)
        aggregation = self.settings.video_rule.rule
        return Key(cell.dataset, cell.split, metric, aggregation=aggregation, condition=condition, **facts)

    def get(self, cell: Cell, metric: str, **facts: str) -> Figure:
        """Return a video-level figure of the primary condition; one that was not computed is not evaluable."""
        return self.table.get(self.key(cell, metric, **facts))

    def named(self, metric: str) -> list[tuple[Key, Figure]]:
        """Return all figures of a metric, such as `auc_gap`, with their keys."""
        return [(key, figure) for key, figure in self.table.items() if key.metric == metric]


@dataclass(frozen=True)
class Judgement:
    """What a figure says about a risk."""

    verdict: Verdict
    certain: bool
    """The whole interval is on the side of the verdict; True for every PASS."""
    crossed: bool
    """The plain rule: the figure as measured is beyond the threshold."""
    p_chance: float
    """Share of faultless worlds that would show at least as much; NaN where the value is not beyond the threshold."""
    groups_needed: int
    """People who would decide, all else equal; 0 where it is decided or nothing can be said."""


def judge_figure(
    value: float,
    interval: Interval,
    threshold: float,
    *,
    groups: int,
    below: bool = False,
    no_fault: float | None = None,
    observed: float | None = None,
    p_chance: float | None = None,
    confidence: float = 0.95,
) -> Judgement:
    """Return the verdict of a figure.

    Args:
        value: NaN where it is not evaluable. For figures that chance can only raise, without what chance adds.
        interval: Of the value.
        threshold: Beyond it there is a risk.
        groups: Groups behind the figure, for the number that would decide.
        below: Beyond means below.
        no_fault: What the figure is in truth where there is no fault (0 for a gap, .5 for the area of a shortcut); the threshold
            if not given.
        observed: The figure as measured where that is not `value`.
        p_chance: Where it is known from a simulation of faultless worlds (`raised_by_chance`).
        confidence: Of the interval.
    """
    if not np.isfinite(value):
        return Judgement("NOT EVALUABLE", False, False, float("nan"), 0)
    sign = -1.0 if below else 1.0
    excess, plain = sign * (value - threshold), sign * ((value if observed is None else observed) - threshold)
    near, far = (interval.high, interval.low) if below else (interval.low, interval.high)
    certain = sign * (near - threshold) > 0
    if plain > 0 and excess > 0:
        reach = sign * (value - near)
        if p_chance is None:
            p_chance = _one_sided(sign * (value - (threshold if no_fault is None else no_fault)), reach, confidence)
        if p_chance < CHANCE:
            return Judgement("FLAG", bool(certain), True, p_chance, 0)
        return Judgement("UNDECIDED", False, True, p_chance, _needed(groups, reach, excess))
    if sign * (far - threshold) <= 0:
        return Judgement("PASS", True, plain > 0, float("nan"), 0)
    return Judgement("UNDECIDED", False, plain > 0, float("nan"), _needed(groups, sign * (far - value), -excess))


def among_many(p_chance: Sequence[float], flagged: float = 0.20) -> list[float]:
    """Return (m,) shares of faultless worlds, raised for having looked at m risks of one kind.

    Below `CHANCE` are those that are below it themselves and that Benjamini and Hochberg (1995) keep at the rate `flagged`: with
    no fault anywhere at most that share of evaluations carries any FLAG of this kind, however many groups are compared. Up to
    `flagged / CHANCE` risks nothing changes.

    Args:
        p_chance: (m,) of all risks of a kind that were judged, flagged or not; NaN where there is none.
        flagged: Share of faultless evaluations that may carry a FLAG.

    Example:
        >>> [round(p, 3) for p in among_many([0.01, 0.04, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9])]
        [0.02, 0.04, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9]
    """
    known = np.array([value for value in p_chance if np.isfinite(value)])
    order = np.argsort(known)
    adjusted = np.empty_like(known)
    scaled = known[order] * len(known) / np.arange(1, len(known) + 1)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    raised = iter(np.maximum(known, adjusted * CHANCE / flagged))
    return [float(next(raised)) if np.isfinite(value) else float("nan") for value in p_chance]


def _one_sided(distance: float, reach: float, confidence: float) -> float:
    """Return the chance of a value so far from the faultless one, from the reach of the interval towards it."""
    if reach <= 0:
        return 0.0 if distance > 0 else 1.0
    return float(scipy.special.ndtr(-distance / reach * scipy.special.ndtri((1 + confidence) / 2)))


def _needed(groups: int, reach: float, distance: float) -> int:
    """Return the groups with which an interval that shrinks with their square root ends at the threshold."""
    if distance <= 0 or groups <= 0:
        return 0
    return int(np.ceil(groups * max(reach / distance, 1.0) ** 2 - 1e-6))


def verdict(
    name: str,
    figure: Figure,
    threshold: float,
    mitigation: str,
    *,
    below: bool = False,
    note: str = "",
    no_fault: float | None = None,
) -> Risk:
    """Return the row of a risk from its figure.

    Args:
        name: The risk.
        figure: What was measured.
        threshold: Beyond it there is a risk.
        mitigation: What to do about it.
        below: Beyond means below.
        note: Shown next to the verdict.
        no_fault: As in :func:`judge_figure`; None: the figure's own.
    """
    own = figure.no_fault if np.isfinite(figure.no_fault) and not below else None
    by_chance = np.isfinite(figure.p_chance)
    judged = judge_figure(
        figure.value,
        Interval(figure.low, figure.high),
        threshold,
        groups=figure.groups,
        below=below,
        no_fault=own if no_fault is None else no_fault,
        observed=figure.observed if by_chance else None,
        p_chance=figure.p_chance if by_chance else None,
    )
    parts = [note, figure.reason]
    if by_chance:
        parts.append(f"{figure.observed:.3f} as measured, of which chance alone gives {figure.by_chance:.3f}")
    if judged.groups_needed:
        parts.append(f"{figure.groups} people so far, about {judged.groups_needed} would decide")
    reason = "; ".join(part for part in parts if part)
    return Risk(
        name, figure.value, figure.low, figure.high, threshold, judged.verdict, judged.certain, judged.crossed,
        judged.groups_needed, reason, mitigation,
    )  # fmt: skip


def unmeasured(name: str, threshold: float, reason: str, mitigation: str) -> Risk:
    """Return the row of a risk that is not evaluable, with the reason."""
    return verdict(name, Figure(reason=reason), threshold, mitigation)
