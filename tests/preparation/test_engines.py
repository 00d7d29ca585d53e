"""Engines: a Ray cluster gives the rows of the local engine, whatever dies on the way."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.base.clock import Clock
from tests.preparation.making import SMALL, MarkerDetector, MarkerTools, ToolsMaker, manifest_of, write_marked

from veridical.clips import ClipStore, verify
from veridical.errors import UsageError
from veridical.machine import WorkerFailedError
from veridical.machine import cluster as cluster_file
from veridical.preparation import prepare
from veridical.preparation.engines import ENGINES, run_on_ray

STORE_BYTES = 80 * 2**20


class TroubledDetector(MarkerDetector):
    """Does something bad at a frame with a red corner."""

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
        monkeypatch.setattr(cluster_file, "time", clock)
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
    monkeypatch.setattr(cluster_file, "MAX_CRASHES", 1)
    machine = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    tools = OnAMachineThatGoes(machine.node_id, tmp_path / "in hand")
    with removed_when(cluster, machine, tools.in_hand) as gone:
        summary = prepare(
            manifest_of(*videos[:6]), tmp_path / "s", SMALL, engine="ray", address=cluster.address, make_tools=tools
        )
        assert gone == [machine.node_id], "the machine was to go in the middle of the run"
    assert summary.counts == {"ok": 6}, "a machine that goes is no crash, of which there may be none here"
    assert verify(ClipStore.open(tmp_path / "s")) == []


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
