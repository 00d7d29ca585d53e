"""Local worker processes that share nothing: each does one job at a time within a time limit, and may die without harm.

A worker is started with `spawn` and one thread per numeric library. A picklable `setup` makes the function
from job to result inside the worker. A job that takes too long is ended with its worker; a worker that dies loses only its job.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar, cast

from veridical.errors import VeridicalError
from veridical.machine.cores import ONE_THREAD, num_cores

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
Work = Callable[[JobT], ResultT]

MAX_DEATHS_IN_A_ROW = 20


@dataclass(frozen=True)
class Lost:
    """A job without a result."""

    kind: str
    """`timeout` or `died`."""
    reason: str
    seconds: float


class WorkerFailedError(VeridicalError):
    """No job can succeed: no weights, no room for intermediate files, or workers that only die."""


@dataclass
class _Worker(Generic[JobT]):
    process: SpawnProcess
    connection: Connection
    job: JobT | None = None
    since: float = 0.0
    ready: bool = False


def run_jobs(
    jobs: Sequence[JobT],
    setup: Callable[[], Work[JobT, ResultT]],
    *,
    workers: int | None = None,
    timeout_s: float = math.inf,
) -> Generator[tuple[JobT, ResultT | Lost]]:
    """Yield each job with its result as it is done, in no particular order; closing it ends the workers.

    Args:
        jobs: Picklable jobs.
        setup: Makes the function from job to result, inside each worker; picklable.
        workers: Processes, at most one per job; None for one per core, 0 works in this process, without a time limit.
        timeout_s: Time limit of one job.

    Raises:
        WorkerFailedError: when a worker says that no job can succeed, or workers only die.
    """
    if not jobs:
        return
    if workers == 0:
        work = setup()
        for job in jobs:
            yield job, work(job)
        return
    crew: list[_Worker[JobT]] = []
    try:
        for _ in range(min(num_cores() if workers is None else workers, len(jobs))):
            crew.append(_start(setup))
        yield from _manage(crew, deque(jobs), setup, timeout_s)
    finally:
        for worker in crew:
            _stop(worker)


def _manage(
    crew: list[_Worker[JobT]], jobs: deque[JobT], setup: Callable[[], Work[JobT, ResultT]], timeout_s: float
) -> Iterator[tuple[JobT, ResultT | Lost]]:
    deaths = 0
    while True:
        for number, worker in enumerate(crew):
            job = worker.job
            outcome = _outcome(worker, timeout_s)
            if outcome is None:
                continue
            deaths = deaths + 1 if isinstance(outcome, Lost) and outcome.kind == "died" else 0
            if isinstance(outcome, Lost):
                _stop(worker)
                if deaths > MAX_DEATHS_IN_A_ROW or not worker.ready:
                    raise WorkerFailedError(f"worker processes cannot be kept alive: {outcome.reason}")
                crew[number] = _start(setup)
            if job is not None:
                yield job, cast(ResultT | Lost, outcome)
        for worker in crew:
            if worker.ready and worker.job is None and jobs:
                _assign(worker, jobs.popleft())
        if not jobs and all(worker.job is None for worker in crew):
            return
        handles = [worker.connection for worker in crew] + [worker.process.sentinel for worker in crew]
        wait(handles, timeout=_time_left(crew, timeout_s))


def _outcome(worker: _Worker[JobT], timeout_s: float) -> object | None:
    """Return a result, or `Lost`, or None while the worker is busy or idle."""
    taken = time.monotonic() - worker.since
    try:
        if worker.connection.poll():
            kind, value = worker.connection.recv()
            if kind == "failure":
                raise WorkerFailedError(value)
            worker.ready = True
            worker.job = None
            return value if kind == "result" else None
    except (EOFError, ConnectionError):
        return Lost("died", _cause_of_death(worker.process), taken)
    if not worker.process.is_alive() and not worker.connection.poll():
        return Lost("died", _cause_of_death(worker.process), taken)
    if worker.job is not None and taken > timeout_s:
        return Lost("timeout", f"not done after {timeout_s:g} s", taken)
    return None


def _time_left(crew: list[_Worker[JobT]], timeout_s: float) -> float:
    now = time.monotonic()
    left = [worker.since + timeout_s - now for worker in crew if worker.job is not None]
    return max(min([*left, 5.0]), 0.01)


def _assign(worker: _Worker[JobT], job: JobT) -> None:
    worker.job, worker.since = job, time.monotonic()
    with contextlib.suppress(ConnectionError):  # `_outcome` notices a dead worker
        worker.connection.send(job)


def _cause_of_death(process: SpawnProcess) -> str:
    process.join(timeout=5)
    code = process.exitcode
    if code is not None and code < 0:
        return f"the worker process was ended by {signal.Signals(-code).name} (a crash in a codec, or no memory left)"
    return f"the worker process ended with exit code {code}"


def _start(setup: Callable[[], Work[JobT, ResultT]]) -> _Worker[JobT]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
    with _environment(ONE_THREAD):
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _stop(worker: _Worker[JobT]) -> None:
    worker.connection.close()
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join(timeout=10)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _serve(connection: Connection, setup: Callable[[], Work[JobT, ResultT]]) -> None:
    """Run in a worker: leave Ctrl-C and SIGTERM, which reach all processes of a job, to the parent; end when it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            work = setup()
            connection.send(("ready", None))
            while True:
                connection.send(("result", work(connection.recv())))
        except VeridicalError as error:
            connection.send(("failure", str(error)))
