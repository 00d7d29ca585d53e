"""One risk of the register: its row, what it may look at, and how a figure becomes a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from veridical.artefacts import Manifest
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.figures import Figure, FigureTable, Key
from veridical.evaluation.protocol import judged_cell
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell
from veridical.metrics import fewest_groups


@dataclass(frozen=True)
class Risk:
    """One row of risks.csv."""

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
class Findings:
    """What a risk may look at."""

    evidence: Evidence
    parts: list[Cell]
    selection: Selection
    settings: EvaluationSettings
    table: FigureTable
    coverage: list[Coverage]
    looks: int | None
    manifest: Manifest | None
    audits: Mapping[str, pd.DataFrame]
    """Data set → the audit of its judged videos (`corpora.audit`), where files were probed or clips looked at."""

    @property
    def reference(self) -> Cell | None:
        """The reference's judged cell."""
        return judged_cell(self.parts, self.selection.dataset) if self.selection.dataset is not None else None

    @property
    def judged(self) -> list[Cell]:
        """One judged cell for each data set, the reference first."""
        names = dict.fromkeys([cell.dataset for cell in self.parts])
        found = [
            judged_cell(self.parts, name) for name in sorted(names, key=lambda name: name != self.selection.dataset)
        ]
        return [cell for cell in found if cell is not None]

    def key(self, cell: Cell, metric: str, **facts: str) -> Key:
        """Return the key of a video-level figure of the primary condition."""
        condition = facts.pop("condition", self.evidence.primary)
        return Key(
            cell.dataset, cell.split, metric, aggregation=self.settings.aggregation, condition=condition, **facts
        )


def verdict(
    name: str, figure: Figure, threshold: float, mitigation: str, *, below: bool = False, note: str = ""
) -> Risk:
    """Return the row of a figure.

    Args:
        name: The risk.
        figure: What was measured.
        threshold: Beyond it the risk is flagged.
        mitigation: What to do about it.
        below: True: flagged when the figure is below the threshold.
        note: Said beside the verdict.
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
    return Risk(
        name,
        figure.value,
        figure.low,
        figure.high,
        threshold,
        "FLAG" if flagged else "PASS",
        bool(certain),
        reason,
        mitigation,
    )


def not_judged(name: str, threshold: float, reason: str, mitigation: str) -> Risk:
    """Return the row of a risk that cannot be judged, with the reason."""
    return verdict(name, Figure(reason=reason), threshold, mitigation)
