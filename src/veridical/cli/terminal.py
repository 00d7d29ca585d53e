"""Progress on a terminal as bars, elsewhere as a line every few seconds."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from veridical.progress import Task

SECONDS_BETWEEN_LINES = 10.0


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return the console of a command; text between colons stays as it is (rich would turn `:x:` in a path into an emoji)."""
    return Console(stderr=stderr, quiet=quiet, emoji=False)


class _Bar:
    """A task shown as a bar."""

    def __init__(self, progress: Progress, description: str, total: float | None) -> None:
        self.progress = progress
        self.number = progress.add_task(description, total=total, facts="")

    def advance(self, steps: float = 1, **facts: object) -> None:
        """Move the bar."""
        self.progress.advance(self.number, steps)
        if facts:
            self.progress.update(self.number, facts=_shown(facts))


class _Lines:
    """A task shown as a line now and then."""

    def __init__(self, console: Console, description: str, total: float | None, unit: str) -> None:
        self.console, self.description, self.total, self.unit = console, description, total, unit
        self.done, self.facts = 0.0, ""
        self.started = self.shown = time.monotonic()

    def advance(self, steps: float = 1, **facts: object) -> None:
        """Count, and print when the last line is long ago."""
        self.done += steps
        self.facts = _shown(facts) or self.facts
        now = time.monotonic()
        if now - self.shown >= SECONDS_BETWEEN_LINES:
            self.shown = now
            self.console.print(self._line(now), highlight=False, markup=False, soft_wrap=True)

    def _line(self, now: float) -> str:
        rate = self.done / max(now - self.started, 1e-9)
        left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
        total = f"/{self.total:g}" if self.total else ""
        units = f" {self.unit}{'es' if self.unit.endswith('ch') else 's'}" if self.unit else ""
        return f"{self.description}: {self.done:g}{total}{units}, {rate:.1f}/s{left} {self.facts}".rstrip()


def _shown(facts: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in facts.items())


class TerminalListener:
    """Listens to progress for the length of a command."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[facts]}"), console=console, transient=True,
        )  # fmt: skip

    def __enter__(self) -> TerminalListener:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def start(self, description: str, total: float | None, unit: str) -> Task:
        """Begin a bar or a row of lines."""
        if self.console.is_terminal:
            return _Bar(self.progress, description, total)
        return _Lines(self.console, description, total, unit)

    def finish(self, task: Task) -> None:
        """Take the bar away."""
        if isinstance(task, _Bar):
            self.progress.remove_task(task.number)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(message, highlight=False, markup=False, soft_wrap=True)
