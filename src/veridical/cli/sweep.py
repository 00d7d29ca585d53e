"""`veridical sweep`: one recipe with varied settings, or with several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.preflight import Labels, Store, changes_of
from veridical.cli.terminal import open_console
from veridical.errors import UsageError

if TYPE_CHECKING:
    from veridical.training import Trial


def sweep(
    recipe: Annotated[str, typer.Argument(help="YAML file with the settings, or the name of a packaged recipe.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the sweep; the same command continues it.")],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting and its values, losses.temporal=.01,.05,.1,.2, or its range, losses.sync=0.01..1,log"
            " (may be repeated)."
        ),
    ] = None,
    sampler: Annotated[
        Literal["grid", "tpe", "random"],
        typer.Option(help="grid: every combination of values; tpe: learns from earlier trials; random: does not."),
    ] = "grid",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of runs; by default all of a grid, else 20.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Then train the best settings (or, without --vary, the recipe) with this many seeds into OUTPUT/ensemble.",
        ),
    ] = None,
    store: Store = None,
    manifest: Labels = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting of all runs: a.b=c, for example seed=1.")
    ] = None,
) -> None:
    """Train a recipe many times with varied settings, and list the trials by validation AUC. The test split is not used.

    Each trial is a run. An ensemble is scored like a run, `veridical score OUTPUT/ensemble …`; its logit is the members' mean.
    """
    from veridical import training

    if not vary and seeds is None:
        raise UsageError("nothing to do: give --vary KEY=a,b,c, or --seeds N for an ensemble")
    shared = changes_of(assignments, store, manifest)
    console = open_console()
    if vary:
        choices = [training.parse_choice(text) for text in vary]
        finished = training.sweep(recipe, shared, choices, output, sampler=sampler, num_trials=trials)
        _show(finished, output, console)
        if finished[0].auc is None:
            raise UsageError(f"no trial ended well; the first: {finished[0].reason}")
        if remark := training.tied_trials(finished, output):
            console.print(remark, highlight=False, markup=False, soft_wrap=True)
        shared += training.assignments_of(finished[0].settings)
    if seeds is not None:
        folder = training.ensemble(recipe, shared, output / "ensemble", seeds)
        console.print(f"ensemble of {seeds} seeds: {folder}", highlight=False, markup=False, soft_wrap=True)


def _show(trials: list[Trial], folder: Path, console: Console) -> None:
    table = Table(*trials[0].settings, "validation AUC (video level)", "validation loss", "run", title="Best first")
    for trial in trials:
        auc = "–" if trial.auc is None else f"{trial.auc:.3f}"
        loss = trial.reason if trial.loss is None else f"{trial.loss:.3f}"
        table.add_row(
            *(escape(str(value)) for value in trial.settings.values()), auc, escape(loss), f"trial-{trial.number:03d}"
        )
    console.print(table)
    console.print(f"runs: {folder}", highlight=False, markup=False, soft_wrap=True)
