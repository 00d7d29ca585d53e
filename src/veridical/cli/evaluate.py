"""`veridical evaluate`: figures, risks and a report for a run, a foreign detector, or the scores of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.options import AcceptSeen, DetectorSpec, Device, Interventions
from veridical.cli.outcome import show_evaluation
from veridical.cli.terminal import open_console
from veridical.errors import UsageError

if TYPE_CHECKING:
    from veridical.evaluation import ColumnMeaning

Run = Annotated[Path | None, typer.Argument(help="A run, scored on the stores given with --on.")]
Stores = Annotated[
    list[Path] | None,
    typer.Option(
        "--on",
        help="Clip store to score; may be repeated. With --scores: the store of the scored videos, for thumbnails and for the"
        " risks that lie in the clips.",
    ),
]
Scores = Annotated[
    Path | None, typer.Option(help="Instead of RUN: scores.parquet, or a csv of any detector (video_id and a score).")
]
Manifests = Annotated[
    list[Path] | None,
    typer.Option(help="Labels, splits, groups, and all videos that were to be scored; may be repeated."),
]
Reference = Annotated[
    str | None, typer.Option(help="Training data set; when not given, the one with a validation split.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder to write; RUN/evaluation/default for a run.")
]
ScoreColumn = Annotated[str | None, typer.Option(help="csv: the column of the score.")]
HigherIs = Annotated[str | None, typer.Option(help="csv: the score is higher for `fake` or for `real`.")]
ScoreKind = Annotated[str | None, typer.Option(help="csv: the score is a `logit`, a `probability`, or a `ranking`.")]
IdColumn = Annotated[str, typer.Option(help="csv: the column of the video's id.")]
TimeColumn = Annotated[str | None, typer.Option(help="csv: the column of a clip's start, in seconds.")]
Rule = Annotated[
    str | None,
    typer.Option(help="From clips to a video: mean, max, top-k, median; when not given, the detector's own rule."),
]
Prevalence = Annotated[
    float | None,
    typer.Option(
        help="Share of fakes expected in deployment, at which precision and probabilities are reported. [default: 0.01]"
    ),
]
ErrorRate = Annotated[
    float | None, typer.Option(help="Error rate per class of a detector that may abstain. [default: 0.1]")
]
Replicates = Annotated[int | None, typer.Option(help="Bootstrap replicates behind the intervals. [default: 1000]")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as probability_thresholds, worst_videos, ece_bins or a limit of the risks"
        " (docs/decisions.md), for example worst_videos=20 or thresholds.ece=.1. A run's recipe may set them too, under"
        " evaluation.",
    ),
]


def evaluate(
    run: Run = None,
    on: Stores = None,
    scores: Scores = None,
    detector: DetectorSpec = None,
    intervention: Interventions = None,
    device: Device = "auto",
    manifest: Manifests = None,
    output: Output = None,
    score_column: ScoreColumn = None,
    higher_is: HigherIs = None,
    score_kind: ScoreKind = None,
    id_column: IdColumn = "video_id",
    time_column: TimeColumn = None,
    reference: Reference = None,
    aggregation: Rule = None,
    prevalence: Prevalence = None,
    error_rate: ErrorRate = None,
    replicates: Replicates = None,
    assignments: Assignments = None,
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "",
    accept_seen: AcceptSeen = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a risk is flagged.")] = False,
) -> None:
    """Evaluate a detector: figures with intervals, a risk register, a sign-off, and a report.

    Thresholds and temperatures are selected on the validation split only. What cannot be computed from the scores and the
    manifest is reported as "not evaluable", with the reason. Writes metrics.csv, risks.csv, evaluation.json, model_card.md
    and report.html.
    """
    from veridical.artefacts import Manifest
    from veridical.pipeline import evaluation_folder, evaluation_settings, judge

    columns = _columns(score_column, higher_is, score_kind, id_column, time_column)
    _check_use(run, scores, detector, columns, intervention, device)
    rule = {"rule": aggregation} if aggregation is not None else None
    subject = scores or detector or run or ""
    options = {"reference": reference, "aggregation": rule, "prevalence": prevalence, "error_rate": error_rate}
    given = {name: value for name, value in {**options, "replicates": replicates}.items() if value is not None}
    settings = evaluation_settings(subject, given, assignments or ())
    folder = evaluation_folder(subject, output)
    evaluation = judge(
        subject,
        on or (),
        Manifest.concat(Manifest.read(path) for path in manifest) if manifest else None,
        output=folder,
        settings=settings,
        columns=columns if scores is not None else None,
        interventions=intervention or (),
        device=device,
        title=title,
        accept_seen=accept_seen,
    )
    show_evaluation(open_console(), evaluation, folder / "report.html")
    if strict and len(evaluation.flagged):
        raise typer.Exit(1)


def _columns(
    score: str | None, higher_is: str | None, kind: str | None, video_id: str, time: str | None
) -> ColumnMeaning:
    """Return what the columns of a csv mean; values that an option does not know are refused."""
    from veridical.evaluation import ColumnMeaning

    choices = {
        "--higher-is": (higher_is, ("fake", "real")),
        "--score-kind": (kind, ("logit", "probability", "ranking")),
    }
    for option, (value, valid) in choices.items():
        if value is not None and value not in valid:
            raise UsageError(f"{option} {value!r}: expected {' or '.join(valid)}")
    return ColumnMeaning(score, higher_is, kind, video_id, time)  # type: ignore[arg-type]


def _check_use(
    run: Path | None,
    scores: Path | None,
    detector: str | None,
    columns: ColumnMeaning,
    interventions: list[str] | None,
    device: str,
) -> None:
    """Refuse options that do not go together."""
    if [run, scores, detector].count(None) != 2:
        raise UsageError("give either a run with --on STORE, --detector with --on STORE, or --scores FILE")
    if scores is not None and interventions:
        raise UsageError("--intervention goes with a run or --detector; --scores FILE holds its scores already")
    if device != "auto" and run is None:
        raise UsageError("--device goes with a run; a foreign detector chooses its own device")
    if scores is None and columns != type(columns)():
        raise UsageError(
            "--score-column, --higher-is, --score-kind, --id-column and --time-column go with --scores FILE"
        )
