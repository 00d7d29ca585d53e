"""Being asked to stop (Ctrl-C, or SIGTERM from a scheduler) at a moment when the state of a run can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Collects requests to stop. They are acted upon where `allowed` or `check` says so, as KeyboardInterrupt."""

    def __init__(self) -> None:
        self.wanted = False
        """Somebody asked to stop."""
        self._allowed = False

    @contextmanager
    def collected(self) -> Generator[None]:
        """Collect requests inside the block; elsewhere than in the main thread signals are left as they are."""
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
        """Stop at once inside the block: nothing that is saved changes there."""
        self.check()
        self._allowed = True
        try:
            yield
        finally:
            self._allowed = False

    def check(self) -> None:
        """Stop now if somebody asked.

        Raises:
            KeyboardInterrupt: then.
        """
        if self.wanted:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        if self._allowed:
            raise KeyboardInterrupt
