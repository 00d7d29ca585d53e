"""The entry point: assembles the commands, shows progress, and turns errors into one line and an exit code."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

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

RESUMABLE = ("demo", "scan", "forge", "prepare", "train", "sweep")
"""Commands that keep what is done when they are interrupted, and go on from there when run again."""

WRONG_USE = 2
INTERNAL_ERROR = 70
"""A fault of ours; neither success (0) nor a verdict (1). `EX_SOFTWARE` of sysexits.h."""
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
        app.command(name, rich_help_panel=panel, no_args_is_help=name != "demo")(_guarded(function))
    return app


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


def _guarded(function: Callable[..., object]) -> Callable[..., object]:
    """Show progress while a command runs, and turn every error into one line and an exit code."""

    @functools.wraps(function)
    def run_command(*args: object, **kwargs: object) -> object:
        errors = open_console(stderr=True)
        try:
            with _stopped_by_sigterm(), TerminalListener(errors) as listener, listening(listener):
                return function(*args, **kwargs)
        except KeyboardInterrupt:
            kept = "; what is done is kept, run the command again to go on" if function.__name__ in RESUMABLE else ""
            errors.print(f"interrupted{kept}", highlight=False)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            if os.environ.get("VERIDICAL_DEBUG"):
                raise
            message, exit_code = _explained(error)
            errors.print(f"[bold red]error:[/] {_escaped(message)}", highlight=False, soft_wrap=True)
            raise typer.Exit(exit_code) from None

    return run_command


@contextmanager
def _stopped_by_sigterm() -> Generator[None]:
    """Treat SIGTERM, by which schedulers and containers stop a command, as Ctrl-C, so that what is done is kept."""
    is_default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not is_default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _explained(error: Exception) -> tuple[str, int]:
    """Return the line that tells a user of an error, and the exit code."""
    if isinstance(error, VeridicalError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        named = f"{error.filename}: {error.strerror or type(error).__name__}"
        reason = str(error) if error.filename is None else named  # Arrow's errors name the file in their text
        return f"cannot read or write {reason}", WRONG_USE
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"internal error ({reason}); please report it with the traceback that --debug shows", INTERNAL_ERROR


def _escaped(text: str) -> str:
    return " ".join(text.splitlines()).replace("[", r"\[")


def run() -> None:
    """Run the command line."""
    sys.exit(build_app()())
