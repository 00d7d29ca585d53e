"""Preparation on Ray: the rows of the local engine, whatever dies on the way."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.base.clock import Clock
from tests.preparation.making import SMALL, MarkerDetector, MarkerTools, ToolsMaker, manifest_of, write_marked

from veridical.clips import ClipStore, LedgerEntry, verify
from veridical.errors import UsageError
from veridical.machine import Lost, WorkerFailedError
from veridical.preparation import prepare, ray_engine
from veridical.preparation.engines import ENGINES
from veridical.preparation.jobs import Job, Outcome, Setup
from veridical.preparation.ray_engine import _Crew, _Sent, run_on_ray

STORE_BYTES = 80 * 2**20


class TroubledDetector(MarkerDetector):
    """Does something bad at a picture with a red corner."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def detect(self, image: np.ndarray) -> list:
        found = super().detect(image)
        if len(found) == 2 and self.trouble == "die":
            os._exit(9)
        if len(found) == 2 and self.trouble == "hang":
            time.sleep(120)
        return found


@dataclass
class Troubled(ToolsMaker):
    """Makes tools that die at their first video, once, and in trouble at red corners; picklable."""

    trouble: str
    once: Path

    def detector(self) -> TroubledDetector:
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            return TroubledDetector(self.trouble)
        os._exit(9)


@dataclass
class OnAMachineThatGoes(ToolsMaker):
    """Makes tools that hold a video on that machine until it is gone; elsewhere they wait until there is one; picklable."""

    machine: str
    in_hand: Path

    def detector(self) -> MarkerDetector:
        import ray

        if ray.get_runtime_context().get_node_id() == self.machine:
            self.in_hand.touch()
            time.sleep(300)
            raise AssertionError("the machine was to go")
        for _ in range(3000):
            if self.in_hand.exists():
                return MarkerDetector()
            time.sleep(0.1)
        raise AssertionError("no video came to the machine that goes")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # what else fills the memory here ends no worker
        head = {
            **node,
            "include_dashboard": False,
            "dashboard_agent_listen_port": 0,  # any port: others may run Ray as well
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(**node)
        yield cluster
        cluster.shutdown()


@contextmanager
def removed_when(cluster: Any, machine: Any, sign: Path) -> Iterator[list[str]]:
    """Take a machine from the cluster, without a farewell, as soon as a file is there; yield what is gone by then."""
    gone: list[str] = []
    over = threading.Event()

    def remove() -> None:
        while not sign.exists():
            if over.wait(0.1):
                return
        cluster.remove_node(machine, allow_graceful=False)
        gone.append(machine.node_id)

    removing = threading.Thread(target=remove)
    removing.start()
    try:
        yield gone
    finally:
        over.set()
        removing.join()
        if not gone:
            cluster.remove_node(machine)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    sound = (0.1 * np.sin(np.arange(80000) / 8)).astype(np.float32)
    paths = [
        write_marked(folder / f"v{number}.mp4", 25 + 20 * number, samples=sound if number % 2 else None)
        for number in range(6)
    ]
    (folder / "text.mp4").write_text("not a video")
    return [*paths, folder / "text.mp4"]


@pytest.mark.slow
def test_two_machines_give_the_rows_of_one(cluster, videos, tmp_path, capsys) -> None:
    manifest = manifest_of(*videos)
    local = prepare(manifest, tmp_path / "local", SMALL, workers=1, make_tools=MarkerTools)
    ray = prepare(manifest, tmp_path / "ray", SMALL, engine="ray", address=cluster.address, make_tools=MarkerTools)
    assert ray.counts == local.counts == {"ok": 6, "unreadable": 1}
    stores = [ClipStore.open(tmp_path / name) for name in ("local", "ray")]
    assert stores[0].fingerprint == stores[1].fingerprint
    assert verify(stores[1]) == []
    columns = ["video_id", "status", "reason", "num_clips", "has_audio", "duration_s", "digest", "source"]
    assert stores[0].ledger()[columns].equals(stores[1].ledger()[columns])
    index = [store.index() for store in stores]
    assert index[0].equals(index[1])
    assert stores[0].take_table(index[0]["row"]).equals(stores[1].take_table(index[1]["row"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "status", "reason"),
    [("die", "unreadable", "lost 2 times"), ("hang", "timeout", "not done after 600 s")],
)
def test_lost_workers_cost_one_video_at_most(cluster, videos, tmp_path, monkeypatch, trouble, status, reason) -> None:
    if trouble == "hang":
        clock = Clock()
        monkeypatch.setattr(ray_engine, "time", clock)
        monkeypatch.setitem(ENGINES, "ray", clock.forward_after(run_on_ray, 4, seconds=600))
    bad = write_marked(tmp_path / "bad.mp4", 30, faces=lambda _: "two")
    manifest = manifest_of(bad, *videos[:4])
    tools = Troubled(trouble, tmp_path / "once")
    summary = prepare(
        manifest, tmp_path / "s", SMALL, engine="ray", address=cluster.address, timeout_s=600, make_tools=tools
    )
    assert summary.counts == {"ok": 4, status: 1}
    assert reason in summary.failures["reason"][0]
    assert verify(ClipStore.open(tmp_path / "s")) == []


@pytest.mark.slow
def test_a_machine_that_goes_is_survived(cluster, videos, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ray_engine, "MAX_CRASHES", 1)
    machine = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    tools = OnAMachineThatGoes(machine.node_id, tmp_path / "in hand")
    with removed_when(cluster, machine, tools.in_hand) as gone:
        summary = prepare(
            manifest_of(*videos[:6]), tmp_path / "s", SMALL, engine="ray", address=cluster.address, make_tools=tools
        )
        assert gone == [machine.node_id], "the machine was to go in the middle of the run"
    assert summary.counts == {"ok": 6}, "a machine that goes is no crash, of which there may be none here"
    assert verify(ClipStore.open(tmp_path / "s")) == []


class FakeCluster:
    """Stands for Ray: each try of a video ends as told, on a machine of its own, which is in the cluster or is not."""

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
            start=start, prepare=SimpleNamespace(remote=lambda _: (next(self.calls), node, self.tries.pop(0)))
        )

    def wait(
        self, busy: list[Any], *, num_returns: int, timeout: float, fetch_local: bool = True
    ) -> tuple[list[Any], list[Any]]:
        ready = [call for call in busy if call[2] != "hang"][:num_returns]
        if not ready:
            self.clock.put_forward(timeout)
        return ready, [call for call in busy if call not in ready]

    def get(self, call: tuple[int, str, str]) -> _Sent:
        _, node, fate = call
        if fate.startswith("machine gone"):
            self.unnoticed[node] = 5 if fate.endswith("unnoticed") else 0
        if fate.endswith(("unnoticed", "told late")):
            raise ConnectionResetError(fate)
        if fate in ("machine gone", "crash"):
            raise ConnectionError(fate)
        return _Sent(node=node) if fate == "starts" else _Sent(LedgerEntry("v", "ok"))

    def kill(self, _: Any) -> None:
        pass

    def nodes(self) -> list[dict[str, Any]]:
        """Tell the machines; one that is gone is among them until that was asked often enough."""
        for machine in self.machines:
            if machine["NodeID"] in self.unnoticed:
                machine["Alive"] = self.unnoticed[machine["NodeID"]] > 0
                self.unnoticed[machine["NodeID"]] -= 1
        return self.machines


def crew_of(cluster: FakeCluster, folder: Path, monkeypatch, *, jobs: int = 1, workers: int = 1) -> _Crew:
    """Hired workers with jobs and a time limit of a minute."""
    monkeypatch.setattr(ray_engine, "time", cluster.clock)
    setup = Setup(SMALL, folder, MarkerTools)
    crew = _Crew(cluster, setup, 60.0, [Job(number, f"v{number}", "v.mp4") for number in range(jobs)])
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
def test_crashes_are_held_against_a_video_and_lost_machines_are_not(tmp_path, monkeypatch, tries, done) -> None:
    ((job, result),) = crew_of(FakeCluster(*tries), tmp_path, monkeypatch).results()
    assert job.video_id == "v0"
    assert isinstance(result, Outcome if done else Lost)


@pytest.mark.parametrize(("fate", "survived"), [("machine gone", True), ("crash", False)])
def test_a_machine_with_many_workers_goes_and_the_run_goes_on(tmp_path, monkeypatch, fate, survived) -> None:
    crew = crew_of(FakeCluster(*[fate] * 30, *["ok"] * 30), tmp_path, monkeypatch, jobs=30, workers=30)
    if survived:
        assert [type(result) for _, result in crew.results()] == [Outcome] * 30
    else:
        with pytest.raises(WorkerFailedError, match="cannot be kept alive"):
            list(crew.results())


def test_a_machine_that_was_out_of_reach_for_a_moment_is_waited_for_once(tmp_path, monkeypatch) -> None:
    cluster = FakeCluster()
    crew, began = crew_of(cluster, tmp_path, monkeypatch), cluster.clock.monotonic()
    assert [crew._crashed("n0", ConnectionResetError()) for _ in range(64)] == [True] * 64
    waited_s = cluster.clock.monotonic() - began
    assert ray_engine.NOTICE_S <= waited_s < 2 * ray_engine.NOTICE_S
    cluster.clock.put_forward(3600)
    cluster.unnoticed["n0"] = 5
    assert not crew._crashed("n0", ConnectionResetError()), "another time it is waited for again"


@pytest.mark.parametrize("tries", [["ok", "ok"], ["hang", "ok"]])
def test_time_in_which_nobody_asked_counts_against_no_video(tmp_path, monkeypatch, tries) -> None:
    """The store may take long to commit between two results."""
    cluster = FakeCluster(*tries)
    kinds = []
    for _, result in crew_of(cluster, tmp_path, monkeypatch, jobs=2, workers=1 + tries.count("ok") // 2).results():
        kinds.append(result.kind if isinstance(result, Lost) else "done")
        cluster.clock.put_forward(1000)
    assert kinds == ["timeout" if fate == "hang" else "done" for fate in tries]


def test_without_a_worker_the_run_ends(tmp_path, monkeypatch) -> None:
    cluster = FakeCluster()
    crew = crew_of(cluster, tmp_path, monkeypatch, workers=0)
    crew._busy[(0, "n0", "hang")] = SimpleNamespace(actor=None, of=None, node="", since=0.0)
    with pytest.raises(WorkerFailedError, match="no worker started within 300 s"):
        list(crew.results())


def test_without_ray_the_message_says_what_to_install(videos, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'veridical\[ray\]'"):
        prepare(manifest_of(videos[0]), tmp_path / "s", SMALL, engine="ray")
    assert not (tmp_path / "s").exists()


def test_arguments_of_engines(videos, tmp_path) -> None:
    manifest = manifest_of(videos[0])
    for options, message in (
        ({"engine": "rya"}, "unknown engine 'rya'.*ray"),
        ({"address": "auto"}, "--engine ray"),
        ({"engine": "ray", "workers": 0}, "expected 1 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare(manifest, tmp_path / "s", SMALL, **options)
    assert not (tmp_path / "s").exists()
    assert list(ENGINES) == ["local", "ray"]


@pytest.mark.slow
def test_an_address_where_nobody_is(videos, tmp_path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match="no Ray cluster can be reached"):
            prepare(manifest_of(videos[0]), tmp_path / "s", SMALL, engine="ray", address=address)
    assert not (tmp_path / "s").exists()


class NoTools(MarkerTools):
    def load(self) -> None:
        raise WorkerFailedError("put the file here")


@pytest.mark.slow
def test_missing_weights_on_a_machine_blame_no_video(cluster, videos, tmp_path) -> None:
    with pytest.raises(WorkerFailedError, match="put the file here"):
        prepare(manifest_of(*videos), tmp_path / "s", SMALL, engine="ray", address=cluster.address, make_tools=NoTools)
    assert len(ClipStore.open(tmp_path / "s").ledger()) == 0
