"""Sign-off: the outcomes that the training strategy expects next to those measured, and whether the next phase may begin.

The primary criterion is the AUC on a corpus that was not trained on. The expected figures are those of the strategy
(FaceForensics++ for training, Celeb-DF for the cross-corpus test); for other corpora they are a yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from veridical.evaluation.evidence import describe_condition
from veridical.evaluation.figures import Figure
from veridical.evaluation.slices import Cell
from veridical.evaluation.verdicts import Measurements


@dataclass(frozen=True)
class Expectation:
    """A line of the strategy's expected outcomes."""

    outcome: str
    low: float | None
    high: float | None
    text: str
    """As the strategy writes it."""


@dataclass(frozen=True)
class Outcome:
    """An expectation next to the measured figure."""

    outcome: str
    expected: str
    dataset: str
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    """better, as expected, worse (than expected), or not evaluable."""
    certain: bool
    """The interval does not reach into another verdict."""
    reason: str


@dataclass(frozen=True)
class Decision:
    """Ready for the next phase: yes, no, or not evaluable."""

    ready: str
    reasons: tuple[str, ...]


EXPECTATIONS = {
    "auc": Expectation("AUC on the training corpus", 0.84, 0.87, ".84–.87"),
    "cross_auc": Expectation("AUC on another corpus", 0.78, 0.82, ".78–.82"),
    "gap": Expectation("Generalisation gap", 0.05, 0.08, ".05–.08"),
    "eer": Expectation("EER", None, 0.15, "≤ .15"),
    "average_precision": Expectation("Average precision", 0.80, None, "≥ .80"),
    "fpr_at_95_tpr": Expectation("FPR at 95 % TPR", None, 0.10, "< .10"),
    "ece": Expectation("ECE", 0.03, 0.05, ".03–.05"),
    "spread": Expectation("Spread over generators", None, 0.15, "≤ .15"),
    "audio_masked": Expectation("AUC, video only", 0.78, 0.78, "≈ .78"),
    "video_masked": Expectation("AUC, audio only", 0.72, 0.72, "≈ .72"),
    "joint": Expectation("AUC, video and audio", 0.85, 0.85, "≈ .85"),
}
LOWER_IS_BETTER = {"gap", "eer", "fpr_at_95_tpr", "ece", "spread"}
ABOUT = 0.02
"""How far from an "≈" a figure still counts as expected."""


def outcomes(measured: Measurements) -> list[Outcome]:
    """Return every expected outcome next to the measured one; AUC and gap once per other corpus."""
    source = measured.reference
    compared = []
    for name, expectation in EXPECTATIONS.items():
        if name in ("cross_auc", "gap"):
            compared += _cross(measured, name, expectation)
            continue
        figure = _measured(measured, source, name)
        dataset = source.dataset if source is not None else ""
        compared.append(_compare(name, expectation, dataset, figure))
    return compared


def _measured(measured: Measurements, cell: Cell | None, name: str) -> Figure:
    if cell is None:
        return Figure(reason=measured.selection.reason or "the training corpus has no scored test split")
    if name == "spread":
        figure = measured.get(cell, "auc_spread", slice="generator")
        return figure if figure.reason != "not computed" else Figure(reason="no generator is known")
    if name == "ece":
        return measured.get(cell, "ece", calibration="temperature")
    if name in ("audio_masked", "video_masked", "joint"):
        figure = measured.get(cell, "auc", condition=name)
        return (
            figure
            if figure.reason != "not computed"
            else Figure(reason=f"no scores under the condition {describe_condition(name)}")
        )
    return measured.get(cell, name)


def _cross(measured: Measurements, name: str, expectation: Expectation) -> list[Outcome]:
    compared = []
    for key, gap in measured.named("auc_gap"):
        target = next(cell for cell in measured.test_sets if cell.dataset == key.dataset.partition("->")[2])
        figure = gap if name == "gap" else measured.get(target, "auc")
        compared.append(_compare(name, expectation, key.dataset if name == "gap" else target.dataset, figure))
    alone = Figure(reason="scores of one corpus only; a second one is needed")
    return compared or [_compare(name, expectation, "", alone)]


def _compare(name: str, expectation: Expectation, dataset: str, figure: Figure) -> Outcome:
    if not figure.evaluable:
        return Outcome(
            expectation.outcome, expectation.text, dataset, None, None, None, "not evaluable", False, figure.reason
        )
    grade = _grade(name, expectation, figure.value)
    ends = [_grade(name, expectation, end) for end in (figure.low, figure.high) if np.isfinite(end)]
    certain = len(ends) == 2 and all(end == grade for end in ends)
    low, high = (float(end) if np.isfinite(end) else None for end in (figure.low, figure.high))
    return Outcome(
        expectation.outcome, expectation.text, dataset, figure.value, low, high, grade, certain, figure.reason
    )


def _grade(name: str, expectation: Expectation, value: float) -> str:
    low = expectation.low if expectation.low is not None else (-np.inf if name in LOWER_IS_BETTER else None)
    high = expectation.high if expectation.high is not None else (np.inf if name not in LOWER_IS_BETTER else None)
    assert low is not None, name
    assert high is not None, name
    if low == high:
        low, high = low - ABOUT, high + ABOUT
    if low <= value <= high:
        return "as expected"
    return "better" if (value > high) != (name in LOWER_IS_BETTER) else "worse"


def _interval(figure: Figure, form: str) -> str:
    return "" if np.isnan(figure.low) else f" [{figure.low:{form}}, {figure.high:{form}}]"


def decide(measured: Measurements, risks: pd.DataFrame) -> Decision:
    """Decide by the cross-corpus AUC first, then the gap, then the flags that are certain.

    Yes: every other corpus reaches an AUC of at least .78 with a gap of at most the threshold, and no risk is flagged with
    certainty. Without a second corpus: not evaluable.
    """
    gaps = measured.named("auc_gap")
    evaluable = [(key, figure) for key, figure in gaps if figure.evaluable]
    if not evaluable:
        reason = gaps[0][1].reason if gaps else "no second corpus was scored"
        return Decision("not evaluable", (f"the primary criterion is the AUC on another corpus: {reason}",))
    against: list[str] = []
    beside: list[str] = []
    least = EXPECTATIONS["cross_auc"].low or 0.0
    for key, gap in evaluable:
        dataset = key.dataset.partition("->")[2]
        cell = next(cell for cell in measured.test_sets if cell.dataset == dataset)
        area = measured.get(cell, "auc")
        line = f"the AUC on {dataset} is {area.value:.3f}{_interval(area, '.3f')}, at least {least:.2f} is required"
        (against if area.value < least else beside).append(line)
        limit = measured.settings.thresholds.corpus_gap
        line = f"the gap {key.dataset} is {gap.value:+.3f}{_interval(gap, '+.3f')}, at most {limit:.2f} is allowed"
        (against if gap.value > limit else beside).append(line)
    certain = risks[(risks["verdict"] == "FLAG") & (risks["certain"] == True)]  # noqa: E712
    against += [f"{row.risk}: {row.figure:.3f} against {row.threshold:.2f}, certain" for row in certain.itertuples()]
    return Decision("no" if against else "yes", (*against, *beside))
