"""Sign-off: what the training strategy expects beside what was measured, and whether the next phase may begin.

The primary criterion is the AUC on a corpus that was not trained on. The expected figures are those of the strategy
(FaceForensics++ for training, Celeb-DF for the cross-corpus test); for other corpora they are a yardstick, not a
promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from veridical.evaluation.figures import Figure
from veridical.evaluation.risk import Findings
from veridical.evaluation.slices import Cell


@dataclass(frozen=True)
class Expectation:
    """A line of the strategy's expected outcomes."""

    outcome: str
    low: float | None
    high: float | None
    text: str
    """As it is written in the strategy."""


@dataclass(frozen=True)
class Outcome:
    """An expectation beside the measured figure."""

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
    "audio_masked": Expectation("AUC, picture only", 0.78, 0.78, "≈ .78"),
    "video_masked": Expectation("AUC, sound only", 0.72, 0.72, "≈ .72"),
    "joint": Expectation("AUC, sound and picture", 0.85, 0.85, "≈ .85"),
}
LOWER_IS_BETTER = {"gap", "eer", "fpr_at_95_tpr", "ece", "spread"}
ABOUT = 0.02
"""How far from an "≈" still counts as expected."""


def outcomes(findings: Findings) -> list[Outcome]:
    """Return every expected outcome beside what was measured; one line per other corpus for AUC and gap."""
    source = findings.reference
    found = []
    for name, expectation in EXPECTATIONS.items():
        if name in ("cross_auc", "gap"):
            found += _cross(findings, name, expectation)
            continue
        figure = _measured(findings, source, name)
        dataset = source.dataset if source is not None else ""
        found.append(_compare(name, expectation, dataset, figure))
    return found


def _measured(findings: Findings, cell: Cell | None, name: str) -> Figure:
    if cell is None:
        return Figure(reason=findings.selection.reason or "the training corpus has no scored test split")
    get = findings.table.get
    if name == "spread":
        figure = get(findings.key(cell, "auc_spread", slice="generator"))
        return figure if figure.reason != "not computed" else Figure(reason="no generator is known")
    if name == "ece":
        return get(findings.key(cell, "ece", calibration="temperature"))
    if name in ("audio_masked", "video_masked", "joint"):
        figure = get(findings.key(cell, "auc", condition=name))
        return figure if figure.reason != "not computed" else Figure(reason=f"no scores under the condition {name!r}")
    return get(findings.key(cell, name))


def _cross(findings: Findings, name: str, expectation: Expectation) -> list[Outcome]:
    found = []
    for key, gap in findings.table.items():
        if key.metric != "auc_gap":
            continue
        target = next(cell for cell in findings.judged if cell.dataset == key.dataset.partition("->")[2])
        figure = gap if name == "gap" else findings.table.get(findings.key(target, "auc"))
        found.append(_compare(name, expectation, key.dataset if name == "gap" else target.dataset, figure))
    if not found:
        found.append(
            _compare(name, expectation, "", Figure(reason="scores of one corpus only; a second one is needed"))
        )
    return found


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


def decide(findings: Findings, risks: pd.DataFrame) -> Decision:
    """Decide by the cross-corpus AUC first, then the gap, then flags that are certain.

    Yes: every other corpus reaches at least .78 and its gap is at most the threshold, and no risk is flagged with
    certainty. A figure whose interval reaches below .78 is said so. Without a second corpus: not evaluable.
    """
    gaps = [(key, figure) for key, figure in findings.table.items() if key.metric == "auc_gap"]
    judged = [(key, figure) for key, figure in gaps if figure.evaluable]
    if not judged:
        reason = gaps[0][1].reason if gaps else "no second corpus was scored"
        return Decision("not evaluable", (f"the primary criterion is the AUC on another corpus: {reason}",))
    against: list[str] = []
    beside: list[str] = []
    least = EXPECTATIONS["cross_auc"].low or 0.0
    for key, gap in judged:
        dataset = key.dataset.partition("->")[2]
        cell = next(cell for cell in findings.judged if cell.dataset == dataset)
        area = findings.table.get(findings.key(cell, "auc"))
        line = f"AUC on {dataset} is {area.value:.3f}{_interval(area, '.3f')}, at least {least:.2f} is asked"
        (against if area.value < least else beside).append(line)
        limit = findings.settings.thresholds.corpus_gap
        line = f"gap {key.dataset} is {gap.value:+.3f}{_interval(gap, '+.3f')}, at most {limit:.2f} is allowed"
        (against if gap.value > limit else beside).append(line)
    sure = risks[(risks["verdict"] == "FLAG") & (risks["certain"] == True)]  # noqa: E712
    against += [f"{row.risk}: {row.figure:.3f} against {row.threshold:.2f}, certain" for row in sure.itertuples()]
    return Decision("no" if against else "yes", (*against, *beside))
