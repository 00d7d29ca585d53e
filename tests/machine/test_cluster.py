"""Jobs on a cluster: what dies costs tries, and never the run; Ray is played by a fake."""

from __future__ import annotations

import itertools
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from tests.base.clock import Clock

from veridical.machine import Lost, WorkerFailedError
from veridical.machine import cluster as cluster_file
from veridical.machine.cluster import Crew, Sent


class FakeCluster:
    """Stands for Ray: each try of a job ends as told, on a machine of its own, which is in the cluster or is not."""

    exceptions = SimpleNamespace(RayError=ConnectionError, ActorUnavailableError=ConnectionResetError)

    def __init__(self, *tries: str) -> None:
        self.tries, self.clock, self.unnoticed = list(tries), Clock(), Counter[str]()
        self.machines: list[dict[str, Any]] = []
        self.calls = itertools.count()

    def remote(self, **_: Any) -> Any:
        return lambda _: SimpleNamespace(remote=self.actor)

    def actor(self, _: Any) -> Any:
        node = f"n{len(self.machines)}"
        self.machines.append({"NodeID": node, "Alive": True})
        start = SimpleNamespace(remote=lambda: (next(self.calls), node, "starts"))
        return SimpleNamespace(
            start=start, work=SimpleNamespace(remote=lambda _: (next(self.calls), node, self.tries.pop(0)))
        )

    def wait(
        self, busy: list[Any], *, num_returns: int, timeout: float, fetch_local: bool = True
    ) -> tuple[list[Any], list[Any]]:
        ready = [call for call in busy if call[2] != "hang"][:num_returns]
        if not ready:
            self.clock.put_forward(timeout)
        return ready, [call for call in busy if call not in ready]

    def get(self, call: tuple[int, str, str]) -> Sent:
        _, node, fate = call
        if fate.startswith("machine gone"):
            self.unnoticed[node] = 5 if fate.endswith("unnoticed") else 0
        if fate.endswith(("unnoticed", "told late")):
            raise ConnectionResetError(fate)
        if fate in ("machine gone", "crash"):
            raise ConnectionError(fate)
        return Sent(node=node) if fate == "starts" else Sent("done")

    def kill(self, _: Any) -> None:
        pass

    def nodes(self) -> list[dict[str, Any]]:
        """Tell the machines; one that is gone is among them until that was asked often enough."""
        for machine in self.machines:
            if machine["NodeID"] in self.unnoticed:
                machine["Alive"] = self.unnoticed[machine["NodeID"]] > 0
                self.unnoticed[machine["NodeID"]] -= 1
        return self.machines


def crew_of(cluster: FakeCluster, monkeypatch, *, jobs: int = 1, workers: int = 1) -> Crew[int, str]:
    """Hired workers with jobs and a time limit of a minute."""
    monkeypatch.setattr(cluster_file, "time", cluster.clock)
    crew: Crew[int, str] = Crew(cluster, lambda: str, 60.0, range(jobs))
    crew.hire(workers)
    return crew


@pytest.mark.parametrize(
    ("tries", "done"),
    [
        (["ok"], True),
        (["crash", "ok"], True),
        (["crash", "crash", "ok"], False),
        (["crash", "machine gone", "ok"], True),
        (["machine gone"] * 4 + ["ok"], True),
        (["machine gone"] * 5 + ["ok"], False),
        (["crash"] + ["machine gone"] * 3 + ["ok"], True),
        (["machine gone, unnoticed"] * 4 + ["ok"], True),
        (["crash", "machine gone, unnoticed", "ok"], True),
        (["crash, told late", "crash, told late", "ok"], False),
    ],
)
def test_crashes_are_held_against_a_job_and_lost_machines_are_not(monkeypatch, tries, done) -> None:
    ((job, result),) = crew_of(FakeCluster(*tries), monkeypatch).results()
    assert job == 0
    assert result == "done" if done else isinstance(result, Lost)


@pytest.mark.parametrize(("fate", "survived"), [("machine gone", True), ("crash", False)])
def test_a_machine_with_many_workers_goes_and_the_run_goes_on(monkeypatch, fate, survived) -> None:
    crew = crew_of(FakeCluster(*[fate] * 30, *["ok"] * 30), monkeypatch, jobs=30, workers=30)
    if survived:
        assert [result for _, result in crew.results()] == ["done"] * 30
    else:
        with pytest.raises(WorkerFailedError, match="cannot be kept alive"):
            list(crew.results())


def test_a_machine_that_was_out_of_reach_for_a_moment_is_waited_for_once(monkeypatch) -> None:
    cluster = FakeCluster()
    crew, began = crew_of(cluster, monkeypatch), cluster.clock.monotonic()
    assert [crew._crashed("n0", ConnectionResetError()) for _ in range(64)] == [True] * 64
    waited_s = cluster.clock.monotonic() - began
    assert cluster_file.NOTICE_S <= waited_s < 2 * cluster_file.NOTICE_S
    cluster.clock.put_forward(3600)
    cluster.unnoticed["n0"] = 5
    assert not crew._crashed("n0", ConnectionResetError()), "another time it is waited for again"


@pytest.mark.parametrize("tries", [["ok", "ok"], ["hang", "ok"]])
def test_time_in_which_nobody_asked_counts_against_no_job(monkeypatch, tries) -> None:
    """The store may take long to commit between two results."""
    cluster = FakeCluster(*tries)
    kinds = []
    for _, result in crew_of(cluster, monkeypatch, jobs=2, workers=1 + tries.count("ok") // 2).results():
        kinds.append(result.kind if isinstance(result, Lost) else result)
        cluster.clock.put_forward(1000)
    assert kinds == ["timeout" if fate == "hang" else "done" for fate in tries]


def test_without_a_worker_the_run_ends(monkeypatch) -> None:
    cluster = FakeCluster()
    crew = crew_of(cluster, monkeypatch, workers=0)
    crew._busy[(0, "n0", "hang")] = SimpleNamespace(actor=None, of=None, node="", since=0.0)
    with pytest.raises(WorkerFailedError, match="no worker started within 300 s"):
        list(crew.results())
