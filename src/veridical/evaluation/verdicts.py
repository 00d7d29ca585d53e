"""What risks and sign-off are decided from, and how a figure becomes the verdict of a risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from veridical.artefacts import Manifest
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.figures import Figure, FigureTable, Key
from veridical.evaluation.protocol import test_set
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell
from veridical.metrics import fewest_groups


@dataclass(frozen=True)
class Risk:
    """One row of the risk register (risks.csv)."""

    risk: str
    figure: float
    low: float
    high: float
    threshold: float
    verdict: str
    certain: bool
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


def verdict(
    name: str, figure: Figure, threshold: float, mitigation: str, *, below: bool = False, note: str = ""
) -> Risk:
    """Return the row of a risk from its figure.

    Args:
        name: The risk.
        figure: What was measured.
        threshold: A figure beyond it is flagged.
        mitigation: What to do about it.
        below: Flag figures below the threshold, not above.
        note: Shown next to the verdict.
    """
    if not figure.evaluable:
        return Risk(name, np.nan, np.nan, np.nan, threshold, "NOT EVALUABLE", False, figure.reason, mitigation)
    flagged = figure.value < threshold if below else figure.value > threshold
    certain = figure.high < threshold if flagged else figure.low >= threshold
    if not below:
        certain = figure.low > threshold if flagged else figure.high <= threshold
    if 0 < figure.groups < fewest_groups():
        certain = False  # the interval is only the range of the replicates
    reason = "; ".join(part for part in (note, figure.reason) if part)
    outcome = "FLAG" if flagged else "PASS"
    return Risk(name, figure.value, figure.low, figure.high, threshold, outcome, bool(certain), reason, mitigation)


def unmeasured(name: str, threshold: float, reason: str, mitigation: str) -> Risk:
    """Return the row of a risk that is not evaluable, with the reason."""
    return verdict(name, Figure(reason=reason), threshold, mitigation)
