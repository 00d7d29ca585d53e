"""The entry point: assembles the commands, shows progress, and turns errors into one line and an exit code."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import veridical
from veridical.cli.terminal import TerminalListener, open_console
from veridical.errors import VeridicalError
from veridical.progress import listening

COMMANDS = {
    "demo": "Start here",
    "scan": "Data",
    "split": "Data",
    "stats": "Data",
    "audit": "Data",
    "forge": "Data",
    "prepare": "Data",
    "preflight": "Detectors",
    "train": "Detectors",
    "sweep": "Detectors",
    "score": "Detectors",
    "predict": "Detectors",
    "evaluate": "Judgement",
    "report": "Judgement",
    "compare": "Judgement",
    "weights": "This installation",
}
"""Command name → its panel in the help. The command `name` is the function `name` of `veridical/cli/name.py`."""

WRONG_USE = 2
INTERRUPTED = 130


def build_app() -> typer.Typer:
    """Return the command line application with every command registered."""
    app = typer.Typer(
        name="veridical",
        help="Train, test and explain audio-visual deepfake detectors, with numbers that can be trusted.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, panel in COMMANDS.items():
        function = getattr(importlib.import_module(f"veridical.cli.{name}"), name)
        app.command(name, rich_help_panel=panel, no_args_is_help=_needs_arguments(name))(_guarded(function))
    return app


def _needs_arguments(name: str) -> bool:
    return name != "demo"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(veridical.__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["VERIDICAL_DEBUG"] = "1"


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show progress while a command runs; print a user's error as one line and exit with 2."""

    @functools.wraps(function)
    def run_command(*args: Any, **kwargs: Any) -> Any:
        errors = open_console(stderr=True)
        try:
            with TerminalListener(errors) as listener, listening(listener):
                return function(*args, **kwargs)
        except VeridicalError as error:
            if os.environ.get("VERIDICAL_DEBUG"):
                raise
            errors.print(f"[bold red]error:[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if os.environ.get("VERIDICAL_DEBUG"):
                raise
            named = f"{error.filename}: {error.strerror or type(error).__name__}"
            reason = str(error) if error.filename is None else named  # Arrow's errors name the file in their text
            errors.print(
                f"[bold red]error:[/] cannot read or write {_escaped(reason)}", highlight=False, soft_wrap=True
            )
            raise typer.Exit(WRONG_USE) from None
        except KeyboardInterrupt:
            errors.print("interrupted; what is finished is kept", highlight=False)
            raise typer.Exit(INTERRUPTED) from None

    return run_command


def _escaped(text: str) -> str:
    return " ".join(text.splitlines()).replace("[", r"\[")


def run() -> None:
    """Run the command line."""
    sys.exit(build_app()())
