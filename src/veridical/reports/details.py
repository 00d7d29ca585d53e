"""Sections of a report: risks, the worst videos, the data, temporal localisation, calibration of each modality."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from veridical.evaluation import CONDITION_NAMES, Evaluation
from veridical.reports.content import VERDICT_CSS, Table, TableCell, number, plain, typeset
from veridical.reports.svg import timeline_plot


@dataclass(frozen=True)
class FailureRow:
    """One of the worst videos."""

    rank: int
    video_id: str
    summary: str
    about: str
    timeline: str
    thumbnail: str = ""


def failure_rows(evaluation: Evaluation, dataset: str) -> list[FailureRow]:
    """Return the worst videos of a data set."""
    rows = []
    for rank, item in enumerate((item for item in evaluation.facts.failures if item.dataset == dataset), 1):
        truth = "fake" if item.label else "real"
        about = [
            item.generator,
            item.compression,
            *(f"{name} {value}" for name, value in item.attributes.items()),
        ]
        clips = f"{item.num_clips} clip" + ("s" if item.num_clips != 1 else "")
        rows.append(
            FailureRow(
                rank,
                item.video_id,
                f"{truth}, p(fake) {item.p_fake:.2f}",
                " · ".join([*(part for part in about if part), clips]),
                timeline_plot(f"p(fake) over time, {item.video_id}", item.timeline) if item.num_clips > 1 else "",
                evaluation.attachments.thumbnails.get(item.video_id, ""),
            )
        )
    return rows


def statistics_tables(evaluation: Evaluation) -> list[tuple[str, list[Table]]]:
    """Return (data set, its tables): counts, the matrix of generators and compressions, splits, losses."""
    described = []
    for name, statistics in evaluation.attachments.statistics.items():
        tables = [
            Table(
                [item.title, *item.headers[1:]],
                [[TableCell(row[0]), *(TableCell(text, css="number") for text in row[1:])] for row in item.rows],
                item.note,
            )
            for item in statistics.tables()
        ]
        described.append((name, tables))
    return described


def localisation_table(evaluation: Evaluation) -> Table | None:
    """Return how well forged segments are localised in partial fakes; None where no data set has any."""
    names = {"ap_at_iou_0.5": "AP at IoU .5", "ap_at_iou_0.75": "AP at .75", "ap_at_iou_0.95": "AP at .95"}
    names |= {f"ar_at_{count}": f"AR at {count}" for count in (10, 20, 50, 100)}
    rows = []
    for dataset, split in evaluation.test_sets:
        cells = [number(evaluation.figure(dataset, split, metric)) for metric in names]
        if any(cell.css == "number" for cell in cells):
            rows.append([TableCell(dataset), *cells])
    return Table(["Data set", *names.values()], rows) if rows else None


def modality_calibration_table(evaluation: Evaluation) -> Table | None:
    """Return the ECE of every modality's scores before and after temperature scaling, with the ECE expected by chance."""
    rows = []
    for condition in evaluation.facts.conditions:
        if condition == evaluation.facts.primary_condition or condition not in CONDITION_NAMES:
            continue
        for dataset, split in evaluation.test_sets:
            before, after = (
                number(evaluation.figure(dataset, split, "ece", condition=condition, calibration=calibration))
                for calibration in ("none", "temperature")
            )
            chance = number(
                evaluation.figure(dataset, split, "ece_by_chance", condition=condition, calibration="temperature")
            )
            rows.append(
                [TableCell(CONDITION_NAMES[condition], dataset), before, after, TableCell(chance.text, css=chance.css)]
            )
    return (
        Table(["Scores of", "ECE, raw", "ECE after temperature scaling", "Expected by chance"], rows) if rows else None
    )


@dataclass(frozen=True)
class RiskTable:
    """The risks of one verdict."""

    verdict: str
    """FLAG, UNDECIDED, PASS or NOT EVALUABLE."""
    names: str
    """Names of the risks, shown while the table is folded."""
    table: Table


def risk_tables(evaluation: Evaluation) -> list[RiskTable]:
    """Return the risk register by verdict: flagged, undecided, passed, not evaluable; those that occur."""
    tables = []
    for verdict in VERDICT_CSS:
        rows = evaluation.risks[evaluation.risks["verdict"] == verdict]
        if len(rows):
            headers = ["Risk", "Verdict", "Measured", "Threshold", "Finding", "Mitigation"]
            table = Table(headers, [_risk_row(row) for _, row in rows.iterrows()])
            tables.append(RiskTable(verdict, ", ".join(map(typeset, rows["risk"])), table))
    return tables


def _risk_row(row: pd.Series) -> list[TableCell]:
    sure = ("certain" if row["certain"] else "not certain") if row["verdict"] == "FLAG" else ""
    figure = TableCell("–", css="absent")
    if pd.notna(row["figure"]):
        ranged = pd.notna(row["low"]) and row["low"] < row["high"]
        below = f"[{plain(row['low'])}, {plain(row['high'])}]" if ranged else ""
        figure = TableCell(plain(row["figure"]), below, "number")
    return [
        TableCell(typeset(row["risk"])),
        TableCell(row["verdict"].lower(), sure, f"verdict {VERDICT_CSS[row['verdict']]}"),
        figure,
        TableCell(f"{row['threshold']:g}", css="number"),
        TableCell(typeset(row["reason"]), css="text"),
        TableCell(row["mitigation"], css="text"),
    ]
