"""Sections of a report: risks, the worst videos, what the data hold, forged stretches, calibration of each modality."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from veridical.corpora import Statistics
from veridical.reports.content import Cell, Table, number, plain, typeset
from veridical.reports.source import CONDITION_NAMES, Source
from veridical.reports.svg import timeline_plot


@dataclass(frozen=True)
class FailureRow:
    """One of the worst videos."""

    rank: int
    video_id: str
    said: str
    about: str
    timeline: str
    thumbnail: str = ""


def failure_rows(source: Source, dataset: str) -> list[FailureRow]:
    """Return the worst videos of a data set."""
    found = []
    for rank, item in enumerate((item for item in source.facts["failures"] if item["dataset"] == dataset), 1):
        truth = "fake" if item["label"] else "real"
        about = [
            item["generator"],
            item["compression"],
            *(f"{name} {value}" for name, value in item["attributes"].items()),
        ]
        clips = f"{item['num_clips']} clip" + ("s" if item["num_clips"] != 1 else "")
        found.append(
            FailureRow(
                rank,
                item["video_id"],
                f"is {truth}, judged {item['p_fake']:.2f}",
                " · ".join([*(part for part in about if part), clips]),
                timeline_plot(f"p of fake over time, {item['video_id']}", item["timeline"])
                if item["num_clips"] > 1
                else "",
                source.thumbnails.get(item["video_id"], ""),
            )
        )
    return found


def statistics_tables(source: Source) -> list[tuple[str, list[Table]]]:
    """Return (data set, tables of what it holds): counts, the matrix of generators and compressions, splits, losses."""
    found = []
    for entry in source.statistics:
        values = {name: value for name, value in entry.items() if name != "name"}
        tables = [
            Table(
                [item.title, *item.headers[1:]],
                [[Cell(row[0]), *(Cell(text, css="number") for text in row[1:])] for row in item.rows],
                item.note,
            )
            for item in Statistics.from_json(values).tables()
        ]
        found.append((str(entry["name"]), tables))
    return found


def localisation_table(source: Source) -> Table | None:
    """Return how well the forged stretches of partial fakes are found; None where no data set has any."""
    names = {"ap_at_iou_0.5": "AP at IoU .5", "ap_at_iou_0.75": "AP at .75", "ap_at_iou_0.95": "AP at .95"}
    names |= {f"ar_at_{count}": f"AR at {count}" for count in (10, 20, 50, 100)}
    rows = []
    for dataset, split in source.judged:
        cells = [number(source.figure(dataset, split, metric)) for metric in names]
        if any(cell.css == "number" for cell in cells):
            rows.append([Cell(dataset), *cells])
    return Table(["Data set", *names.values()], rows) if rows else None


def modality_calibration_table(source: Source) -> Table | None:
    """Return ECE before and after temperature scaling of every modality's scores, with what chance alone would give."""
    rows = []
    for condition in source.facts["conditions"]:
        if condition == source.primary or condition not in CONDITION_NAMES:
            continue
        for dataset, split in source.judged:
            before, after = (
                number(source.figure(dataset, split, "ece", condition=condition, calibration=calibration))
                for calibration in ("none", "temperature")
            )
            chance = number(
                source.figure(dataset, split, "ece_by_chance", condition=condition, calibration="temperature")
            )
            rows.append([Cell(CONDITION_NAMES[condition], dataset), before, after, Cell(chance.text, css=chance.css)])
    return Table(["Scores of", "ECE raw", "ECE after temperature", "By chance"], rows) if rows else None


@dataclass(frozen=True)
class Verdicts:
    """The risks of one verdict."""

    verdict: str
    """FLAG, PASS or NOT EVALUABLE."""
    names: str
    """Of the risks, for the line that stands for the table while it is folded."""
    table: Table


def risk_tables(source: Source) -> list[Verdicts]:
    """Return the risk register by verdict: flags, passes, what cannot be judged; those that there are."""
    found = []
    for verdict in ("FLAG", "PASS", "NOT EVALUABLE"):
        rows = source.risks[source.risks["verdict"] == verdict]
        if len(rows):
            headers = ["Risk", "Verdict", "Measured", "Threshold", "What was found", "What to do"]
            table = Table(headers, [_risk_row(row) for _, row in rows.iterrows()])
            found.append(Verdicts(verdict, ", ".join(map(typeset, rows["risk"])), table))
    return found


def _risk_row(row: pd.Series) -> list[Cell]:
    css = {"FLAG": "flag", "PASS": "pass", "NOT EVALUABLE": "open"}[row["verdict"]]
    sure = "" if row["verdict"] == "NOT EVALUABLE" else ("certain" if row["certain"] is True else "not certain")
    figure = Cell("–", css="absent")
    if pd.notna(row["figure"]):
        ranged = pd.notna(row["low"]) and row["low"] < row["high"]
        below = f"[{plain(row['low'])}, {plain(row['high'])}]" if ranged else ""
        figure = Cell(plain(row["figure"]), below, "number")
    return [
        Cell(typeset(row["risk"])),
        Cell(row["verdict"].lower(), sure, f"verdict {css}"),
        figure,
        Cell(f"{row['threshold']:g}", css="number"),
        Cell(typeset(row["reason"]), css="text"),
        Cell(row["mitigation"], css="text"),
    ]
