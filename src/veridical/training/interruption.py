"""Stopping on request (Ctrl-C, or SIGTERM from a scheduler) only at moments when the state of a run can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Collects requests to stop, and raises KeyboardInterrupt for them where `allowed` or `check` permits it."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether to stop."""
        self._allowed = False

    @contextmanager
    def collected(self) -> Generator[None]:
        """Collect requests inside the block; outside the main thread this leaves signals alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def allowed(self) -> Generator[None]:
        """Let requests stop the block at once, because nothing that is saved changes in it."""
        self.check()
        self._allowed = True
        try:
            yield
        finally:
            self._allowed = False

    def check(self) -> None:
        """Stop now if that was requested.

        Raises:
            KeyboardInterrupt: if so.
        """
        if self.wanted:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        if self._allowed:
            raise KeyboardInterrupt
