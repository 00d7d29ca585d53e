"""The outcome of an evaluation on the terminal."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from veridical.evaluation import Evaluation

COLUMNS = {"auc": "AUC", "eer": "EER", "average_precision": "AP"}
VERDICT_STYLE = {"FLAG": "bold red", "UNDECIDED": "yellow", "PASS": "green", "NOT EVALUABLE": "dim"}
NOTES_SHOWN = 2


def show_evaluation(console: Console, evaluation: Evaluation, report: Path) -> None:
    """Print the figures of every data set and split, the flagged risks, the decision, and where the report is."""
    facts = evaluation.facts
    lines = [escape(remark) for remark in facts.remarks]
    _print(console, lines)
    console.print(_figures(evaluation))
    more = len(facts.warnings) - NOTES_SHOWN
    lines = _without_figures(evaluation)
    lines += [f"note: {escape(line)}" for line in facts.warnings[:NOTES_SHOWN]]
    lines += [f"{more} more in the report"] if more > 0 else []
    gaps = evaluation.metrics[evaluation.metrics["metric"] == "auc_gap"]
    lines += [f"loss of AUC {escape(gap['dataset'])}: {_figure(gap, 3)}" for _, gap in gaps.iterrows()]
    lines += _in_deployment(evaluation)
    verdicts = list(evaluation.risks["verdict"])
    counts = (f"[{style}]{verdicts.count(name)} {name.lower()}[/]" for name, style in VERDICT_STYLE.items())
    lines.append(f"risks: {', '.join(counts)}")
    for _, risk in evaluation.flagged.iterrows():
        certain = "certain" if risk["certain"] else "not certain"
        against = f"{risk['figure']:.3f} against {risk['threshold']:g} ({certain})"
        lines.append(f"  [bold red]FLAG[/] {escape(risk['risk'])}: {against}")
    lines.append(f"ready for the next phase: [bold]{evaluation.ready}[/]")
    lines += [f"  {escape(reason)}" for reason in facts.decision.reasons]
    _print(console, [*lines, f"report: {escape(str(report))}"])


def _print(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _cells(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return every (data set, split), in the order of the figures; gaps are left out."""
    rows = evaluation.metrics[evaluation.metrics["metric"] == "auc"]
    return list(dict.fromkeys(zip(rows["dataset"], rows["split"], strict=True)))


def _figures(evaluation: Evaluation) -> Table:
    table = Table(
        title="Videos, 95 % intervals over leak groups", title_justify="left", box=SIMPLE, collapse_padding=True
    )
    table.add_column("data set")
    for name in (*COLUMNS.values(), "videos"):
        table.add_column(name, justify="right", no_wrap=True)
    for dataset, split in _cells(evaluation):
        figures = [evaluation.figure(dataset, split, metric) for metric in COLUMNS]
        shown = [figure for figure in figures if figure is not None]
        if shown:
            counts = "+".join(f"{shown[0][name]:.0f}" for name in ("n_real", "n_fake"))
            table.add_row(escape(f"{dataset} {split}".strip()), *(_figure(figure, 2) for figure in shown), counts)
    return table


def _without_figures(evaluation: Evaluation) -> list[str]:
    """Return the data sets without an AUC, and why."""
    lines = []
    for dataset, split in _cells(evaluation):
        row = evaluation.figure(dataset, split, "auc")
        if row is not None and isnan(row["value"]):
            lines.append(f"{escape(f'{dataset} {split}'.strip())}: not evaluable: {escape(str(row['reason']))}")
    return lines


def _in_deployment(evaluation: Evaluation) -> list[str]:
    """Return how the detector does where it may abstain, and its precision at the stated prevalence."""
    settings = evaluation.facts.settings
    point = f"conformal_{settings.error_rate:g}"
    points = {"abstained": point, "error_if_decided": point, "precision_at_prevalence": "val_eer"}
    lines = []
    for dataset, split in evaluation.test_sets:
        rows = [evaluation.figure(dataset, split, name, operating_point=at) for name, at in points.items()]
        values = [float(row["value"]) for row in rows if row is not None and not isnan(row["value"])]
        if len(values) == len(points):
            abstained, wrong, precision = values
            lines.append(
                f"{escape(f'{dataset} {split}'.strip())}: abstains on {abstained:.0%} of the videos, errs on {wrong:.0%} of the"
                f" others; where {settings.prevalence:.1%} are fake, {precision:.1%} of those it calls fake would be"
            )
    return lines


def _figure(row: pd.Series, digits: int) -> str:
    """Return a figure with three decimals and its interval with `digits`."""
    if isnan(row["value"]):
        return "not evaluable"
    if isnan(row["low"]):
        return f"{row['value']:.3f}"
    ends = (f"{row[name]:.{digits}f}".replace("0.", ".", 1) for name in ("low", "high"))
    return f"{row['value']:.3f} \\[{', '.join(ends)}]"
