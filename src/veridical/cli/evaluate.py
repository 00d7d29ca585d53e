"""`veridical evaluate`: judge a run, or the scores of any detector."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.score import Controls, Detector, Device
from veridical.cli.terminal import open_console
from veridical.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from veridical.artefacts import Manifest, ScoreTable
    from veridical.clips import ClipStore
    from veridical.evaluation import Evaluation, EvaluationSettings
    from veridical.evaluation.external import ColumnMeaning

SHOWN = ("auc", "eer", "average_precision")
VERDICT_STYLE = {"PASS": "green", "FLAG": "bold red", "NOT EVALUABLE": "yellow"}


Run = Annotated[Path | None, typer.Argument(help="A run; scores the stores given with --on, then judges.")]
Stores = Annotated[
    list[Path] | None,
    typer.Option(
        "--on",
        help="Clip store to score; may be repeated. With --scores: store of the judged videos, for thumbnails and the"
        " risks that lie in faces and sound.",
    ),
]
Scores = Annotated[
    Path | None, typer.Option(help="Instead of RUN: scores.parquet, or any detector's csv (video_id and a score).")
]
Manifests = Annotated[
    list[Path] | None,
    typer.Option(help="Labels, splits, groups and all videos that were to be scored; may be repeated."),
]
Reference = Annotated[
    str | None, typer.Option(help="Data set that was trained on; found by its validation split when not given.")
]
TimeColumn = Annotated[str | None, typer.Option(help="csv: the column with the start of a clip, in seconds.")]

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder to write; RUN/evaluation/default for a run.")
]
ScoreKind = Annotated[str | None, typer.Option(help="csv: the score is a `logit`, a `probability`, or a `ranking`.")]
Prevalence = Annotated[
    float, typer.Option(help="Share of fakes expected in use: precision and probabilities are corrected to it.")
]
ErrorRate = Annotated[
    float, typer.Option(help="Share of wrong answers allowed to a detector that may say `cannot tell`.")
]


def evaluate(
    run: Run = None,
    on: Stores = None,
    scores: Scores = None,
    detector: Detector = None,
    control: Controls = None,
    device: Device = "auto",
    manifest: Manifests = None,
    output: Output = None,
    score_column: Annotated[str | None, typer.Option(help="csv: the column that holds the score.")] = None,
    higher_is: Annotated[str | None, typer.Option(help="csv: the score is higher for `fake` or for `real`.")] = None,
    score_kind: ScoreKind = None,
    id_column: Annotated[str, typer.Option(help="csv: the column that names the video.")] = "video_id",
    time_column: TimeColumn = None,
    reference: Reference = None,
    aggregation: Annotated[str, typer.Option(help="From clips to a video: mean, max, top-k, median.")] = "mean",
    prevalence: Prevalence = 0.01,
    error_rate: ErrorRate = 0.1,
    replicates: Annotated[int, typer.Option(help="Bootstrap replicates behind the intervals.")] = 1000,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a risk is flagged.")] = False,
) -> None:
    """Judge a detector: figures with intervals, risks, sign-off, and a report.

    Thresholds and temperature are chosen on the validation split only. What cannot be judged from the scores and the
    manifest says "not evaluable" and why. Writes metrics.csv, risks.csv, evaluation.json, model_card.md
    and report.html.
    """
    from veridical.clips import ClipStore
    from veridical.evaluation.attachments import look_at_clips
    from veridical.evaluation.evaluation import evaluate as judge
    from veridical.evaluation.external import ColumnMeaning

    console = open_console()
    _check_use(run, scores, detector, on, control, output)
    _check_device(device, run)
    meaning = ColumnMeaning(score_column, higher_is, score_kind, id_column, time_column)  # type: ignore[arg-type]
    _check_meaning(meaning, scores)
    folder = _folder(output, run)
    stores = [ClipStore.open(path) for path in on or []]
    labels = _labels(manifest, stores)
    choices = {"reference": reference, "aggregation": aggregation, "prevalence": prevalence, "error_rate": error_rate}
    settings = _settings(stores, replicates=replicates, **choices)
    remarks: tuple[str, ...] = ()
    if scores is not None:
        table, settings, remarks = _external(console, scores, meaning, labels, settings)
    else:
        assert labels is not None
        table = _scored(detector or run or "", device, control or [], stores, labels)
        table.write(folder / "scores.parquet")
    heading = title or detector or (run or scores or Path()).resolve().name
    content = look_at_clips(stores, labels) if stores and labels is not None else None
    looks = (run or folder) / "looks.jsonl"
    result = judge(
        table, manifest=labels, settings=settings, title=heading, looks=looks, remarks=remarks, content=content
    )
    _write(result, folder, run, stores, labels)
    show(console, result)
    console.print(f"report: {folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    if strict and len(result.flagged):
        raise typer.Exit(1)


def _labels(paths: list[Path] | None, stores: list[ClipStore]) -> Manifest | None:
    """Return the manifests that were given, or else the stores' own, below each other."""
    from veridical.artefacts import Manifest

    manifests = [Manifest.read(path) for path in paths] if paths else [store.manifest() for store in stores]
    return Manifest.concat(manifests) if manifests else None


def _settings(stores: list[ClipStore], **values: object) -> EvaluationSettings:
    from veridical.evaluation import EvaluationSettings
    from veridical.settings import parse_settings

    window = {"window_s": stores[0].settings.window_s} if stores else {}
    return parse_settings(EvaluationSettings, {**values, **window}, "evaluate")


def _write(
    result: Evaluation, folder: Path, run: Path | None, stores: list[ClipStore], labels: Manifest | None
) -> None:
    """Write the evaluation with its pages."""
    from veridical.evaluation.attachments import attach
    from veridical.reports import write_model_card, write_report

    result.write(folder)
    attach(folder, result, stores, labels)
    write_report(folder, folder / "report.html", extras=training_extras(run))
    write_model_card(folder, folder / "model_card.md")


def _check_device(device: str, run: Path | None) -> None:
    if device != "auto" and run is None:
        raise UsageError(
            "--device goes with a run; the others compute where they were made to, or are computed already"
        )


def _check_use(
    run: Path | None,
    scores: Path | None,
    detector: str | None,
    on: list[Path] | None,
    control: list[str] | None,
    output: Path | None,
) -> None:
    """Refuse options that do not go together."""
    if [run, scores, detector].count(None) != 2:
        raise UsageError("give either a run with --on STORE, --detector with --on STORE, or --scores FILE")
    if scores is not None and control:
        raise UsageError("--control goes with a run or --detector; --scores FILE holds its scores already")
    if scores is None and not on:
        raise UsageError("say what to score with --on STORE")
    if output is None and run is None:
        raise UsageError("say where to write with -o DIR")


def _folder(output: Path | None, run: Path | None) -> Path:
    """Return where to write; not among other things, from which nine files would be hard to tell apart again."""
    from veridical.artefacts import check_folder

    folder = output or (run or Path()) / "evaluation" / "default"
    check_folder(folder, "an evaluation", "metrics.csv", also=["scores.parquet", "looks.jsonl"])
    return folder


def _check_meaning(meaning: ColumnMeaning, scores: Path | None) -> None:
    """Refuse values that an option does not know, and options that would be ignored."""
    choices = {
        "--higher-is": (meaning.higher_is, ("fake", "real")),
        "--score-kind": (meaning.kind, ("logit", "probability", "ranking")),
    }
    for option, (value, valid) in choices.items():
        if value is not None and value not in valid:
            raise UsageError(f"{option} {value!r}: expected {' or '.join(valid)}")
    if scores is None and meaning != type(meaning)():
        raise UsageError(
            "--score-column, --higher-is, --score-kind, --id-column and --time-column go with --scores FILE"
        )


def _external(
    console: Console, path: Path, meaning: ColumnMeaning, labels: Manifest | None, settings: EvaluationSettings
) -> tuple[ScoreTable, EvaluationSettings, tuple[str, ...]]:
    from veridical.evaluation.external import read_scores

    found = read_scores(path, meaning, labels)
    for remark in found.remarks:
        console.print(remark, highlight=False, markup=False, soft_wrap=True)
    return found.scores, settings.model_copy(update={"probabilistic": found.kind != "ranking"}), found.remarks


def _scored(spec: str | Path, device: str, control: list[str], stores: list[ClipStore], labels: Manifest) -> ScoreTable:
    from veridical.artefacts import ScoreTable
    from veridical.inference import load_scorer, score_store
    from veridical.interventions import parse_interventions

    interventions = parse_interventions(control)
    scorer = load_scorer(spec, device)
    return ScoreTable.concat(
        score_store(scorer, store, labels, splits=_judged(store, labels), interventions=interventions)
        for store in stores
    )


def _judged(store: ClipStore, labels: Manifest) -> tuple[str, ...]:
    """Return the splits to score: figures on what was trained on would mean nothing; a corpus without splits is judged whole."""
    videos = labels.frame(["video_id", "split"])
    inside = videos["video_id"].isin(store.index()["video_id"])
    return ("val", "test") if videos.loc[inside, "split"].notna().any() else ()


def training_extras(run: Path | None) -> dict[str, object]:
    """Return the training curves and the recipe of a run."""
    import json

    from veridical.settings import read_yaml

    if run is None:
        return {}
    extras: dict[str, object] = {}
    if (run / "metrics.jsonl").is_file():
        extras["training"] = [
            json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        ]
    if (run / "recipe.yaml").is_file():
        extras["settings"] = read_yaml(run / "recipe.yaml")
    return extras


def show(console: Console, result: Evaluation) -> None:
    """Print the figures of every judged data set, the flagged risks and the decision."""
    rows = result.metrics
    condition = result.facts["primary_condition"]
    rows = rows[(rows["level"] == "video") & (rows["slice"] == "") & (rows["condition"] == condition)]
    rows = rows[rows["aggregation"] == result.facts["settings"]["aggregation"]]
    table = Table(
        title="Videos, 95 % intervals over leak groups", title_justify="left", box=SIMPLE, collapse_padding=True
    )
    for name in ("data set", "AUC", "EER", "AP", "videos"):
        table.add_column(name, justify="left" if name == "data set" else "right", no_wrap=name != "data set")
    for (dataset, split), part in rows[rows["metric"].isin(SHOWN)].groupby(["dataset", "split"], sort=False):
        figures = {row["metric"]: row for _, row in part.iterrows()}
        counts = "+".join(f"{figures['auc'][name]:.0f}" for name in ("n_real", "n_fake"))
        table.add_row(escape(f"{dataset} {split}".strip()), *(_figure(figures[name], 2) for name in SHOWN), counts)
    console.print(table)
    for where, reason in _without_figures(rows):
        console.print(f"{escape(where)}: not evaluable: {escape(reason)}", highlight=False, soft_wrap=True)
    notes = result.facts["warnings"]
    for line in [*notes[:2], *([f"{len(notes) - 2} more in the report"] if len(notes) > 2 else [])]:
        console.print(f"note: {escape(line)}", highlight=False, soft_wrap=True)
    for _, gap in result.metrics[result.metrics["metric"] == "auc_gap"].iterrows():
        console.print(f"loss of AUC {escape(gap['dataset'])}: {_figure(gap)}", highlight=False)
    for line in _in_use(result):
        console.print(line, highlight=False, soft_wrap=True)
    verdicts = list(result.risks["verdict"])
    told = ", ".join(f"[{style}]{verdicts.count(name)} {name.lower()}[/]" for name, style in VERDICT_STYLE.items())
    console.print(f"risks: {told}", highlight=False)
    for _, risk in result.flagged.iterrows():
        sure = "certain" if risk["certain"] else "not certain"
        line = (
            f"  [bold red]FLAG[/] {escape(risk['risk'])}: {risk['figure']:.3f} against {risk['threshold']:g} ({sure})"
        )
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"ready for the next phase: [bold]{result.ready}[/]", highlight=False)
    for reason in result.facts["decision"]["reasons"]:
        console.print(f"  {escape(reason)}", highlight=False, soft_wrap=True)


def _without_figures(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the data sets without an AUC, and why."""
    lacking = rows[(rows["metric"] == "auc") & rows["value"].isna()]
    return [(f"{row.dataset} {row.split}".strip(), str(row.reason)) for row in lacking.itertuples()]


def _in_use(result: Evaluation) -> list[str]:
    """Return what a detector comes to that may say "cannot tell", and its precision at the stated share of fakes."""
    settings, found = result.facts["settings"], []
    rate, prevalence = settings["error_rate"], settings["prevalence"]
    wanted = {
        "abstained": f"conformal_{rate:g}",
        "error_if_decided": f"conformal_{rate:g}",
        "precision_at_prevalence": "val_eer",
    }
    rows = result.metrics
    rows = rows[(rows["level"] == "video") & (rows["slice"] == "") & rows["value"].notna()]
    for (dataset, split), part in rows.groupby(["dataset", "split"], sort=False):
        values = {
            name: part[(part["metric"] == name) & (part["operating_point"] == point)]["value"]
            for name, point in wanted.items()
        }
        if len(values["error_if_decided"]) and len(values["precision_at_prevalence"]):
            abstained, wrong, precision = (values[name].iloc[0] for name in wanted)
            found.append(
                f"{escape(f'{dataset} {split}'.strip())}: says “cannot tell” of {abstained:.0%}, is wrong of {wrong:.0%} of the"
                f" others; of what it calls fake {precision:.1%} would be, where {prevalence:.1%} of all are fake"
            )
    return found


def _figure(row: pd.Series, digits: int = 3) -> str:
    """Return a figure with three decimals and its interval with `digits`."""
    if isnan(row["value"]):
        return "not evaluable"
    if isnan(row["low"]):
        return f"{row['value']:.3f}"
    ends = (f"{row[name]:.{digits}f}".replace("0.", ".", 1) for name in ("low", "high"))
    return f"{row['value']:.3f} \\[{', '.join(ends)}]"
