"""Time for the tests of time limits: it passes as on the machine, and is put forward when a test says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any


class Clock:
    """Stands for the module `time` where time limits are watched, so that no test depends on the speed of the machine."""

    def __init__(self, ahead_s: Callable[[], float] = lambda: 0.0) -> None:
        self._ahead_s, self._put_forward_s = ahead_s, 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._put_forward_s + self._ahead_s()

    def sleep(self, seconds: float) -> None:
        """Put the clock forward instead."""
        self.put_forward(seconds)

    def put_forward(self, seconds: float) -> None:
        self._put_forward_s += seconds

    def forward_after(
        self, results: Callable[..., Generator[Any]], number: int, seconds: float
    ) -> Callable[..., Generator[Any]]:
        """Return the same function, whose clock is put forward when so many of its results were taken."""

        def run(*arguments: Any, **options: Any) -> Generator[Any]:
            with closing(results(*arguments, **options)) as found:
                for taken, result in enumerate(found, 1):
                    yield result
                    if taken == number:
                        self.put_forward(seconds)

        return run
