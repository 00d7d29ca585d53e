"""Where videos are prepared: in processes of this machine, or on a Ray cluster; the rows are the same.

On a cluster, videos must have the same path on every machine; their clips come back through Ray's object store, so the store need
not, and this process alone writes it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from veridical.clips import LedgerEntry
from veridical.machine import Lost, run_jobs, run_on_cluster
from veridical.preparation.jobs import Job, JobResult, Setup, Worker, ending_the_run


class Engine(Protocol):
    """Does jobs, in any order, and gives each back once with its outcome."""

    def __call__(
        self, jobs: Sequence[Job], setup: Setup, *, workers: int | None, timeout_s: float, address: str | None
    ) -> Generator[tuple[Job, JobResult | Lost]]:
        """Yield each job with its outcome as it is done; closing it ends the workers.

        Args:
            jobs: The videos.
            setup: Makes the worker, in each process.
            workers: Processes; None for one per core, 0 works in this process without a time limit (local only).
            timeout_s: Time limit of one video.
            address: Of the cluster.

        Raises:
            WorkerFailedError: when a worker says that no job can succeed, or workers only die.
        """


def run_locally(
    jobs: Sequence[Job], setup: Setup, *, workers: int | None, timeout_s: float, address: str | None
) -> Generator[tuple[Job, JobResult | Lost]]:
    """Use worker processes of this machine, which write encoded clips where the store's writer reads them."""
    yield from run_jobs(jobs, setup, workers=workers, timeout_s=timeout_s)


@dataclass(frozen=True)
class _Prepared:
    """A video's outcome on its way through the cluster."""

    entry: LedgerEntry
    clips: bytes | None
    """Arrow file with the encoded clips."""


@dataclass(frozen=True)
class _RemoteSetup:
    """Makes a worker on another machine; picklable."""

    setup: Setup

    def __call__(self) -> _RemoteWorker:
        return _RemoteWorker(self.setup())


class _RemoteWorker:
    """Prepares videos where their clips cannot be written next to the store."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __call__(self, job: Job) -> _Prepared:
        """Prepare one video in a folder that lasts as long: a worker that is killed would not delete anything later."""
        name = "veridical-"
        with ending_the_run(Path(tempfile.gettempdir(), name)), tempfile.TemporaryDirectory(prefix=name) as folder:
            self._worker.folder = Path(folder)
            outcome = self._worker(job)
            return _Prepared(outcome.entry, None if outcome.spool is None else outcome.spool.read_bytes())


def run_on_ray(
    jobs: Sequence[Job], setup: Setup, *, workers: int | None, timeout_s: float, address: str | None
) -> Generator[tuple[Job, JobResult | Lost]]:
    """Use the machines of a Ray cluster; clips are written into the setup's folder as they come back."""
    remote = [_absolute(job) for job in jobs]
    own = {job.number: job for job in jobs}
    run = run_on_cluster(remote, _RemoteSetup(setup), workers=workers, timeout_s=timeout_s, address=address)
    with closing(run) as results:
        for job, result in results:
            outcome = result if isinstance(result, Lost) else JobResult(result.entry, _spool(setup, job, result.clips))
            yield own[job.number], outcome


def _absolute(job: Job) -> Job:
    """Return a job whose paths hold in any working folder."""
    path, audio, mask = (
        None if p is None else str(Path(p).absolute()) for p in (job.path, job.audio_path, job.mask_path)
    )
    return replace(job, path=path or job.path, audio_path=audio, mask_path=mask)


def _spool(setup: Setup, job: Job, clips: bytes | None) -> Path | None:
    if clips is None:
        return None
    path = setup.folder / f"{job.number}.arrow"
    with ending_the_run(path):
        path.write_bytes(clips)
    return path


ENGINES: dict[str, Engine] = {"local": run_locally, "ray": run_on_ray}
