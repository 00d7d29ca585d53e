"""Where videos are prepared: in processes of this machine, or on a Ray cluster; the rows are the same."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from veridical.machine import Lost, num_cores, run_jobs
from veridical.preparation.jobs import Job, Outcome, Setup
from veridical.preparation.ray_engine import run_on_ray


class Engine(Protocol):
    """Does jobs, in any order, and gives each back once with what became of it."""

    def __call__(
        self, jobs: Sequence[Job], setup: Setup, *, workers: int | None, timeout_s: float, address: str | None
    ) -> Generator[tuple[Job, Outcome | Lost]]:
        """Yield each job with its outcome as it is done; closing it ends the workers."""


def run_locally(
    jobs: Sequence[Job], setup: Setup, *, workers: int | None, timeout_s: float, address: str | None
) -> Generator[tuple[Job, Outcome | Lost]]:
    """Use worker processes of this machine.

    Args:
        jobs: The videos.
        setup: Makes the worker, in each process.
        workers: Processes; None for one per core, 0 works in this process without a time limit.
        timeout_s: Time limit of one video.
        address: Has no meaning here.

    Raises:
        WorkerFailedError: when a worker says that no job can succeed, or workers only die.
    """
    wanted = num_cores() if workers is None else workers
    yield from run_jobs(jobs, setup, workers=min(wanted, len(jobs)), timeout_s=timeout_s)


ENGINES: dict[str, Engine] = {"local": run_locally, "ray": run_on_ray}
