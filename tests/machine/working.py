"""Jobs that worker processes of the tests do, well or badly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from veridical.machine import WorkerFailedError


def obedient() -> Callable[[object], object]:
    """Do what the job says."""
    return do


def unwilling() -> Callable[[object], object]:
    """Refuse to begin."""
    raise WorkerFailedError("no weights here")


def stillborn() -> Callable[[object], object]:
    """Die before the first job."""
    os._exit(3)


def do(job: object) -> object:
    """Return the job, or sleep, die, or fail."""
    if job == "sleep":
        time.sleep(120)
    if job == "die":
        os._exit(7)
    if job == "crash":
        os.kill(os.getpid(), 11)
    if job in ("SIGINT", "SIGTERM"):
        os.kill(os.getpid(), getattr(signal, str(job)))
    if job == "full":
        raise WorkerFailedError("disk full")
    if job == "environment":
        return os.environ["OMP_NUM_THREADS"]
    return ("done", job)
