"""What the loop decides: patience, clipping, stages, losses of twenty steps; goldens are renewed with UPDATE_GOLDENS=1."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_recipe, tiny_values

from veridical.clips import ClipStore
from veridical.errors import StageStoppedError
from veridical.progress import Task, listening
from veridical.training import TrainSummary, loop, train
from veridical.training.validation import Validation

GOLDENS = Path(__file__).parent / "goldens"


def check_golden(name: str, found: Any) -> Any:
    path = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    return json.loads(path.read_text())


class Losses:
    """Listens to the loss of each batch, and to what is said."""

    def __init__(self) -> None:
        self.losses, self.said = list[float](), list[str]()

    def start(self, description: str, total: float | None, unit: str) -> Task:
        return self

    def advance(self, steps: float = 1, **facts: object) -> None:
        if "loss" in facts:
            self.losses.append(float(str(facts["loss"])))

    def finish(self, task: Task) -> None:
        return

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.parametrize("other_kernels", [False, True])
def test_losses_of_twenty_steps(store: ClipStore, tmp_path: Path, other_kernels: bool) -> None:
    values = tiny_values(store.path)
    for stage, epochs in zip(values["stages"], (2, 2, 3), strict=True):
        stage |= {"epochs": epochs, "lr": 0.001}
    runtime = {**values["runtime"], "reuse_features": not other_kernels}
    batches = {"videos": 4, "clips": 4}
    listener = Losses()
    # Without oneDNN the products are computed by other code: a stand-in for another processor.
    with listening(listener), torch.backends.mkldnn.flags(enabled=not other_kernels):
        train(tiny_recipe(store.path, stages=values["stages"], runtime=runtime, batches=batches), tmp_path / "run")
    found = listener.losses[:20]
    assert len(found) == 20
    if not other_kernels:
        check_golden("losses.json", found)
    assert found == pytest.approx(json.loads((GOLDENS / "losses.json").read_text()), abs=0.005)


def test_names_and_shapes_of_what_is_saved(summary: TrainSummary) -> None:
    tensors = load_file(summary.run / "model" / "model.safetensors")
    found = {name: list(tensors[name].shape) for name in sorted(tensors)}
    assert found == check_golden("state.json", found)


def fake_validations(monkeypatch: pytest.MonkeyPatch, figures: list[tuple[float, float]]) -> None:
    """Let validation say these AUCs and losses, the last one ever after."""
    left: Iterator[tuple[float, float]] = iter(figures)
    last = figures[-1]

    def validate(*_: Any) -> Validation:
        auc, loss = next(left, last)
        names = [f"p{person:02d}-{kind}" for person in (2, 6, 10, 14) for kind in ("real", "hum")]
        videos = pd.DataFrame({"video_id": names, "target": [0, 1] * 4, "logit": [-1.0, 1.0] * 4})
        return Validation(auc, loss, {"stripes": auc}, 0.04, videos)

    monkeypatch.setattr(loop, "validate", validate)


def test_a_stage_ends_when_patience_runs_out(store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_validations(monkeypatch, [(0.9, 0.5), (0.901, 0.5), (0.9015, 0.5)])
    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 8}]
    recipe = tiny_recipe(store.path, stages=stages, early_stopping={"patience": 2, "min_delta": 0.002})
    (stage,) = train(recipe, tmp_path / "run").stages
    assert (stage.epochs, stage.best_epoch) == (3, 2)


def test_parts_open_when_validation_no_longer_improves(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_validations(monkeypatch, [(0.8, 0.5), (0.8, 0.5), (0.8, 0.5), (0.9, 0.5), (0.9, 0.5)])
    opening = {"train": ["video_backbone"], "lr": 0.0001, "plateau": 2}
    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 8, "openings": [opening]}]
    recipe = tiny_recipe(store.path, stages=stages, early_stopping={"patience": 2})
    listener = Losses()
    with listening(listener):
        (stage,) = train(recipe, tmp_path / "run").stages
    opened = [number for number, message in enumerate(listener.said) if "opens video_backbone" in message]
    assert len(opened) == 1
    assert sum(", epoch " in message for message in listener.said[: opened[0]]) == 3
    assert stage.epochs == 6, "patience counts anew from the opening"
    assert stage.best_epoch == 3


def test_following_heads_do_not_touch_what_the_encoders_learn(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without their loss, everything but the heads themselves is the same, although gradients are clipped."""
    from veridical.training import terms

    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 1}]
    recipe = tiny_recipe(store.path, stages=stages, optimiser={"clip_norm": 0.05})
    runs = [train(recipe, tmp_path / "with").run]
    monkeypatch.setattr(terms, "heads_loss", lambda output, *_: 0.0 * output.video_logit.sum())
    runs.append(train(recipe, tmp_path / "without").run)
    mine, theirs = (load_file(run / "model" / "model.safetensors") for run in runs)
    differing = {name.split(".")[0] for name in mine if not torch.equal(mine[name], theirs[name])}
    assert differing == {"video_head", "audio_head"}


def test_a_stage_below_what_is_asked_for_ends_the_run(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_validations(monkeypatch, [(0.62, 0.6)])
    recipe = tiny_recipe(store.path, early_stopping={"patience": 1, "stop_run_below": 0.7})
    with pytest.raises(StageStoppedError, match=r"stage video: validation AUC 0\.620 is below .*stop_run_below=0\.7"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_a_stage_at_chance_ends_the_run_unless_it_is_accepted_by_name(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_validations(monkeypatch, [(0.455, 0.7)])
    stopping = {"patience": 1}
    with pytest.raises(StageStoppedError, match=r"stage video: validation AUC 0\.455 is chance.*--accept-chance video"):
        train(tiny_recipe(store.path, early_stopping=stopping), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    assert [path.name for path in (tmp_path / "run" / "stages").iterdir()] == ["1-video"]
    with pytest.raises(StageStoppedError, match=r"stage audio: .*--accept-chance audio"):
        train(
            tiny_recipe(store.path, early_stopping={**stopping, "accept_chance": ["video"]}),
            tmp_path / "run",
            resume=True,
        )
    accepted = tiny_recipe(store.path, early_stopping={**stopping, "accept_chance": ["video", "audio"]})
    summary = train(accepted, tmp_path / "run", resume=True)
    assert [stage.decision for stage in summary.stages] == ["stop"] * 3
    assert (tmp_path / "run" / "model").exists()


def test_parts_that_never_opened_are_named(store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_validations(monkeypatch, [(0.9, 0.5)])
    opening = {"train": ["video_backbone"], "lr": 0.0001, "epoch": 6}
    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 8, "openings": [opening]}]
    listener, recipe = Losses(), tiny_recipe(store.path, stages=stages, early_stopping={"patience": 1})
    with listening(listener):
        (stage,) = train(recipe, tmp_path / "run").stages
    assert stage.epochs == 2
    assert stage.unreached == ("video_backbone at epoch 7",)
    assert any("never opened" in said and "video_backbone at epoch 7" in said for said in listener.said)


def test_every_epoch_says_the_share_of_each_term(store: ClipStore, tmp_path: Path) -> None:
    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 2}]
    listener = Losses()
    with listening(listener):
        history = train(tiny_recipe(store.path, stages=stages), tmp_path / "run").history
    for row in history:
        assert list(row["loss_shares"]) == ["segment", "video", "temporal"]
        assert sum(row["loss_shares"].values()) == pytest.approx(1, abs=1e-4)
        assert row["loss_shares"]["temporal"] > 0.005
    assert sum("(segment " in said and "%, temporal " in said for said in listener.said) == 2


def test_validation_of_an_open_backbone_builds_no_graph(store: ClipStore, tmp_path: Path) -> None:
    from veridical.training.features import DirectFeatures

    asked: list[bool] = []
    original = DirectFeatures.batch

    def batch(self: DirectFeatures, rows: Any, view: int | None, only: Any = None) -> Any:
        found = original(self, rows, view, only)
        if view is None:
            asked.append(found.video.requires_grad)
        else:
            assert found.video.requires_grad
        return found

    stages = [{**tiny_values(store.path)["stages"][2], "epochs": 1}]
    stages[0]["train"] = ["video_backbone", *stages[0]["train"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DirectFeatures, "batch", batch)
        train(tiny_recipe(store.path, stages=stages), tmp_path / "run")
    assert asked
    assert not any(asked)


def test_half_precision_learns_the_same_roughly(store: ClipStore, tmp_path: Path) -> None:
    values = tiny_values(store.path)
    stages = [{**values["stages"][2], "epochs": 2}]
    found = [
        train(
            tiny_recipe(store.path, stages=stages, runtime={**values["runtime"], "precision": precision}),
            tmp_path / precision,
        ).history[-1]["train_loss"]
        for precision in ("32-true", "bf16-mixed")
    ]
    assert found[0] != found[1], "it is computed in another precision"
    assert found[0] == pytest.approx(found[1], abs=0.05)
