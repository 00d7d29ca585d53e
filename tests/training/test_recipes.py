"""Every recipe of the package at tiny size, and what recipes refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import GENERATORS, SIZE, fabricate_clip, tiny_recipe, tiny_values

from veridical.artefacts import Manifest, Video
from veridical.clips import FLOW_STATISTICS, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.errors import ArtefactError, LeakError, UsageError
from veridical.randomness import stream
from veridical.settings import parse_settings
from veridical.training import Recipe, train
from veridical.training.data import load_data
from veridical.training.distributed import RuntimeSettings
from veridical.training.recipe import packaged_recipes, read_recipe

AUDIO = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}


def rich_store(path: Path, people: range = range(8), dataset: str = "tiny", clips: int = 2) -> ClipStore:
    """A store that keeps mouth crops and flow as well; a quarter of the people validates, a quarter tests."""
    randomness = stream(2, dataset)
    videos = [
        Video(
            dataset=dataset, video_id=f"{dataset}-p{person:02d}-{generator or 'real'}", path=f"{person}.mp4",
            split=("train", "train", "val", "test")[person % 4], label=int(generator is not None),
            visual_label=int(generator == "stripes"), audio_label=int(generator == "hum"), generator=generator,
            identities=(f"p{person}",), group=f"p{person}", has_audio=True,
        )
        for person in people for generator in (None, *GENERATORS)
    ]  # fmt: skip
    settings = StoreSettings(crop_size=SIZE, mouths=True, flow=True)
    ClipStore.create(path, settings, Manifest.from_videos(videos))
    with ClipWriter(path) as writer:
        for video in videos:
            made = [
                fabricate_clip(video.video_id, float(i), video.generator, cue=True, sound=True) for i in range(clips)
            ]
            more = [
                replace(
                    clip,
                    mouths=randomness.integers(0, 256, (25, 96, 96)).astype(np.uint8),
                    flow=randomness.normal(size=(5, len(FLOW_STATISTICS))).astype(np.float32),
                )
                for clip in made
            ]
            writer.add(
                LedgerEntry(video.video_id, "ok", num_clips=clips, has_audio=True, duration_s=float(clips)), more
            )
    return ClipStore.open(path)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return rich_store(tmp_path_factory.mktemp("rich") / "store")


def shrunk(name: str, store: Path) -> Recipe:
    """A packaged recipe with tiny random encoders and two epochs a stage; everything else is its own."""
    recipe = read_recipe(name)
    values: dict[str, Any] = recipe.model_dump(mode="json")
    values["data"]["store"] = str(store)
    values["inputs"] |= {"frame_size": 56, "crop_size": SIZE}
    model = values["model"]
    model["video"] |= {"backbone": "test_efficientnet", "weights": "random", "input_size": 56, "level": None}
    model["temporal"] |= {"width": 32, "output": 64}
    model["fusion"] |= {"width": 32, "heads": 2}
    model["audio_width"] = 32
    if model["audio"]["kind"] != "none":
        model["audio"] |= {"kind": "whisper", "weights": "random", "config": AUDIO, "trainable_blocks": 1}
    for stage in values["stages"]:
        stage["epochs"] = 2
        for opening in stage["openings"]:
            opening |= {"epoch": 1, "plateau": None}
    values["augmentation"]["views"] = 2
    values["batches"]["clips"] = 2
    values["runtime"] |= {"accelerator": "cpu", "threads": 1}
    values["early_stopping"]["accept_chance"] = [stage["name"] for stage in values["stages"]]
    return parse_settings(Recipe, values, name)


@pytest.mark.parametrize("name", list(packaged_recipes()))
def test_every_recipe_trains(name: str, rich: ClipStore, tmp_path: Path) -> None:
    recipe = shrunk(name, rich.path)
    summary = train(recipe, tmp_path / "run")
    assert [stage.name for stage in summary.stages] == [stage.name for stage in read_recipe(name).stages]
    last = summary.history[-1]
    assert last["stage"] == "joint"
    terms = {name.removeprefix("train_") for name in last if name.startswith("train_")}
    weights = {"segment", "video", "temporal", "disagreement", "frame", "sync"}
    assert {term for term in weights if getattr(recipe.losses, term)} <= terms
    assert np.isfinite([value for name, value in last.items() if name.startswith("train_")]).all()


@pytest.mark.parametrize("name", list(packaged_recipes()))
def test_recipes_have_their_own_name_and_last_a_joint_stage(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.stages[-1].objective == "joint"


def test_contract_is_the_strategy_to_the_letter() -> None:
    recipe = read_recipe("contract-v1")
    assert recipe.runtime == RuntimeSettings(precision="auto")
    assert recipe.model_copy(update={"runtime": RuntimeSettings()}) == Recipe(name="contract-v1"), (
        "the strategy's defaults"
    )
    found = [(stage.epochs, stage.lr, stage.final_lr) for stage in recipe.stages]
    assert found == [(5, 1e-3, 0.0), (5, 1e-4, 0.0), (10, 1e-4, 1e-5)]
    assert (recipe.losses.segment, recipe.losses.video, recipe.losses.temporal, recipe.losses.smoothing) == (
        1,
        0.1,
        0.1,
        0.05,
    )
    assert recipe.batches.videos * recipe.batches.clips == 32
    assert (recipe.early_stopping.patience, recipe.early_stopping.min_delta) == (3, 0.002)
    video, audio = recipe.augmentation.video, recipe.augmentation.audio
    assert (video.brightness, video.contrast, video.saturation, video.hue) == (0.2, 0.2, 0.2, 0.1)
    assert (video.flip_probability, video.blur_sigma) == (0.5, (0.1, 2.0))
    assert (audio.shift_s, audio.noise_snr_db) == (0.1, (15.0, 40.0))


def test_phases_add_what_the_strategy_says() -> None:
    second, third = read_recipe("phase-2"), read_recipe("phase-3")
    (opening,) = second.stages[-1].openings
    assert (opening.train, opening.lr, opening.plateau) == (("video_late",), 1e-5, 2)
    assert (second.losses.disagreement, second.losses.segment_form, second.losses.focal_gamma) == (0.05, "focal", 2.0)
    video, audio = second.augmentation.video, second.augmentation.audio
    assert (video.rotation_deg, video.perspective, audio.pitch_semitones, audio.stretch) == (10, 0.2, 2, (0.95, 1.05))
    assert third.mixing.mixup > 0
    assert third.mixing.cutmix > 0
    assert third.model.temporal.kind == "transformer"
    assert third.model.flow_statistics == len(FLOW_STATISTICS)
    assert third.model.lip_sync is not None
    assert third.losses.focal_gamma == 2.0, "what phase 2 said still holds"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_says_only_what_differs(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "extends: small\nlosses: {video: 0.2}\nname: base\n")
    path = write(tmp_path / "mine.yaml", "extends: base.yaml\nname: mine\nlosses: {temporal: 0.3}\n")
    recipe, small = read_recipe(path, ["losses.smoothing=0.1"]), read_recipe("small")
    assert (recipe.losses.video, recipe.losses.temporal, recipe.losses.smoothing) == (0.2, 0.3, 0.1)
    assert recipe.stages == small.stages
    assert recipe.model == small.model


def test_a_folder_of_its_name_hides_no_packaged_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = read_recipe("small-joint")
    monkeypatch.chdir(tmp_path)
    for name in ("small", "small-joint"):
        (tmp_path / name).mkdir()
    assert read_recipe("small-joint") == packaged
    Path("mine.yaml").write_text("extends: small\nseed: 7\n")
    assert read_recipe("mine.yaml").seed == 7
    Path("joint").write_text("extends: small\nname: mine\n")
    assert read_recipe("joint").name == "mine", "a file of the user's is meant"
    with pytest.raises(UsageError, match="no such file; unknown recipe"):
        read_recipe(".")


def test_settings_that_follow_from_others_need_not_be_set() -> None:
    recipe = read_recipe(
        "contract-v1",
        ["inputs.frame_size=112", "inputs.window_s=2", "inputs.flow=true", "losses.frame=0.1", "model.lip_sync={}",
         "augmentation.audio.shift_s=0"],
    )  # fmt: skip
    model = recipe.model
    assert (model.video.input_size, model.audio.window_s) == (112, 2.0)
    assert (model.flow_statistics, model.frame_head) == (len(FLOW_STATISTICS), True)
    assert recipe.inputs.mouths
    assert parse_settings(Recipe, recipe.model_dump(), "again") == recipe


def test_stages_are_inherited_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml", "extends: small\nstages: {audio: null, joint: {epochs: 3, modality_dropout: 0.5}}\n"
    )
    video, joint = read_recipe(path).stages
    first, _, last = read_recipe("small").stages
    assert video == first
    assert joint == last.model_copy(update={"epochs": 3, "modality_dropout": 0.5})
    with pytest.raises(UsageError, match=r"bad.yaml: stages: unknown stage 'jiont'; did you mean 'joint'"):
        read_recipe(write(tmp_path / "bad.yaml", "extends: small\nstages: {jiont: {epochs: 3}}\n"))


def test_what_cannot_be_extended_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "extends: a.yaml\n")
    with pytest.raises(UsageError, match="extends itself, through"):
        read_recipe(tmp_path / "a.yaml")
    with pytest.raises(
        UsageError, match=r"smal: no such file; unknown recipe 'smal'; did you mean 'small'\? Valid: small, "
    ):
        read_recipe(write(tmp_path / "c.yaml", "extends: smal\n"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["losses.frame=0.1", "model.frame_head=false"],
            "model.frame_head follows from losses.frame: expected True, found False",
        ),
        (["losses.sync=0.1"], "losses.sync needs model.lip_sync"),
        (
            ["inputs.flow=true", "model.flow_statistics=7"],
            "model.flow_statistics follows from inputs.flow: expected 24, found 7; leave it out or change inputs.flow",
        ),
        (["inputs.mouths=true"], "inputs.mouths follows from model.lip_sync: expected False, found True"),
        (
            ["inputs.frame_size=112", "model.video.input_size=224"],
            "input_size follows from inputs.frame_size: expected 112",
        ),
        (["model.lip_sync={}"], "at most 0.01 with model.lip_sync"),
        (["batches.balanced=false"], "unknown setting 'balanced'; did you mean 'balance'"),
        (["batches.pairs=true"], "unknown setting 'pairs'; did you mean 'balance=pairs'"),
        (["losses.top_k=2"], r"unknown setting 'top_k'; did you mean 'aggregation.top_k \(of the recipe\)'"),
        (["stages.2.train=[temporal,frame_head]"], "the model has no frame_head"),
        (
            ["stages.2.train=[temporal,frame_head]", "model.frame_head=true"],
            "frame_head would learn nothing: set losses.frame above 0, or leave it out of train",
        ),
        (["stages.2.train=[temporal,temporal]"], "a part is opened twice"),
        (["stages.2.train=[video_backbone,video_late]"], "video_late is a part of video_backbone"),
        (["stages.2.train=[video_late]"], "needs model.video.late_blocks of 1 or more"),
        (["stages.2.openings=[{train: [video_late], lr: 1e-5, plateau: 2, epoch: 3}]"], "either epoch or plateau"),
        (
            ["model.video.late_blocks=1", "stages.2.openings=[{train: [video_late], lr: 1e-5, epoch: 10}]"],
            "an opening at epoch 10 of 10 never takes place",
        ),
        (
            ["model.video.late_blocks=1", "stages.2.openings=[{train: [video_late], lr: 1e-5, plateau: 4}]"],
            "early stopping ends the stage before an opening after 4 epochs",
        ),
        (["mixing.mixup=0.7", "mixing.cutmix=0.7"], "together at most 1"),
        (["stages.0.train=[audio]"], "stage video: audio cannot learn from video alone"),
        (["stages.1.train=[audio,head]"], "stage audio: head cannot learn from audio alone"),
        (["stages.2.train=[]"], "stage joint: train names no part"),
        (["losses.segment=0", "losses.video=0"], "stage video: no term of the loss tells real from fake"),
        (["losses.segment=0", "stages.0.all_losses=true", "stages.1.all_losses=true", "losses.video=0"], "no term"),
        (["optimiser.clip_norm=-1"], "optimiser.clip_norm: .*greater than or equal to 0"),
        (["optimiser.weight_decay=-5"], "optimiser.weight_decay: .*greater than or equal to 0"),
        (["optimiser.betas=[0.9,1]"], r"optimiser.betas.1: .*less than 1"),
        (["data.clips_per_video=0"], "data.clips_per_video: .*greater than or equal to 1"),
        (["augmentation.video.blur_sigma=[1,9]"], "blur_sigma: expected two numbers from 0.05 to 2"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_recipe("contract-v1", changes)


def test_pretraining_comes_first(rich: ClipStore, tmp_path: Path) -> None:
    values = tiny_values(rich.path)
    values["model"]["video"]["late_blocks"] = 1
    for stage in values["stages"]:
        stage["epochs"] = 1
    names = ["pretrain-video", "pretrain-audio", "video", "audio", "joint"]
    values |= {"pretraining": {"video_epochs": 1, "audio_epochs": 1}, "early_stopping": {"accept_chance": names}}
    recipe = parse_settings(Recipe, values, "tiny")
    assert [stage.name for stage in recipe.schedule] == names
    summary = train(recipe, tmp_path / "run")
    assert [stage.name for stage in summary.stages] == names
    first = load_file(tmp_path / "run" / "stages" / "1-pretrain-video" / "model.safetensors")
    torch.manual_seed(0)
    changed = {name.split(".")[0] for name, value in load_file(summary.run / "model" / "model.safetensors").items()
               if not torch.equal(value, first[name])}  # fmt: skip
    assert "audio" in changed


def test_a_run_begins_where_another_ended(rich: ClipStore, tmp_path: Path) -> None:
    values = tiny_values(rich.path)
    for stage in values["stages"]:
        stage["epochs"] = 1
    earlier = train(parse_settings(Recipe, values, "tiny"), tmp_path / "first")
    values["stages"] = [{**values["stages"][2], "lr": 1e-12, "final_lr": 0.0, "train": ["head", "frame_head"]}]
    values["losses"] = {"frame": 0.1}
    later = train(parse_settings(Recipe, {**values, "start_from": str(earlier.run)}, "tiny"), tmp_path / "second")
    old, new = (load_file(run / "model" / "model.safetensors") for run in (earlier.run, later.run))
    assert set(new) - set(old) == {"frame_head.weight", "frame_head.bias"}
    assert all(torch.allclose(old[name], new[name], atol=1e-9) for name in old)
    with pytest.raises(ArtefactError, match="no trained model in"):
        train(parse_settings(Recipe, {**values, "start_from": str(tmp_path)}, "tiny"), tmp_path / "third")


def test_several_stores_are_learned_from(rich: ClipStore, tmp_path: Path) -> None:
    other = rich_store(tmp_path / "other", range(10, 14), "second", clips=1)
    data = {"store": str(rich.path), "more_stores": [str(other.path)]}
    recipe = tiny_recipe(rich.path, data=data)
    found = load_data(recipe.data, recipe.inputs)
    assert set(found.clips["dataset"]) == {"tiny", "second"}
    assert len(found.clips) == len(rich) + len(other)
    values = tiny_values(rich.path)
    stages = [{**values["stages"][2], "epochs": 1}]
    assert train(tiny_recipe(rich.path, data=data, stages=stages), tmp_path / "run").stages


def test_people_do_not_cross_from_one_store_to_another(rich: ClipStore, tmp_path: Path) -> None:
    again = rich_store(tmp_path / "again", range(3), "again")
    moved = Manifest.from_videos([replace(video, dataset="tiny", split="val") for video in again.manifest().videos()])
    joined = Manifest.concat([rich.manifest(), moved])
    joined.write(tmp_path / "manifest.parquet")
    recipe = tiny_recipe(
        rich.path,
        data={
            "store": str(rich.path),
            "more_stores": [str(again.path)],
            "manifest": str(tmp_path / "manifest.parquet"),
        },
    )
    with pytest.raises(LeakError, match="train and val share 2 × the same identity"):
        train(recipe, tmp_path / "run")


def test_late_blocks_open_when_validation_stops_rising(rich: ClipStore, tmp_path: Path) -> None:
    """No improvement counts after the first epoch: two epochs pass, the blocks open, two more pass, and the stage ends."""
    values = tiny_values(rich.path)
    values["model"]["video"]["late_blocks"] = 1
    values["early_stopping"] = {"patience": 2, "min_delta": 1.0, "min_loss_drop": 0.99}
    joint = {**values["stages"][2], "epochs": 10}
    lengths = []
    for name, openings in (("with", [{"plateau": 2, "train": ["video_late"], "lr": 0.01}]), ("without", [])):
        recipe = parse_settings(Recipe, {**values, "stages": [{**joint, "openings": openings}]}, "tiny")
        summary = train(recipe, tmp_path / name)
        lengths.append(summary.stages[0].epochs)
    assert lengths == [5, 3]
