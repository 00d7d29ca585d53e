"""`veridical train`: from a clip store to a detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from veridical.training import TrainSummary


def train(
    recipe: Annotated[
        str,
        typer.Argument(help="YAML file with the settings, or a packaged recipe: small (two CPU cores), contract-v1."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    store: Annotated[Path | None, typer.Option(help="Clip store to learn from (the recipe's data.store).")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Labels and splits; the store's own copy when not given (data.manifest).")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: a.b=c, for example losses.temporal=0.05.")
    ] = None,
    accept_leak: Annotated[
        list[str] | None,
        typer.Option(help="Train although this property tells real from fake (a name that `veridical audit` shows)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
) -> None:
    """Train a detector in stages; the best weights by validation AUC end up in RUN/model, calibrated on validation.

    Only the train split teaches and only the val split selects; the test split is not looked at. Training is refused (exit code
    1) when something that is not content, such as the presence of sound, tells real from fake.
    """
    from veridical import training

    changes = list(assignments or [])
    changes += [f"data.accept_leaks=[{', '.join(accept_leak)}]"] if accept_leak else []
    changes += [f"data.{name}={path}" for name, path in (("store", store), ("manifest", manifest)) if path]
    summary = training.train(training.read_recipe(recipe, changes), output, resume=resume)
    _show(summary, Console())


def _show(summary: TrainSummary, console: Console) -> None:
    table = Table("stage", "epochs", "best epoch", "validation AUC (video level)", title="Training")
    for stage in summary.stages:
        table.add_row(stage.name, str(stage.epochs), str(stage.best_epoch + 1), f"{stage.best_auc:.3f}")
    console.print(table)
    console.print(f"model: {summary.run / 'model'}", highlight=False, soft_wrap=True)
