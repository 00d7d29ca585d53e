"""The content of a report: what each section says, as plain rows that the template lays out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from veridical.reports import plots
from veridical.reports.plots import Picture, tone
from veridical.reports.source import CONDITION_NAMES, Source

HEADLINE = {
    "auc": "AUC",
    "eer": "EER",
    "average_precision": "Average precision",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "tpr_at_5_fpr": "TPR at 5 % FPR",
    "tpr_at_1_fpr": "TPR at 1 % FPR",
}
CALIBRATION = {"ece": "ECE", "adaptive_ece": "Adaptive ECE", "brier": "Brier score", "log_loss": "Log loss"}
DECISIONS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "fpr": "FPR",
    "precision_at_prevalence": "Precision in use",
}
READY = {"yes": "good", "no": "bad", "not evaluable": "open"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a figure with its interval beneath, or plain text."""

    text: str
    below: str = ""
    css: str = ""
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first column heads its row."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    """A large figure at the top of the page."""

    name: str
    text: str
    below: str
    css: str = ""


def number(row: pd.Series | None, digits: int = 3, *, signed: bool = False) -> Cell:
    """Return the cell of a figure: value, interval beneath, reason when there is none."""
    if row is None:
        return Cell("–", css="absent")
    if pd.isna(row["value"]):
        return Cell("not evaluable", str(row["reason"]), "absent")
    sign = "+" if signed else ""
    below = ""
    if pd.notna(row["low"]):
        below = typeset(f"[{row['low']:{sign}.{digits}f}, {row['high']:{sign}.{digits}f}]")
    return Cell(
        typeset(f"{row['value']:{sign}.{digits}f}"), below, "number", f"{row['n_real']:g} real, {row['n_fake']:g} fake"
    )


def typeset(text: str) -> str:
    """Return text with real minus signs and arrows."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", text.replace("->", " → "))


def plain(value: float) -> str:
    """Return a number as a reader wants it: whole numbers as they are, others with three decimals."""
    return f"{value:.0f}" if float(value).is_integer() else typeset(f"{value:.3f}")


def tiles(source: Source) -> list[Tile]:
    """Return the figures at the top: AUC of every judged data set, the largest gap, flags."""
    found = []
    for dataset, split in source.judged[:4]:
        cell = number(source.figure(dataset, split, "auc"))
        role = "reference corpus" if dataset == source.reference else "other corpus"
        value = cell.text if cell.css != "absent" else "–"
        found.append(Tile(f"AUC on {dataset}", value, f"{cell.below} · {role}" if cell.below else role))
    gaps = source.metrics[(source.metrics["metric"] == "auc_gap") & source.metrics["value"].notna()]
    if len(gaps):
        row = gaps.sort_values("value").iloc[-1]
        cell = number(row, signed=True)
        found.append(Tile(typeset(f"Gap {row['dataset']}"), cell.text, cell.below))
    flags = source.risks[source.risks["verdict"] == "FLAG"]
    certain = int((flags["certain"] == True).sum())  # noqa: E712
    open_rows = int((source.risks["verdict"] == "NOT EVALUABLE").sum())
    css = "bad" if certain else ("warn" if len(flags) else "good")
    found.append(Tile("Risks flagged", str(len(flags)), f"{certain} certain · {open_rows} not evaluable", css))
    return found


def headline_table(source: Source) -> Table:
    """Return rank metrics and calibration, a column per judged data set, at video level, and AUC at clip level."""
    rows = []
    for metric, name in HEADLINE.items():
        rows.append([Cell(name), *(number(source.figure(*where, metric)) for where in source.judged)])
    rows.insert(
        1, [Cell("AUC of clips"), *(number(source.figure(*where, "auc", level="clip")) for where in source.judged)]
    )
    calibration = "temperature" if source.facts["temperatures"] else "none"
    label = "ECE after temperature scaling" if calibration == "temperature" else "ECE, raw"
    rows.append(
        [Cell(label), *(number(source.figure(*where, "ece", calibration=calibration)) for where in source.judged)]
    )
    counts = []
    for dataset, split in source.judged:
        item = coverage_of(source, dataset, split)
        counts.append(Cell(f"{item['num_real']} + {item['num_fake']}", "real + fake", "number"))
    rows.append([Cell("Videos"), *counts])
    return Table(["Videos, mean logit", *(_where(source, *where) for where in source.judged)], rows)


def _where(source: Source, dataset: str, split: str) -> str:
    return f"{dataset} ({split or 'no split'})"


def coverage_of(source: Source, dataset: str, split: str) -> Mapping[str, Any]:
    """Return the coverage row of a data set and split."""
    return next(item for item in source.facts["coverage"] if (item["dataset"], item["split"]) == (dataset, split))


def aggregation_table(source: Source) -> Table:
    """Return AUC and EER by the way in which clips become a video."""
    settings = source.facts["settings"]
    names = dict.fromkeys([settings["aggregation"], *settings["other_aggregations"]])
    rows = []
    for name in names:
        cells = [
            number(source.figure(*where, metric, aggregation=name))
            for where in source.judged
            for metric in ("auc", "eer")
        ]
        rows.append([Cell(f"top-{settings['top_k']}" if name == "top-k" else name), *cells])
    headers = [f"{dataset} {metric}" for dataset, _ in source.judged for metric in ("AUC", "EER")]
    return Table(["Logit of a video", *headers], rows)


def decision_tables(source: Source) -> list[Table]:
    """Return, for each judged data set, what every operating point makes of it."""
    found = []
    for dataset, split in source.judged:
        rows = []
        for point, calibration, label in _points(source):
            cells = [
                number(source.figure(dataset, split, metric, operating_point=point, calibration=calibration))
                for metric in DECISIONS
            ]
            if all(cell.css == "absent" for cell in cells):
                cells = [cells[0], *([Cell("")] * (len(cells) - 1))]
            rows.append([Cell(label), *cells])
        found.append(Table([dataset, *DECISIONS.values()], rows))
    return found


def _points(source: Source) -> list[tuple[str, str, str]]:
    scaled = bool(source.facts["temperatures"])
    calibration, said = ("temperature", "calibrated") if scaled else ("none", "raw")
    fixed = [
        (f"{value:g}", calibration, f"p ≥ {value:g} ({said})")
        for value in source.facts["settings"]["probability_thresholds"]
    ]
    return [*fixed, ("val_eer", "", "EER threshold of validation"), ("val_tpr", "", "95 % TPR threshold of validation")]


def abstention_table(source: Source) -> Table:
    """Return what a detector comes to that may say "cannot tell"."""
    rate = source.facts["settings"]["error_rate"]
    names = {
        "abstained": "Cannot tell",
        "error_if_decided": "Wrong, of the decided",
        "label_excluded_real": "Reals ruled out as real",
        "label_excluded_fake": "Fakes ruled out as fake",
    }
    rows = []
    for dataset, split in source.judged:
        cells = [number(source.figure(dataset, split, name, operating_point=f"conformal_{rate:g}")) for name in names]
        rows.append([Cell(dataset), *cells])
    return Table(["Data set", *names.values()], rows)


def matrix_table(sources: Sequence[Source]) -> Table:
    """Return AUC by reference corpus (row) and test corpus (column), over all evaluations given."""
    columns = list(dict.fromkeys(dataset for source in sources for dataset, _ in source.judged))
    rows = []
    for source in sources:
        judged = dict(source.judged)
        cells = []
        for dataset in columns:
            row = source.figure(dataset, judged[dataset], "auc") if dataset in judged else None
            cell = number(row)
            shade = "" if cell.css == "absent" else f" heat{max(0, min(5, int((float(cell.text) - 0.5) * 10)))}"
            own = " own" if dataset == source.reference else ""
            cells.append(Cell(cell.text, cell.below, cell.css + shade + own, cell.title))
        name = source.reference or "reference not known"
        rows.append([Cell(name, source.name if len(sources) > 1 else ""), *cells])
    return Table(["Reference ↓ · judged on →", *columns], rows)


def gap_table(source: Source) -> Table | None:
    """Return the loss of AUC from the training corpus to every other."""
    gaps = source.metrics[source.metrics["metric"] == "auc_gap"]
    if gaps.empty:
        return None
    limit = source.facts["settings"]["thresholds"]["corpus_gap"]
    rows = []
    for _, row in gaps.iterrows():
        verdict = Cell("")
        if pd.notna(row["value"]):
            over = row["value"] > limit
            verdict = Cell("FLAG" if over else "PASS", css="verdict flag" if over else "verdict pass")
        rows.append([Cell(typeset(row["dataset"])), number(row, signed=True), Cell(f"≤ {limit:g}"), verdict])
    return Table(["From → to", "Loss of AUC", "Allowed", ""], rows)


def outcome_table(source: Source) -> Table:
    """Return the expected outcomes beside the measured ones."""
    css = {"better": "pass", "as expected": "pass", "worse": "flag", "not evaluable": "open"}
    rows = []
    for item in source.facts["outcomes"]:
        measured = Cell("–", css="absent")
        if item["value"] is not None:
            below = typeset(f"[{item['low']:.3f}, {item['high']:.3f}]") if item["low"] is not None else ""
            measured = Cell(typeset(f"{item['value']:.3f}"), below, "number")
        sure = "" if item["value"] is None else ("certain" if item["certain"] else "not certain")
        verdict = Cell(item["verdict"], sure, f"verdict {css[item['verdict']]}")
        where = typeset(item["dataset"])
        rows.append(
            [
                Cell(item["outcome"], where),
                Cell(item["expected"], css="expected"),
                measured,
                verdict,
                Cell(item["reason"], css="text"),
            ]
        )
    return Table(["Outcome", "Expected", "Measured", "", "Remark"], rows)


def coverage_table(source: Source) -> Table:
    """Return which videos have a score, and what the others could change."""
    rows = []
    for item in source.facts["coverage"]:
        bounds = "–"
        if item["auc_if_missing_wrong"] is not None:
            bounds = f"{item['auc_if_missing_wrong']:.3f} … {item['auc_if_missing_right']:.3f}"
        known = "" if item["known_from_manifest"] else "not in a manifest: missing videos cannot be counted"
        cells = (
            f"{item['num_videos']}",
            f"{item['share']:.1%}",
            f"{item['real_without_score']}",
            f"{item['fake_without_score']}",
        )
        rows.append(
            [
                Cell(item["dataset"], item["split"] or "no split"),
                *(Cell(text, css="number") for text in (*cells, bounds)),
                Cell(known, css="text"),
            ]
        )
    headers = ["Data set", "Videos", "With a score", "Reals without", "Fakes without", "AUC, missing wrong … right", ""]
    return Table(headers, rows)


def calibration_table(source: Source) -> Table:
    """Return calibration before and after, with what chance alone would give."""
    rows = []
    for dataset, split in source.judged:
        for calibration, said in CALIBRATIONS.items():
            figures = {name: source.figure(dataset, split, name, calibration=calibration) for name in CALIBRATION}
            if figures["ece"] is None:
                continue
            chance = source.figure(dataset, split, "ece_by_chance", calibration=calibration)
            cells = [number(row) for row in figures.values()]
            rows.append([Cell(dataset, said), cells[0], number(chance), *cells[1:]])
        in_use = source.figure(dataset, split, "ece_at_prevalence", calibration="beta")
        said = f"beta, corrected to {source.facts['settings']['prevalence']:.2%} fakes"
        rows.append([Cell(dataset, said), number(in_use), *[Cell("–", css="absent")] * 4])
    return Table(["Data set", "ECE", "ECE by chance", "Adaptive ECE", "Brier", "Log loss"], rows)


CALIBRATIONS = {
    "none": "raw",
    "temperature": "temperature scaling",
    "beta": "beta calibration",
    "isotonic": "isotonic",
    "model": "the model's own probability",
}


def contribution_table(source: Source) -> Table | None:
    """Return how much picture and sound add to the AUC (Shapley values)."""
    rows = []
    for dataset, split in source.judged:
        cells = [
            number(source.figure(dataset, split, f"contribution_{name}"), signed=True) for name in ("picture", "sound")
        ]
        rows.append([Cell(dataset), *cells])
    return Table(["Data set", "Picture adds", "Sound adds"], rows)


def breakdown_pictures(source: Source) -> list[Picture]:
    """Return a dot plot for every kind of slice."""
    names: dict[str, None] = {}
    for where in source.judged:
        names |= dict.fromkeys(str(name).partition("=")[0] for name in source.sliced(*where, "auc")["slice"])
    names.pop("against", None)
    titles = {"forged": "what is forged", "face_size_px": "face size"}
    captions = {
        "generator": "Fakes of each generator against all reals of the same data set.",
        "forged": "Fakes by what is forged in them, against all reals.",
        "sound": "Videos with and without a sound track.",
        "speech_share": "Videos by the share of their time in which somebody speaks.",
        "face_size_px": "Videos by the size of the face in the source picture (mean side of its box).",
    }
    first = [name for name in ("generator", "forged", "compression") if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    return [
        Picture(
            f"AUC by {titles.get(name, name.replace('_', ' '))}",
            plots.breakdown_plot(source, name),
            caption=captions.get(name, ""),
        )
        for name in ordered
    ]


def condition_names(source: Source) -> list[tuple[str, str]]:
    """Return (name in the tables, what it means) of the conditions that were scored."""
    return [(name, CONDITION_NAMES.get(name, "")) for name in source.facts["conditions"]]


def legend(source: Source) -> list[tuple[str, str]]:
    """Return (tone, data set)."""
    return [(tone(position), dataset) for position, (dataset, _) in enumerate(source.judged)]


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, text)."""
    found: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append((f"{prefix}{name}", text))
    return found
