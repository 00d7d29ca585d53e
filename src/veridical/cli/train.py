"""`veridical train`: from a clip store to a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from veridical.cli.preflight import Assignments, Labels, Store, changes_of
from veridical.cli.terminal import open_console
from veridical.errors import ChecklistError, UsageError

if TYPE_CHECKING:
    from veridical.training import Check, Recipe, TrainSummary


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="YAML file with the settings, or a packaged recipe: contract-v1, joint, video-only, phase-2, phase-3, or for "
            "two CPU cores small, small-joint, small-video-only, small-phase-2, small-phase-3."
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the run.")] = None,
    store: Store = None,
    manifest: Labels = None,
    assignments: Assignments = None,
    accept_leak: Annotated[
        list[str] | None,
        typer.Option(
            help="Train although this property separates real from fake, or is shared with another split (a name from"
            " `veridical audit`, such as identity), or although this corpus is held out (celebdf); may be repeated."
        ),
    ] = None,
    accept_chance: Annotated[
        list[str] | None,
        typer.Option(help="Go on after this stage although validation shows no more than chance; may be repeated."),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only show the number of parameters of each part of the model.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a detector in stages; the best weights by validation AUC end up in RUN/model, calibrated on validation.

    Only the train split is learned from and only the val split selects; the test split is not used. Training stops, with
    exit code 1, when a row of the checklist of `veridical preflight` fails, when splits share people, when something other than
    content, such as the presence of audio, separates real from fake, and after a stage at chance. Most of it can be accepted by
    name. Ctrl-C stops after the batch; --resume continues from there.
    """
    if output is None and not summary:
        raise UsageError("no folder for the run: give -o RUN")
    from veridical import training

    changes = changes_of(assignments, store, manifest)
    changes += [f"data.accept_leaks={json.dumps(accept_leak)}"] if accept_leak else []
    changes += [f"early_stopping.accept_chance={json.dumps(accept_chance)}"] if accept_chance else []
    settings = training.read_recipe(recipe, changes)
    if summary:
        _show_parts(settings, open_console())
        return
    assert output is not None
    if training.is_first_process():
        training.Run(output).refuse_folder(resume)
    console = open_console(quiet=not training.is_first_process())
    _stop_at_failures(training.preflight(settings, quick=True), console)
    _show(training.train(settings, output, resume=resume), console)


def _stop_at_failures(rows: list[Check], console: Console) -> None:
    """Print how the checklist went.

    Raises:
        ChecklistError: when a row fails; unreadable data and a missing device are left to training, which reports them itself.
    """
    failed = [row for row in rows if row.verdict == "fail"]
    if any(row.name in ("data", "device") for row in failed):
        return
    passed, changed = (sum(row.verdict == verdict for row in rows) for verdict in ("pass", "changed"))
    console.print(
        f"checklist: {passed} rows pass, {changed} depart from the strategy, {len(failed)} fail (all rows: veridical preflight)",
        highlight=False,
        soft_wrap=True,
    )
    if failed:
        reasons = "; ".join(f"{row.name}: {row.detail}" for row in failed)
        raise ChecklistError(f"the checklist fails, nothing is trained: {reasons}")


def _show_parts(recipe: Recipe, console: Console) -> None:
    from veridical.models import DetectorModel, summarise

    table = Table("part", "parameters", "expected by the strategy", title=f"Model of recipe {recipe.name}")
    for row in summarise(DetectorModel(recipe.model, load_weights=False)):
        expected = "–" if row.expected_millions is None else f"~{row.expected_millions:g} M"
        table.add_row(row.part, f"{row.parameters / 1e6:.2f} M", expected)
    console.print(table)


def _show(summary: TrainSummary, console: Console) -> None:
    table = Table("stage", "epochs", "best epoch", "validation AUC (video level)", "decision", title="Training")
    for stage in summary.stages:
        table.add_row(stage.name, str(stage.epochs), str(stage.best_epoch + 1), f"{stage.best_auc:.3f}", stage.decision)
    console.print(table)
    for stage in summary.stages:
        for promise in stage.unreached:
            console.print(f"stage {stage.name} ended before it opened {promise}", highlight=False, markup=False)
    console.print(f"model: {summary.run / 'model'}", highlight=False, markup=False, soft_wrap=True)
