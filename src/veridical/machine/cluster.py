"""Jobs on a Ray cluster: an actor per core does one job at a time, and all results come back to this process.

Setup, jobs and results travel pickled through Ray's object store. A worker or a machine that is lost costs another try of the job
it had in hand. A job is given up when its worker has died twice on machines that live on; losing a machine does not count against
the job, unless that happens again and again.
"""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, cast

from veridical.errors import UsageError, VeridicalError
from veridical.machine.cores import ONE_THREAD
from veridical.machine.processes import MAX_DEATHS_IN_A_ROW, JobT, Lost, ResultT, Work, WorkerFailedError

START_TIMEOUT_S = 300.0
"""Without any worker for longer than this, the run ends."""
CONNECT_TIMEOUT_S = 10.0
POLL_S = 1.0
NOTICE_S = 60.0
"""A machine that cannot be reached may count as alive for this long: Ray asks it five times before it calls it gone."""
MAX_CRASHES = 2
MAX_LOSSES = 5
"""Most losses of one job, its workers' crashes and its lost machines together: a job might be what brings machines down."""


@dataclass(frozen=True)
class Sent:
    """What an actor sends back."""

    result: Any = None
    """Result of a job; None when the actor has started."""
    failure: str = ""
    """Why no job can succeed on that machine."""
    node: str = ""
    """Ray's name of the machine, sent when the actor has started."""


class ClusterWorker(Generic[JobT, ResultT]):
    """Does jobs on whatever machine Ray puts it; becomes an actor when it is used."""

    def __init__(self, setup: Callable[[], Work[JobT, ResultT]]) -> None:
        self._setup = setup

    def start(self) -> Sent:
        """Make the function from job to result; what it needs is looked for on this machine."""
        try:
            self._work = self._setup()
        except VeridicalError as error:
            return Sent(failure=str(error))
        return Sent(node=_ray().get_runtime_context().get_node_id())

    def work(self, job: JobT) -> Sent:
        """Return the result of one job."""
        try:
            return Sent(self._work(job))
        except VeridicalError as error:
            return Sent(failure=str(error))


@dataclass(frozen=True)
class _Try(Generic[JobT]):
    """A job, and its earlier failures."""

    job: JobT
    crashes: int = 0
    """Workers that died with it on a machine that lived on."""
    losses: int = 0
    """Workers that died in all."""


@dataclass
class _Task(Generic[JobT]):
    """What an actor is doing."""

    actor: Any
    of: _Try[JobT] | None
    """None while it starts."""
    node: str
    """The actor's machine; empty while it starts."""
    since: float


def run_on_cluster(
    jobs: Sequence[JobT],
    setup: Callable[[], Work[JobT, ResultT]],
    *,
    workers: int | None,
    timeout_s: float,
    address: str | None,
) -> Generator[tuple[JobT, ResultT | Lost]]:
    """Yield each job with its result as it is done, in no particular order; closing it ends the workers.

    Args:
        jobs: Picklable jobs, whose paths hold on every machine.
        setup: Makes the function from job to result, on each machine; picklable.
        workers: Actors; None for as many as the cluster has cores.
        timeout_s: Time limit of one job.
        address: Of the cluster (`host:port`, or `auto`); None starts Ray on this machine for this run.

    Raises:
        UsageError: when Ray is not installed or the cluster cannot be reached.
        WorkerFailedError: when a worker says that no job can succeed, or workers only die, or none can be started.
    """
    ray = _ray()
    with _connected(ray, address):
        cores = int(ray.cluster_resources().get("CPU", 1))
        crew = Crew(ray, setup, timeout_s, jobs)
        try:
            crew.hire(min(max(workers or cores, 1), len(jobs)))
            yield from crew.results()
        finally:
            crew.dismiss()


class Crew(Generic[JobT, ResultT]):
    """Actors and the jobs they have, as seen from this process."""

    def __init__(
        self, ray: Any, setup: Callable[[], Work[JobT, ResultT]], timeout_s: float, jobs: Sequence[JobT]
    ) -> None:
        self._ray, self._setup, self._timeout_s = ray, setup, timeout_s
        self._remote = ray.remote(num_cpus=1, max_restarts=0)(ClusterWorker)
        self._waiting = deque(_Try(job) for job in jobs)
        self._busy: dict[Any, _Task[JobT]] = {}
        self._deaths = 0
        self._idle_s = 0.0
        self._doubted: dict[str, float] = {}
        """When a machine was last waited for."""

    def hire(self, number: int) -> None:
        """Start actors."""
        for _ in range(number):
            actor = self._remote.remote(self._setup)
            self._busy[actor.start.remote()] = _Task(actor, None, "", time.monotonic())

    def dismiss(self) -> None:
        """End all actors."""
        for task in self._busy.values():
            self._ray.kill(task.actor)

    def results(self) -> Iterator[tuple[JobT, ResultT | Lost]]:
        """Hand out the jobs until all are done."""
        while self._waiting or any(task.of for task in self._busy.values()):
            since = time.monotonic()
            done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=POLL_S)
            working = any(task.of for task in self._busy.values())
            self._idle_s = 0.0 if working else self._idle_s + time.monotonic() - since
            for reference in done:
                yield from self._received(reference, self._busy.pop(reference))
            yield from self._too_slow()
            if self._idle_s > START_TIMEOUT_S:
                raise WorkerFailedError(
                    f"no worker started within {START_TIMEOUT_S:.0f} s; does the cluster have a free core?"
                )

    def _received(self, reference: Any, task: _Task[JobT]) -> Iterator[tuple[JobT, ResultT | Lost]]:
        try:
            sent: Sent = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            yield from self._died(task, error)
            return
        if sent.failure:
            raise WorkerFailedError(sent.failure)
        self._deaths = 0
        self._next(task.actor, task.node or sent.node)
        if task.of is not None:
            yield task.of.job, cast(ResultT, sent.result)

    def _died(self, task: _Task[JobT], error: Exception) -> Iterator[tuple[JobT, ResultT | Lost]]:
        """Try a job again whose worker or result was lost, within limits; and replace the worker."""
        seconds = time.monotonic() - task.since
        crashed = self._crashed(task.node, error)
        self._deaths += crashed or not task.node
        cause = " ".join(str(error).split())[:200]
        if self._deaths > MAX_DEATHS_IN_A_ROW:
            raise WorkerFailedError(f"workers cannot be kept alive: {cause}")
        self._ray.kill(task.actor)
        if task.of is not None:
            tried = _Try(task.of.job, task.of.crashes + crashed, task.of.losses + 1)
            if tried.crashes < MAX_CRASHES and tried.losses < MAX_LOSSES:
                self._waiting.append(tried)
            else:
                cause = (
                    "a crash in a codec, or no memory left" if tried.crashes == MAX_CRASHES else "their machines went"
                )
                yield tried.job, Lost("died", f"its worker was lost {tried.losses} times ({cause})", seconds)
        self._replace()

    def _crashed(self, node: str, error: Exception) -> bool:
        """Return whether a worker died on a machine that lives on; where that is in doubt, wait until Ray knows."""
        if isinstance(error, self._ray.exceptions.ActorUnavailableError):
            since = self._doubted.get(node, -float("inf"))
            # Else the wait for another worker of that machine was for this one too.
            if time.monotonic() - since > 2 * NOTICE_S:
                since = self._doubted[node] = time.monotonic()
            while self._lives(node) and time.monotonic() < since + NOTICE_S:
                time.sleep(POLL_S)
        return self._lives(node)

    def _lives(self, node: str) -> bool:
        """Return whether a machine is still in the cluster."""
        return any(known["NodeID"] == node and known["Alive"] for known in self._ray.nodes())

    def _too_slow(self) -> Iterator[tuple[JobT, ResultT | Lost]]:
        """Give up the jobs that take too long; not those that are done and were not fetched yet."""
        now = time.monotonic()
        late = [ref for ref, task in self._busy.items() if task.of and now - task.since > self._timeout_s]
        _, late = self._ray.wait(late, num_returns=len(late), timeout=0, fetch_local=False) if late else ([], late)
        for reference in late:
            task = self._busy.pop(reference)
            self._ray.kill(task.actor)
            self._replace()
            if task.of is not None:
                yield task.of.job, Lost("timeout", f"not done after {self._timeout_s:g} s", now - task.since)

    def _replace(self) -> None:
        if len(self._busy) < len(self._waiting) + sum(task.of is not None for task in self._busy.values()):
            self.hire(1)

    def _next(self, actor: Any, node: str) -> None:
        """Give an actor its next job, or end it."""
        if not self._waiting:
            self._ray.kill(actor)
            return
        waiting = self._waiting.popleft()
        self._busy[actor.work.remote(waiting.job)] = _Task(actor, waiting, node, time.monotonic())


def check_ray(address: str | None) -> None:
    """Check that Ray can be used, before anything is written.

    Raises:
        UsageError: when Ray is not installed, or nothing listens at an address `host:port`.
    """
    if not _ray().is_initialized():
        _check_address(address)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs Ray, which is not installed: pip install 'veridical[ray]'") from None
    return ray


def _check_address(address: str | None) -> None:
    """Try the port of an address: Ray itself waits for minutes where none listens."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise _unreachable(address, error) from None


def _unreachable(address: str | None, error: Exception) -> UsageError:
    cause = " ".join(str(error).split())[:200]
    return UsageError(
        f"--address {address}: no Ray cluster can be reached there ({cause}); start one with `ray start --head`"
    )


@contextmanager
def _connected(ray: Any, address: str | None) -> Generator[None]:
    """Connect to a cluster, unless Ray is connected already, and disconnect again."""
    if ray.is_initialized():
        yield
        return
    _check_address(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": {"env_vars": ONE_THREAD}}
    where = {"address": address} if address else {"address": "local", "include_dashboard": False}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lance is not fork-safe")  # Ray's processes are new programs
            try:
                ray.init(**where, **quiet)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise _unreachable(address, error) from None
        yield
    finally:
        ray.shutdown()
