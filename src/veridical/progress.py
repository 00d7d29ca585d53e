"""Progress of long work through one hook: library code reports, and a terminal, server or test listens.

Library code writes ``for video in track(videos, "prepare", unit="video")`` or uses :func:`task` when the count is not
that of an iterable. Without a listener nothing is shown.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

ItemT = TypeVar("ItemT")


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, steps: float = 1, **facts: object) -> None:
        """Report that steps are done; facts (loss=0.3, failed=2) are shown next to the bar."""


class Listener(Protocol):
    """Receives progress."""

    def start(self, description: str, total: float | None, unit: str) -> Task:
        """Begin a task; total is None when it is not known."""

    def finish(self, task: Task) -> None:
        """End a task that `start` returned."""

    def say(self, message: str) -> None:
        """Take one line for people to read while the work goes on."""


class _SilentTask:
    def advance(self, steps: float = 1, **facts: object) -> None:
        """Do nothing."""


class _SilentListener:
    def start(self, description: str, total: float | None, unit: str) -> Task:
        return _SilentTask()

    def finish(self, task: Task) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""


_listener: ContextVar[Listener] = ContextVar("veridical_progress", default=_SilentListener())  # noqa: B039


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Send all progress inside the block to this listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def silently() -> Generator[None]:
    """Show nothing of what is reported inside the block."""
    with listening(_SilentListener()):
        yield


@contextmanager
def task(description: str, total: float | None = None, unit: str = "") -> Generator[Task]:
    """Report one task, whose `advance` reports its steps."""
    listener = _listener.get()
    running = listener.start(description, total, unit)
    try:
        yield running
    finally:
        listener.finish(running)


def track(items: Iterable[ItemT], description: str, total: float | None = None, unit: str = "") -> Generator[ItemT]:
    """Yield the items and report each as one step once the caller is done with it."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with task(description, total, unit) as running:
        for item in items:
            yield item
            running.advance()


def say(message: str) -> None:
    """Send one line to the listener."""
    _listener.get().say(message)
