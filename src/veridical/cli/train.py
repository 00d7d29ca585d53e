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
from veridical.errors import UsageError

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
    summary: Annotated[
        bool, typer.Option("--summary", help="Only show the number of parameters of each part of the model.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a detector in stages; the best weights by validation AUC end up in RUN/model, calibrated on validation.

    Only the train split is learned from and only the val split selects; the test split is not used. Training is refused, with
    exit code 1, when something other than content, such as the presence of audio, separates real from fake, or when the splits
    share people. The checklist of `veridical preflight` comes first, and its failures are shown. Ctrl-C stops after the batch;
    --resume continues from there.
    """
    if output is None and not summary:
        raise UsageError("no folder for the run: give -o RUN")
    from veridical import training

    changes = changes_of(assignments, store, manifest)
    changes += [f"data.accept_leaks={json.dumps(accept_leak)}"] if accept_leak else []
    settings = training.read_recipe(recipe, changes)
    if summary:
        _show_parts(settings, open_console())
        return
    assert output is not None
    if training.is_first_process():
        training.Run(output).refuse_folder(resume)
    console = open_console(quiet=not training.is_first_process())
    _say_failures(training.preflight(settings, quick=True), console)
    _show(training.train(settings, output, resume=resume), console)


def _say_failures(rows: list[Check], console: Console) -> None:
    """Print the rows of the checklist that fail; nothing when the data cannot be read, which training reports itself."""
    if any(row.name == "data" and row.verdict == "fail" for row in rows):
        return
    passed = sum(row.verdict == "pass" for row in rows)
    failed = [row for row in rows if row.verdict == "fail"]
    console.print(f"checklist: {passed} rows pass, {len(failed)} fail (all rows: veridical preflight)", highlight=False)
    for row in failed:
        console.print(f"  fails: {row.name}: {row.detail}", highlight=False, markup=False, soft_wrap=True)


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
    console.print(f"model: {summary.run / 'model'}", highlight=False, markup=False, soft_wrap=True)
