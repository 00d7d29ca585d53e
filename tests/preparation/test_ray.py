"""Preparation on Ray: the rows of the local engine, whatever dies on the way."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.preparation.making import SMALL, MarkerDetector, MarkerTools, manifest_of, write_marked

from veridical.clips import ClipStore, LedgerEntry, StoreSettings, verify
from veridical.errors import UsageError
from veridical.preparation import prepare
from veridical.preparation.engines import ENGINES
from veridical.preparation.jobs import Job, Outcome, Setup
from veridical.preparation.ray_engine import _Crew, _Sent
from veridical.workers import Lost, WorkerFailedError

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
            time.sleep(600)
        return found


@dataclass
class Troubled:
    """Makes tools that die at their first video, once, and in trouble at red corners; picklable."""

    trouble: str
    once: Path

    def __call__(self, settings: StoreSettings) -> MarkerTools:
        tools = MarkerTools(settings)
        tools.detector_for_video = self.detector  # type: ignore[method-assign]
        return tools

    def detector(self) -> TroubledDetector:
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            time.sleep(2.0 if self.trouble == "slow" else 0.0)
            return TroubledDetector(self.trouble)
        os._exit(9)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.second = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    yield cluster
    cluster.shutdown()


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
    ("trouble", "status", "reason"), [("die", "unreadable", "lost 2 times"), ("hang", "timeout", "not done after 8 s")]
)
def test_lost_workers_cost_one_video_at_most(cluster, videos, tmp_path, trouble, status, reason) -> None:
    bad = write_marked(tmp_path / "bad.mp4", 30, faces=lambda _: "two")
    manifest = manifest_of(bad, *videos[:4])
    tools = Troubled(trouble, tmp_path / "once")
    summary = prepare(
        manifest, tmp_path / "s", SMALL, engine="ray", address=cluster.address, timeout_s=8, make_tools=tools
    )
    assert summary.counts == {"ok": 4, status: 1}
    assert reason in summary.failures["reason"][0]
    assert verify(ClipStore.open(tmp_path / "s")) == []


@pytest.mark.slow
def test_a_machine_that_goes_is_survived(cluster, videos, tmp_path) -> None:
    removed: list[float] = []

    def remove() -> None:
        cluster.remove_node(cluster.second, allow_graceful=False)
        removed.append(time.monotonic())

    removing = threading.Timer(7.0, remove)
    removing.start()
    tools = Troubled("slow", tmp_path / "once")
    summary = prepare(
        manifest_of(*videos[:6]), tmp_path / "s", SMALL, engine="ray", address=cluster.address, make_tools=tools
    )
    assert removed
    assert removed[0] < time.monotonic() - 2.0, "the machine was to go in the middle of the run"
    assert summary.counts == {"ok": 6}
    assert verify(ClipStore.open(tmp_path / "s")) == []


class FakeCluster:
    """Stands for Ray: each try of the video ends as told, on a machine of its own, which is in the cluster or is not."""

    exceptions = SimpleNamespace(RayError=ConnectionError)

    def __init__(self, *tries: str) -> None:
        self.tries = list(tries)
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

    def wait(self, busy: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return busy[:1], busy[1:]

    def get(self, call: tuple[int, str, str]) -> _Sent:
        _, node, fate = call
        if fate == "machine gone":
            next(machine for machine in self.machines if machine["NodeID"] == node)["Alive"] = False
        if fate in ("machine gone", "crash"):
            raise ConnectionError(fate)
        return _Sent(node=node) if fate == "starts" else _Sent(LedgerEntry("v", "ok"))

    def kill(self, _: Any) -> None:
        pass

    def nodes(self) -> list[dict[str, Any]]:
        return self.machines


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
    ],
)
def test_crashes_are_held_against_a_video_and_lost_machines_are_not(tmp_path, tries, done) -> None:
    setup = Setup(SMALL, tmp_path, MarkerTools)
    crew = _Crew(FakeCluster(*tries), setup, 60.0, [Job(0, "v", "v.mp4")])
    crew.hire(1)
    ((job, result),) = crew.results()
    assert job.video_id == "v"
    assert isinstance(result, Outcome if done else Lost)


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
    with pytest.raises(UsageError, match="no Ray cluster can be reached"):
        prepare(manifest_of(videos[0]), tmp_path / "s", SMALL, engine="ray", address="127.0.0.1:9")
    assert not (tmp_path / "s").exists()


class NoTools(MarkerTools):
    def load(self) -> None:
        raise WorkerFailedError("put the file here")


@pytest.mark.slow
def test_missing_weights_on_a_machine_blame_no_video(cluster, videos, tmp_path) -> None:
    with pytest.raises(WorkerFailedError, match="put the file here"):
        prepare(manifest_of(*videos), tmp_path / "s", SMALL, engine="ray", address=cluster.address, make_tools=NoTools)
    assert len(ClipStore.open(tmp_path / "s").ledger()) == 0
