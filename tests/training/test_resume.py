"""Runs that are killed or interrupted at any step, and continued, equal those that are not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_recipe, tiny_values

from veridical.clips import ClipStore
from veridical.errors import ArtefactError, UsageError
from veridical.progress import Task, listening
from veridical.training import Recipe, Run, TrainSummary, checkpoints, loop, train
from veridical.training.distributed import start_fabric


def short_recipe(store: Path, **changes: Any) -> Recipe:
    """Three stages of two epochs, two batches each; a state after every batch, parts that open, hard examples."""
    values = tiny_values(store)
    for stage in values["stages"]:
        stage["epochs"] = 2
    values["stages"][2]["openings"] = [{"train": ["video_backbone"], "lr": 0.001, "epoch": 1}]
    values["runtime"]["save_every_steps"] = 1
    values["batches"] = {"hard_examples": 0.3}
    return tiny_recipe(store, **{**values, **changes})


@pytest.fixture(scope="module")
def uninterrupted(store: ClipStore, tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    return train(short_recipe(store.path), tmp_path_factory.mktemp("uninterrupted") / "run")


def assert_equal_runs(mine: TrainSummary, theirs: TrainSummary) -> None:
    assert list(mine.history) == list(theirs.history)
    for name in ("stages/1-video", "stages/2-audio", "stages/3-joint", "model"):
        first, second = (load_file(run / name / "model.safetensors") for run in (mine.run, theirs.run))
        assert all(torch.equal(first[key], second[key]) for key in first), name


class StopsAt:
    """Asks to stop when so many batches have been done, or so many validations have begun."""

    def __init__(self, batch: int) -> None:
        self.left, self.said = batch, list[str]()

    def start(self, description: str, total: float | None, unit: str) -> Task:
        return self

    def advance(self, steps: float = 1, **facts: object) -> None:
        if "loss" in facts:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

    def finish(self, task: Task) -> None:
        return

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.parametrize(
    "batch", [1, 6, 12, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 3, 4, 5, 7, 8, 9, 10, 11))]
)
def test_interrupted_and_resumed_equals_uninterrupted(
    store: ClipStore, uninterrupted: TrainSummary, tmp_path: Path, batch: int
) -> None:
    listener = StopsAt(batch)  # of 12
    recipe = short_recipe(store.path, runtime={"accelerator": "cpu", "threads": 1})
    before = signal.getsignal(signal.SIGINT)  # a shell has its background jobs ignore it
    with listening(listener), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run")
    assert "--resume continues" in listener.said[-1]
    saved = json.loads((tmp_path / "run" / "state" / "progress.json").read_text())
    assert len(list((tmp_path / "run" / "state").iterdir())) == 2, saved
    assert signal.getsignal(signal.SIGINT) is before
    assert_equal_runs(train(recipe, tmp_path / "run", resume=True), uninterrupted)


def stuck_run(store: Path, run: Path, until: tuple[int, int, int], moment: str, sign: Path) -> None:
    """Train, resuming what is there; be stuck `before` or `after` that stage, epoch and step, or a later one, is saved."""
    write = checkpoints.write_json

    def stuck(path: Path, values: dict[str, Any]) -> None:
        reached = (values["stage"], values["epoch"], values["step"]) >= until
        if moment == "after" or not reached:
            write(path, values)
        if reached:
            sign.touch()
            time.sleep(600)

    checkpoints.write_json = stuck
    train(short_recipe(store), run, resume=True)


def killed_run(store: Path, run: Path, until: tuple[int, int, int], moment: str) -> None:
    """Let another process train until it is stuck in saving a state, and kill it there."""
    sign, told = (run.with_name(f"{'-'.join(map(str, until))}.{kind}") for kind in ("stuck", "txt"))
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom test_resume import stuck_run\n"
        f"stuck_run(Path({str(store)!r}), Path({str(run)!r}), {until}, {moment!r}, Path({str(sign)!r}))"
    )
    with told.open("wb") as errors:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=errors)
    try:
        for _ in range(12000):
            if sign.exists():
                break
            assert process.poll() is None, told.read_text()
            time.sleep(0.05)
        assert sign.exists()
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_and_resumed_equals_uninterrupted(store: ClipStore, uninterrupted: TrainSummary, tmp_path: Path) -> None:
    killed_run(store.path, tmp_path / "run", (0, 1, 1), "after")
    assert_equal_runs(train(short_recipe(store.path), tmp_path / "run", resume=True), uninterrupted)


@pytest.mark.slow
def test_killed_again_and_again(store: ClipStore, uninterrupted: TrainSummary, tmp_path: Path) -> None:
    for until, moment in (((0, 0, 2), "before"), ((1, 0, 0), "after"), ((1, 1, 1), "before"), ((2, 1, 2), "after")):
        killed_run(store.path, tmp_path / "run", until, moment)
    resumed = train(short_recipe(store.path), tmp_path / "run", resume=True)
    assert_equal_runs(resumed, uninterrupted)


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
@pytest.mark.parametrize("within", [True, False])
def test_a_damaged_state_is_refused(
    store: ClipStore, uninterrupted: TrainSummary, tmp_path: Path, damage: str, within: bool
) -> None:
    run = tmp_path / "run"
    if within:
        with listening(StopsAt(2)), pytest.raises(KeyboardInterrupt):
            train(short_recipe(store.path), run)
    else:
        shutil.copytree(uninterrupted.run, run)
        shutil.rmtree(run / "model")
    path = run / "state" / "progress.json"
    values = json.loads(path.read_text())
    tensors = (run / "state" if within else run) / values["tensors"]
    assert (tensors.resolve().parent == path.resolve().parent) is within, (
        "between stages: the model of the stage before"
    )
    if damage == "gone":
        tensors.unlink()
    elif damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:100])
    else:
        path.write_text(json.dumps({"schema_version": values["schema_version"], "stage": 1}))
    with pytest.raises(ArtefactError, match="the saved state is damaged"):
        train(short_recipe(store.path), run, resume=True)


def test_a_finished_run_is_left_alone_by_resume(store: ClipStore, summary: TrainSummary, tmp_path: Path) -> None:
    copy = shutil.copytree(summary.run, tmp_path / "run")
    for weights in copy.glob("stages/*/model.safetensors"):
        weights.unlink()  # to save room
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    again = train(tiny_recipe(store.path), copy, resume=True)
    assert (again.stages, again.history) == (summary.stages, summary.history)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_state_of_another_version_is_refused(store: ClipStore, uninterrupted: TrainSummary, tmp_path: Path) -> None:
    copy = shutil.copytree(uninterrupted.run, tmp_path / "run")
    shutil.rmtree(copy / "model")
    path = copy / "state" / "progress.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in values.items() if name != "schema_version"}))
    with pytest.raises(ArtefactError, match="of another version and cannot be resumed; train into another folder"):
        train(short_recipe(store.path), copy, resume=True)


def test_the_loss_scaler_goes_on_from_stage_to_stage(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints.Checkpoints, "_scaler", lambda _: {"scale": 7.0})
    train(short_recipe(store.path), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["scaler"] == {"scale": 7.0}


def test_a_run_is_not_overwritten(store: ClipStore, summary: TrainSummary) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(tiny_recipe(store.path), summary.run)
    changed = tiny_recipe(store.path, seed=5, losses={"temporal": 0.3})
    with pytest.raises(
        UsageError, match=r"another recipe: seed was 0, is now 5; losses\.temporal was 0\.1, is now 0\.3; resume"
    ):
        train(changed, summary.run, resume=True)


def test_a_run_is_not_continued_on_other_labels(store: ClipStore, summary: TrainSummary, tmp_path: Path) -> None:
    copy = shutil.copytree(summary.run, tmp_path / "run")
    manifest = store.manifest()
    labels = manifest.table["label"].to_pylist()
    manifest.with_column("label", [1 - labels[0], *labels[1:]]).write(tmp_path / "m.parquet")
    data = {"store": str(store.path), "manifest": str(tmp_path / "m.parquet")}
    with pytest.raises(UsageError, match="other clips, labels or splits"):
        train(tiny_recipe(store.path, data=data), copy, resume=True)


def test_a_run_keeps_the_precision_it_was_begun_in(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = {"accelerator": "cpu", "threads": 1, "precision": "auto"}
    recipe = short_recipe(store.path, runtime=runtime)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    with listening(StopsAt(3)), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run")
    assert Run(tmp_path / "run").recipe().runtime.precision == "bf16-mixed"
    asked = []
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.setattr(
        loop,
        "start_fabric",
        lambda settings, events: asked.append(settings.precision) or start_fabric(settings, events),
    )
    train(recipe, tmp_path / "run", resume=True)
    assert asked == ["bf16-mixed"], "on a machine that has none"
