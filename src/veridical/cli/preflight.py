"""`veridical preflight`: the checklist before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from veridical.cli.terminal import open_console
from veridical.errors import UsageError

if TYPE_CHECKING:
    from veridical.training import Check

STYLES = {"pass": "green", "changed": "yellow", "fail": "bold red", "not applicable": "dim"}


Store = Annotated[Path | None, typer.Option(help="Clip store to train on (the recipe's data.store).")]
Labels = Annotated[
    Path | None, typer.Option(help="Labels and splits (data.manifest); by default the store's own copy.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: a.b=c, for example losses.temporal=0.05.")
]


def preflight(
    recipe: Annotated[str, typer.Argument(help="YAML file with the settings, or the name of a packaged recipe.")],
    store: Store = None,
    manifest: Labels = None,
    assignments: Assignments = None,
) -> None:
    """Check data, model and settings before training, row by row.

    Loads the weights and audits the training split for shortcuts, but trains nothing. Settings are as the strategy, or a row says
    what was changed. Exit code 1 when a row fails.
    """
    from veridical import training

    settings = training.read_recipe(recipe, changes_of(assignments, store, manifest))
    rows = training.preflight(settings)
    show_checks(rows, f"Before training {settings.name}", open_console())
    if any(row.verdict == "fail" for row in rows):
        raise typer.Exit(1)


def changes_of(assignments: list[str] | None, store: Path | None, manifest: Path | None) -> list[str]:
    """Return the changes of the recipe: those of --set, and the paths of the data.

    Paths are quoted: YAML would read `2024` as a number and cut a path at ` #`.

    Raises:
        UsageError: when --set and another option set the same path.
    """
    changes = list(assignments or [])
    for name, path in (("store", store), ("manifest", manifest)):
        if path and any(change.partition("=")[0].strip() == f"data.{name}" for change in changes):
            raise UsageError(f"--{name} and --set data.{name} set the same path: give one of them")
        changes += [f"data.{name}={json.dumps(str(path), ensure_ascii=False)}"] if path else []
    return changes


def show_checks(rows: list[Check], title: str, console: Console) -> None:
    """Print the rows as a table."""
    table = Table("check", "verdict", "detail", title=title)
    for row in rows:
        table.add_row(row.name, f"[{STYLES[row.verdict]}]{row.verdict}[/]", row.detail.replace("[", r"\["))
    console.print(table)
