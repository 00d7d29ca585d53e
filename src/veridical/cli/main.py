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
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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


class _Commands(TyperGroup):
    """The commands; wrong options are one line, as all errors are, where typer would draw a box and break a path in it."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command; click's own errors have an `exit_code` and say in `format_message` what was wrong."""
        wanted = options.get("standalone_mode", True)
        options["standalone_mode"] = False
        if not wanted:
            return super().main(*arguments, **options)
        try:
            code = super().main(*arguments, **options)
        except typer.Abort:
            code = INTERRUPTED
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            code = _explain_wrong_use(error)
        sys.exit(code if isinstance(code, int) else 0)


def _explain_wrong_use(error: Any) -> int:
    """Print what was wrong with the command line, and where its help is; return the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        context = getattr(error, "ctx", None)
        help_at = f"; see {context.command_path} --help" if context is not None else ""
        message = f"[bold red]error:[/] {_escaped(error.format_message().rstrip('.') + help_at)}"
        open_console(stderr=True).print(message, highlight=False, soft_wrap=True)
    return int(error.exit_code)


def build_app() -> typer.Typer:
    """Return the command line application with every command registered."""
    app = typer.Typer(
        name="veridical",
        cls=_Commands,
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
                _check_output(kwargs.get("output"))
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


def _check_output(output: object) -> None:
    """Refuse an output that cannot be written before any work, whatever the command; inside a run it is checked there."""
    if isinstance(output, Path):
        from veridical.artefacts import check_writable

        check_writable(output)


def _explained(error: Exception) -> tuple[str, int]:
    """Return the line that tells a user of an error, and the exit code."""
    if isinstance(error, VeridicalError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        from veridical.artefacts import is_out_of_room, out_of_room

        if is_out_of_room(error) and error.filename is not None:
            return str(out_of_room(Path(error.filename), error)), WRONG_USE
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
