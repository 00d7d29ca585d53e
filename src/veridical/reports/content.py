"""The content of a report's sections, as plain rows that the template lays out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from veridical.corpora import differences
from veridical.evaluation import CONDITION_NAMES, Coverage, Evaluation
from veridical.reports import plots
from veridical.reports.plots import Plot, tone
from veridical.settings import flatten

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
    "precision_at_prevalence": "Precision in deployment",
}
UNTITLED = "Evaluation"
READY = {"yes": "good", "no": "bad", "not evaluable": "open"}
VERDICT_CSS = {"FLAG": "flag", "UNDECIDED": "open", "PASS": "pass", "NOT EVALUABLE": "open"}


@dataclass(frozen=True)
class TableCell:
    """A cell of a table: a figure with its interval beneath, or plain text."""

    text: str
    below: str = ""
    css: str = ""
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading."""

    headers: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    """A large figure at the top of the page."""

    name: str
    text: str
    below: str
    css: str = ""


def number(row: pd.Series | None, digits: int = 3, *, signed: bool = False) -> TableCell:
    """Return the cell of a figure: value and interval, or the reason why there is none."""
    if row is None:
        return TableCell("–", css="absent")
    if pd.isna(row["value"]):
        few, reason = "too few to say", str(row["reason"])
        return (
            TableCell(few, reason.removeprefix(few).strip(), "absent")
            if reason.startswith(few)
            else TableCell("not evaluable", reason, "absent")
        )
    sign = "+" if signed else ""
    below = ""
    if pd.notna(row["low"]):
        below = typeset(f"[{row['low']:{sign}.{digits}f}, {row['high']:{sign}.{digits}f}]")
    return TableCell(
        typeset(f"{row['value']:{sign}.{digits}f}"), below, "number", f"{row['n_real']:g} real, {row['n_fake']:g} fake"
    )


def observed(row: pd.Series | None) -> TableCell:
    """Return the cell of a figure as it was measured, before what chance adds is taken off."""
    if row is None or pd.isna(row["observed"]):
        return TableCell("–", css="absent")
    return TableCell(f"{row['observed']:.3f}", css="number")


def typeset(text: str) -> str:
    """Return text with typographic minus signs and arrows."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", text.replace("->", " → "))


def plain(value: float) -> str:
    """Return a number for a reader: whole numbers as they are, others with three decimals."""
    return f"{value:.0f}" if float(value).is_integer() else typeset(f"{value:.3f}")


def tiles(evaluation: Evaluation) -> list[Tile]:
    """Return the figures at the top: AUC of every test set, the largest gap, flags."""
    shown = []
    for dataset, split in evaluation.test_sets[:4]:
        cell = number(evaluation.figure(dataset, split, "auc"))
        role = "reference corpus" if dataset == evaluation.facts.reference.dataset else "other corpus"
        value = cell.text if cell.css != "absent" else "–"
        shown.append(Tile(f"AUC on {dataset}", value, f"{cell.below} · {role}" if cell.below else role))
    gaps = evaluation.metrics[(evaluation.metrics["metric"] == "auc_gap") & evaluation.metrics["value"].notna()]
    if len(gaps):
        row = gaps.sort_values("value").iloc[-1]
        cell = number(row, signed=True)
        shown.append(Tile(typeset(f"Gap {row['dataset']}"), cell.text, cell.below))
    flags = evaluation.risks[evaluation.risks["verdict"] == "FLAG"]
    certain = int((flags["certain"] == True).sum())  # noqa: E712
    undecided, silent = (int((evaluation.risks["verdict"] == name).sum()) for name in ("UNDECIDED", "NOT EVALUABLE"))
    css = "bad" if certain else ("warn" if len(flags) + undecided else "good")
    below = f"{certain} certain · {undecided} undecided · {silent} not evaluable"
    shown.append(Tile("Risks flagged", str(len(flags)), below, css))
    return shown


def headline_table(evaluation: Evaluation) -> Table:
    """Return ranking metrics and calibration of videos, and the AUC of clips, a column per test set."""
    tested, facts = evaluation.test_sets, evaluation.facts

    def row(name: str, metric: str, **columns: str) -> list[TableCell]:
        return [TableCell(name), *(number(evaluation.figure(*where, metric, **columns)) for where in tested)]

    rows = [row(name, metric) for metric, name in HEADLINE.items()]
    rows.insert(1, row("AUC of clips", "auc", level="clip"))
    if facts.temperatures:
        rows.append(row("ECE after temperature scaling", "ece", calibration="temperature"))
    else:
        rows.append(row("ECE, raw", "ece", calibration="none"))
    covered = [coverage_of(evaluation, *where) for where in tested]
    rows.append(
        [TableCell("Videos"), *(TableCell(f"{x.num_real} + {x.num_fake}", "real + fake", "number") for x in covered)]
    )
    return Table([f"Videos, {facts.settings.video_rule} logit", *(_where(*where) for where in tested)], rows)


def _where(dataset: str, split: str) -> str:
    return f"{dataset} ({split or 'no split'})"


def coverage_of(evaluation: Evaluation, dataset: str, split: str) -> Coverage:
    """Return the coverage of a data set and split."""
    return next(item for item in evaluation.facts.coverage if (item.dataset, item.split) == (dataset, split))


def aggregation_table(evaluation: Evaluation) -> Table:
    """Return AUC and EER by the rule that aggregates clip logits into a video logit."""
    settings = evaluation.facts.settings
    rules = {rule.rule: rule for rule in (*settings.other_aggregations, settings.video_rule)}
    rows = []
    for name in dict.fromkeys([settings.video_rule.rule, *rules]):
        cells = [
            number(evaluation.figure(*where, metric, aggregation=name))
            for where in evaluation.test_sets
            for metric in ("auc", "eer")
        ]
        rows.append([TableCell(str(rules[name])), *cells])
    headers = [f"{dataset} {metric}" for dataset, _ in evaluation.test_sets for metric in ("AUC", "EER")]
    return Table(["Video logit", *headers], rows)


def decision_tables(evaluation: Evaluation) -> list[Table]:
    """Return the decision metrics at every operating point, a table per test set."""
    tables = []
    for dataset, split in evaluation.test_sets:
        rows = []
        for point, calibration, label in _points(evaluation):
            cells = [
                number(evaluation.figure(dataset, split, metric, operating_point=point, calibration=calibration))
                for metric in DECISIONS
            ]
            if all(cell.css == "absent" for cell in cells):
                cells = [cells[0], *([TableCell("")] * (len(cells) - 1))]
            rows.append([TableCell(label), *cells])
        tables.append(Table([dataset, *DECISIONS.values()], rows))
    return tables


def _points(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    scaled = bool(evaluation.facts.temperatures)
    calibration, kind = ("temperature", "calibrated") if scaled else ("none", "raw")
    fixed = [
        (f"{value:g}", calibration, f"p ≥ {value:g} ({kind})")
        for value in evaluation.facts.settings.probability_thresholds
    ]
    return [
        *fixed,
        ("val_eer", "", "EER threshold from validation"),
        ("val_tpr", "", "95 % TPR threshold from validation"),
    ]


def abstention_table(evaluation: Evaluation) -> Table:
    """Return how a detector does that may abstain."""
    rate = evaluation.facts.settings.error_rate
    names = {
        "abstained": "Abstained",
        "error_if_decided": "Errors among decisions",
        "label_excluded_real": "Reals ruled out as real",
        "label_excluded_fake": "Fakes ruled out as fake",
    }
    rows = []
    for dataset, split in evaluation.test_sets:
        cells = [
            number(evaluation.figure(dataset, split, name, operating_point=f"conformal_{rate:g}")) for name in names
        ]
        rows.append([TableCell(dataset), *cells])
    return Table(["Data set", *names.values()], rows)


def matrix_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return the AUC by training corpus (row) and test corpus (column), over all evaluations."""
    columns = list(dict.fromkeys(dataset for evaluation in evaluations for dataset, _ in evaluation.test_sets))
    rows = []
    for evaluation in evaluations:
        tested = dict(evaluation.test_sets)
        cells = []
        for dataset in columns:
            row = evaluation.figure(dataset, tested[dataset], "auc") if dataset in tested else None
            cell = number(row)
            shade = "" if cell.css == "absent" else f" heat{max(0, min(5, int((float(cell.text) - 0.5) * 10)))}"
            own = " own" if dataset == evaluation.facts.reference.dataset else ""
            cells.append(TableCell(cell.text, cell.below, cell.css + shade + own, cell.title))
        name = evaluation.facts.reference.dataset or "reference not known"
        rows.append([TableCell(name, (evaluation.facts.title or UNTITLED) if len(evaluations) > 1 else ""), *cells])
    return Table(["Reference ↓ · tested on →", *columns], rows)


def gap_table(evaluation: Evaluation) -> Table | None:
    """Return the generalisation gap, the loss of AUC from the training corpus to every other."""
    gaps = evaluation.metrics[evaluation.metrics["metric"] == "auc_gap"]
    if gaps.empty:
        return None
    limit, verdicts = evaluation.facts.settings.thresholds.corpus_gap, evaluation.risks.set_index("risk")["verdict"]
    rows = []
    for _, row in gaps.iterrows():
        verdict = TableCell("")
        if pd.notna(row["value"]):
            outcome = str(verdicts.get(f"temporal shortcut ({row['dataset']})", ""))
            verdict = TableCell(outcome, css=f"verdict {VERDICT_CSS.get(outcome, 'open')}")
        apart = TableCell(_apart(evaluation, *row["dataset"].split("->", 1)), css="text")
        rows.append(
            [TableCell(typeset(row["dataset"])), number(row, signed=True), TableCell(f"≤ {limit:g}"), verdict, apart]
        )
    return Table(["From → to", "Loss of AUC", "Allowed", "", "In what they differ"], rows)


def _apart(evaluation: Evaluation, source: str, target: str) -> str:
    """Return in what two corpora differ, as far as their manifest says."""
    described = evaluation.attachments.statistics
    if source not in described or target not in described:
        return "not known: give the manifest of both corpora"
    return "; ".join(differences(described[source], described[target])) or "in nothing that is known"


def outcome_table(evaluation: Evaluation) -> Table:
    """Return the outcomes that the training strategy expects next to those measured."""
    css = {"better": "pass", "as expected": "pass", "worse": "flag", "not evaluable": "open"}
    rows = []
    for item in evaluation.facts.outcomes:
        measured = TableCell("–", css="absent")
        if item.value is not None:
            ranged = item.low is not None and item.high is not None
            below = typeset(f"[{item.low:.3f}, {item.high:.3f}]") if ranged else ""
            measured = TableCell(typeset(f"{item.value:.3f}"), below, "number")
        sure = "" if item.value is None else ("certain" if item.certain else "not certain")
        verdict = TableCell(item.verdict, sure, f"verdict {css[item.verdict]}")
        where = typeset(item.dataset)
        rows.append(
            [
                TableCell(item.outcome, where),
                TableCell(item.expected, css="expected"),
                measured,
                verdict,
                TableCell(item.reason, css="text"),
            ]
        )
    return Table(["Outcome", "Expected", "Measured", "", "Remark"], rows)


def coverage_table(evaluation: Evaluation) -> Table:
    """Return which videos have a score, and the bounds of the AUC if the others had one."""
    rows = []
    for item in evaluation.facts.coverage:
        bounds = "–"
        if item.auc_if_missing_wrong is not None:
            bounds = f"{item.auc_if_missing_wrong:.3f} … {item.auc_if_missing_right:.3f}"
        known = "" if item.known_from_manifest else "no manifest: missing videos cannot be counted"
        cells = (
            f"{item.num_videos}",
            f"{item.share:.1%}",
            f"{item.real_without_score}",
            f"{item.fake_without_score}",
        )
        rows.append(
            [
                TableCell(item.dataset, item.split or "no split"),
                *(TableCell(text, css="number") for text in (*cells, bounds)),
                TableCell(known, css="text"),
            ]
        )
    headers = [
        "Data set",
        "Videos",
        "With a score",
        "Reals without",
        "Fakes without",
        "AUC, missing wrong … right",
        "",
    ]
    return Table(headers, rows)


def temperatures(evaluation: Evaluation) -> str:
    """Return the temperatures by condition as text; empty where none was fitted."""
    fitted = evaluation.facts.temperatures.items()
    return ", ".join(f"{CONDITION_NAMES.get(name, name)} {item.temperature:.2f}" for name, item in fitted)


def calibration_table(evaluation: Evaluation) -> Table:
    """Return the calibration raw and after each calibration map, with the ECE as measured and that expected by chance."""
    rows = []
    for dataset, split in evaluation.test_sets:
        for calibration, name in CALIBRATIONS.items():
            figures = {
                metric: evaluation.figure(dataset, split, metric, calibration=calibration) for metric in CALIBRATION
            }
            if figures["ece"] is None:
                continue
            chance = evaluation.figure(dataset, split, "ece_by_chance", calibration=calibration)
            cells = [number(row) for row in figures.values()]
            rows.append([TableCell(dataset, name), cells[0], observed(figures["ece"]), number(chance), *cells[1:]])
        in_use = evaluation.figure(dataset, split, "ece_at_prevalence", calibration="beta")
        name = f"beta, corrected to {evaluation.facts.settings.prevalence:.2%} fakes"
        rows.append([TableCell(dataset, name), number(in_use), observed(in_use), *[TableCell("–", css="absent")] * 4])
    return Table(["Data set", "ECE", "As measured", "ECE by chance", "Adaptive ECE", "Brier", "Log loss"], rows)


CALIBRATIONS = {
    "none": "raw",
    "temperature": "temperature scaling",
    "beta": "beta calibration",
    "isotonic": "isotonic calibration",
    "model": "the model's own probabilities",
}


def contribution_table(evaluation: Evaluation) -> Table | None:
    """Return how much video and audio each contribute to the AUC (Shapley values)."""
    rows = []
    for dataset, split in evaluation.test_sets:
        cells = [
            number(evaluation.figure(dataset, split, f"contribution_{name}"), signed=True)
            for name in ("video", "audio")
        ]
        rows.append([TableCell(dataset), *cells])
    return Table(["Data set", "Video", "Audio"], rows)


def breakdown_plots(evaluation: Evaluation) -> list[Plot]:
    """Return a dot plot for every kind of slice."""
    names: dict[str, None] = {}
    for where in evaluation.test_sets:
        names |= dict.fromkeys(str(name).partition("=")[0] for name in evaluation.sliced(*where, "auc")["slice"])
    names.pop("against", None)
    titles = {"forged": "forged modality", "face_size_px": "face size", "audio": "presence of audio"}
    captions = {
        "generator": "Fakes of each generator against all reals of the same data set.",
        "forged": "Fakes by the modality that is forged, against all reals.",
        "audio": "Videos with and without an audio track.",
        "speech_share": "Videos by the share of their duration that is speech.",
        "face_size_px": "Videos by the size of the face in the source frame (mean side of its box).",
    }
    first = [name for name in ("generator", "forged", "compression") if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    return [
        Plot(
            f"AUC by {titles.get(name, name.replace('_', ' '))}",
            plots.breakdown_plot(evaluation, name),
            caption=captions.get(name, ""),
        )
        for name in ordered
    ]


def condition_names(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return (name in the tables, meaning) of the conditions that were scored."""
    return [(name, CONDITION_NAMES.get(name, "")) for name in evaluation.facts.conditions]


def legend(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return (tone, data set)."""
    return [(tone(position), dataset) for position, (dataset, _) in enumerate(evaluation.test_sets)]


def pairs(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return nested values as (dotted name, text)."""
    flat = flatten(values).items()
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)) for name, value in flat
    ]
