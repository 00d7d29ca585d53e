"""Training end to end on fabricated clips: it learns, freezes, resumes, stops, and refuses."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import fabricate_store, tiny_recipe, tiny_values

from veridical import corpora
from veridical.artefacts import Manifest
from veridical.clips import ClipStore, first_clip_hashes
from veridical.errors import ArtefactError, DivergedError, LeakError, SeenError, UsageError
from veridical.evaluation import EvaluationSettings
from veridical.inference import load_detector, read_seen, score_store
from veridical.metrics import fit_temperature, roc_auc, threshold_at_eer, threshold_at_tpr
from veridical.models import DetectorModel, set_trainable
from veridical.pipeline import judge
from veridical.randomness import seed_from
from veridical.training import Run, TrainSummary, train
from veridical.training.data import load_data
from veridical.training.features import DirectFeatures, ReusedFeatures
from veridical.training.parts import cosine_lr, learning_weights, open_parts

ROWS = np.array([3, 40, 7, 7])


def test_the_planted_visual_cue_is_found_in_unseen_people(store: ClipStore, summary: TrainSummary) -> None:
    scores = score_store(load_detector(summary.run, "cpu"), store, store.manifest(), splits=["test"]).frame()
    videos = scores[scores["condition"] == "video_head"].groupby("video_id").mean(numeric_only=True)
    assert len(videos) == 12
    assert roc_auc(videos["visual_label"], videos["logit"]) > 0.95


def test_without_a_cue_nothing_is_found(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", cue=False, people=40, clips=2)
    summary = train(tiny_recipe(store.path), tmp_path / "run")
    scores = score_store(load_detector(summary.run, "cpu"), store, store.manifest(), splits=["test"]).frame()
    joint = scores[scores["condition"] == "joint"].groupby("video_id").mean(numeric_only=True)
    assert 0.2 < roc_auc(joint["label"], joint["logit"]) < 0.8


def test_a_run_has_all_its_parts(summary: TrainSummary) -> None:
    run = Run(summary.run)
    assert run.recipe().name == "tiny"
    assert [stage.name for stage in summary.stages] == ["video", "audio", "joint"]
    for number, stage in enumerate(summary.stages):
        folder = run.stage_folder(number, stage.name)
        assert {path.name for path in folder.iterdir()} == {"model.safetensors", "stage.json"}
    history = run.history()
    assert len(history) == sum(stage.epochs for stage in summary.stages)
    for number, stage in enumerate(summary.stages):
        best = max(row["val_auc"] for row in history if row["stage"] == stage.name)
        assert best == stage.best_auc, number
    assert list(run.tensorboard_folder.glob("events.*"))


def test_the_model_is_calibrated_on_the_logits_that_validation_sees(store: ClipStore, summary: TrainSummary) -> None:
    detector = load_detector(summary.run)
    scores = score_store(detector, store, store.manifest(), splits=["val"], conditions=("joint",)).frame()
    videos = scores.groupby("video_id").agg(logit=("logit", "mean"), label=("label", "max"))
    labels, logits = videos["label"].to_numpy(np.int64), videos["logit"].to_numpy(np.float64)
    calibration = detector.facts.calibration
    assert calibration.temperature == pytest.approx(
        fit_temperature(labels, logits, num_independent=4).temperature, rel=1e-3
    )
    assert (detector.facts.worth.num_videos, detector.facts.worth.num_groups) == (12, 4)
    assert (calibration.fitted_on, calibration.num_videos) == ("val, mean logit per video", 12)
    points = {"eer": threshold_at_eer(labels, logits), "tpr95": threshold_at_tpr(labels, logits)}
    assert detector.facts.operating_points == pytest.approx(points, rel=1e-3)


def test_a_run_is_not_judged_on_what_it_learned_unless_accepted(
    store: ClipStore, summary: TrainSummary, tmp_path: Path
) -> None:
    resplit = corpora.split(store.manifest(), "all-test").manifest
    detector, settings = load_detector(summary.run, "cpu"), EvaluationSettings(replicates=50)
    learned = r"of the 48 videos to judge it learned from 24 and was selected on 12 \(for example p00-hum"
    with pytest.raises(SeenError, match=learned):
        score_store(detector, store, resplit)
    with pytest.raises(SeenError, match=learned):
        judge(detector, [store], resplit, output=tmp_path / "refused", settings=settings)
    judged = judge(detector, [store], resplit, output=tmp_path / "e", settings=settings, accept_seen=True)
    risk = judged.risks.set_index("risk").loc["seen in training (tiny)"]
    assert (risk["verdict"], risk["figure"]) == ("FLAG", 0.75)
    assert "learned from 24, was selected on 12, and knows people of 0 more" in risk["reason"]
    kept = judge(tmp_path / "e" / "scores.parquet", output=tmp_path / "kept", settings=settings)
    assert kept.risks.set_index("risk").loc["seen in training (tiny)", "verdict"] == "FLAG", "the scores remember"


def test_new_videos_of_a_run_are_judged_without_a_remark(
    store: ClipStore, summary: TrainSummary, tmp_path: Path
) -> None:
    settings = EvaluationSettings(replicates=50)
    risks = judge(summary.run, [store], output=tmp_path / "e", settings=settings).risks.set_index("risk")
    assert risks.loc["seen in training (tiny)", "verdict"] == "PASS"
    (summary.run / "model" / "seen.json").rename(tmp_path / "seen.json")
    try:
        older = judge(summary.run, [store], output=tmp_path / "older", settings=settings).risks.set_index("risk")
    finally:
        (tmp_path / "seen.json").rename(summary.run / "model" / "seen.json")
    assert older.loc["seen in training (tiny)", "verdict"] == "NOT EVALUABLE"


def test_a_renamed_file_and_a_model_that_goes_on_are_recognised(
    store: ClipStore, summary: TrainSummary, tmp_path: Path
) -> None:
    before = read_seen(summary.run)
    assert before is not None
    clips = first_clip_hashes(store, ["p00-real"])
    renamed = store.manifest().select(split="train")
    renamed = Manifest.from_videos([replace(next(renamed.videos()), video_id="other", dataset="other", identities=())])
    assert before.compare(renamed, {"other": next(iter(clips.values()))}) == {"other": "training"}
    other = fabricate_store(tmp_path / "store", people=12)
    stages = [{**stage, "epochs": 1} for stage in tiny_values(other.path)["stages"]]
    later = train(tiny_recipe(other.path, stages=stages, start_from=str(summary.run)), tmp_path / "run")
    after = read_seen(later.run)
    assert after is not None
    assert set(before.learned.videos) <= set(after.learned.videos)


def test_events_hold_every_number_of_the_history(summary: TrainSummary) -> None:
    accumulator = EventAccumulator(str(Run(summary.run).tensorboard_folder)).Reload()
    row = summary.history[0]
    (first, *_) = accumulator.Scalars("video/val_auc")
    assert first.value == pytest.approx(row["val_auc"])
    (stripes, *_) = accumulator.Scalars("video/val_auc_per_generator/stripes")
    assert stripes.value == pytest.approx(row["val_auc_per_generator"]["stripes"])
    assert len(accumulator.Scalars("joint/train_loss")) == summary.stages[-1].epochs


def test_frozen_parts_do_not_move(store: ClipStore, summary: TrainSummary) -> None:
    first, last = (load_file(summary.run / "stages" / name / "model.safetensors") for name in ("1-video", "3-joint"))
    frozen = [name for name in first if name.startswith(("video.backbone", "audio.blocks.0", "audio.conv"))]
    assert any("running_mean" in name for name in frozen)
    recipe = tiny_recipe(store.path)
    torch.manual_seed(seed_from(recipe.seed, "weights"))
    start = DetectorModel(recipe.model).state_dict()
    for name in frozen:
        assert torch.equal(start[name], last[name]), f"{name} moved although frozen"
    moved = [name for name in first if name.startswith("audio.blocks.1") and not torch.equal(first[name], last[name])]
    assert moved, "the late audio block was to be trained"


def test_the_first_stage_leaves_the_audio_alone(summary: TrainSummary) -> None:
    first, second = (load_file(summary.run / "stages" / name / "model.safetensors") for name in ("1-video", "2-audio"))
    changed = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"audio", "audio_projection", "audio_head"}


def test_the_best_epoch_comes_back_with_parts_that_opened_after_it(store: ClipStore) -> None:
    opening = {"train": ["video_backbone"], "lr": 0.001, "epoch": 1}
    stages = tiny_recipe(store.path).schedule
    stage = stages[0].model_validate({**stages[0].model_dump(), "openings": [opening]})
    detector = DetectorModel(tiny_recipe(store.path).model)
    open_parts(detector, stage, {})
    learnt = learning_weights(detector, stage)
    assert {name.split(".")[0] for name in learnt} == {"video", "temporal", "video_head"}
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with torch.no_grad():
        for name, weight in detector.named_parameters():
            if name in learnt:
                weight.add_(1.0)
    first = "video.backbone.conv_stem.weight"
    assert not torch.equal(detector.state_dict()[first], before[first])
    assert torch.equal(learnt[first], before[first]), "a copy"
    detector.load_state_dict(learnt, strict=False)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_reuse_equals_the_direct_path(store: ClipStore, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.path)
    detector = DetectorModel(recipe.model).eval()
    with torch.no_grad():
        opened = DirectFeatures(detector, store, recipe).batch(ROWS, 1)
    set_trainable(detector, False)
    direct = DirectFeatures(detector, store, recipe)
    torch.testing.assert_close(opened.video, direct.batch(ROWS, 1).video)
    reused = ReusedFeatures(direct, tmp_path)
    for view in (None, 0, 1):
        for only in (None, "video", "audio"):
            kept, fresh = reused.batch(ROWS, view, only), direct.batch(ROWS, view, only)
            for name, part in kept._asdict().items():
                wanted = getattr(fresh, name)
                assert part is wanted is None or torch.equal(part, wanted), (name, view, only)
    again = ReusedFeatures(direct, tmp_path)
    assert torch.equal(again.batch(ROWS, 1).video, reused.batch(ROWS, 1).video), "kept on disk"


def test_features_do_not_depend_on_batch_or_threads(store: ClipStore) -> None:
    recipe = tiny_recipe(store.path)
    detector = DetectorModel(recipe.model).eval()
    set_trainable(detector, False)
    threads = tiny_recipe(store.path, runtime={"accelerator": "cpu", "threads": 3})
    one = DirectFeatures(detector, store, recipe).batch(np.arange(20), 0)
    other = DirectFeatures(detector, store, threads).batch(np.arange(20)[::-1].copy(), 0)
    assert torch.equal(one.video, other.video.flip(0))
    assert torch.equal(one.audio, other.audio.flip(0))


def test_two_runs_fill_the_same_view(store: ClipStore, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.path)
    direct = DirectFeatures(DetectorModel(recipe.model).eval(), store, recipe)
    first, second = (
        ReusedFeatures(direct, tmp_path),
        ReusedFeatures(direct, tmp_path),
    )  # both look while there is nothing
    before = first.batch(ROWS[:2], 0).video
    second.batch(ROWS[1:], 0)
    assert before.abs().sum() > 0
    assert torch.equal(first.batch(ROWS[:2], 0).video, before)
    assert len(first.table.missing(ROWS, 0)) == 1, "not seen yet"
    first.table.refresh()
    assert not len(first.table.missing(ROWS, 0)), "what the other computed is used"


def test_features_of_an_opened_backbone_are_not_those_of_before(store: ClipStore, tmp_path: Path) -> None:
    values = tiny_values(store.path)
    stages = [
        {"name": "joint", "objective": "joint", "train": ["temporal", "fusion", "head"], "epochs": 1, "lr": 0.003},
        {"name": "open", "objective": "joint", "train": ["video_backbone", "head"], "epochs": 1, "lr": 0.03},
        {"name": "closed", "objective": "joint", "train": ["temporal", "fusion", "head"], "epochs": 1, "lr": 0.003},
    ]
    found = []
    for reuse in (True, False):
        recipe = tiny_recipe(store.path, stages=stages, runtime={**values["runtime"], "reuse_features": reuse})
        found.append(train(recipe, tmp_path / f"run-{reuse}").history)
    for mine, theirs in zip(*found, strict=True):
        assert mine["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-3)
        assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)


def test_training_with_and_without_reuse_reach_the_same(
    store: ClipStore, summary: TrainSummary, tmp_path: Path
) -> None:
    values = tiny_values(store.path)
    recipe = tiny_recipe(store.path, runtime={**values["runtime"], "reuse_features": False})
    other = train(recipe, tmp_path / "run")
    for mine, theirs in zip(summary.history, other.history, strict=True):
        assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert mine["val_auc"] == pytest.approx(theirs["val_auc"], abs=0.02)


def test_views_differ_and_are_fixed(store: ClipStore) -> None:
    recipe = tiny_recipe(store.path)
    direct = DirectFeatures(DetectorModel(recipe.model).eval(), store, recipe)
    first, second = (direct._inputs(store.take(ROWS[:2]), view).frames for view in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, direct._inputs(store.take(ROWS[:2]), 0).frames)


def test_audio_stage_refuses_silent_data_before_anything_is_trained(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", sound=False)
    with pytest.raises(UsageError, match="audio objective needs real and fake videos with usable audio"):
        train(tiny_recipe(store.path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_silent_data_train_without_the_audio_stage(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", sound=False)
    stages = [stage for stage in tiny_values(store.path)["stages"] if stage["name"] != "audio"]
    summary = train(tiny_recipe(store.path, stages=stages), tmp_path / "run")
    scores = score_store(load_detector(summary.run, "cpu"), store, store.manifest(), splits=["test"]).frame()
    by_condition = scores.set_index("condition")["logit"]
    assert by_condition.loc[["audio_head", "video_masked"]].isna().all(), "no score without audio"
    assert by_condition.loc[["joint", "video_head", "audio_masked"]].notna().all()
    np.testing.assert_allclose(by_condition.loc["joint"], by_condition.loc["audio_masked"], rtol=1e-5)


def test_nan_stops_the_run_and_names_the_batch(store: ClipStore, tmp_path: Path) -> None:
    values = tiny_values(store.path)
    values["stages"][0]["lr"] = 1e30
    values["optimiser"] = {"clip_norm": 0.0}
    with pytest.raises(DivergedError, match=r"stage video, epoch 1, batch \d+: the loss is not finite; .*clips: p\d\d"):
        train(tiny_recipe(store.path, **{name: values[name] for name in ("stages", "optimiser")}), tmp_path / "run")


def test_a_leak_is_refused_unless_it_is_accepted(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", silent_reals=True, people=40, clips=2)
    stages = [stage for stage in tiny_values(store.path)["stages"] if stage["name"] != "audio"]
    with pytest.raises(LeakError, match=r"--accept-leak"):
        train(tiny_recipe(store.path, stages=stages), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train_split = store.manifest().select(split="train")
    index = store.index()
    index = index[index["video_id"].isin(train_split.table["video_id"].to_pylist())]
    found = corpora.audit(train_split, index).leaks
    assert "has_audio" in found
    rest = corpora.audit(train_split, index, accept=found).leaks
    accepted = {"store": str(store.path), "accept_leaks": [*found, *rest]}
    assert train(tiny_recipe(store.path, stages=stages, data=accepted), tmp_path / "run").stages


def test_people_who_train_and_are_judged_are_refused_unless_accepted(store: ClipStore, tmp_path: Path) -> None:
    manifest = store.manifest()
    people = manifest.table["identities"].to_pylist()
    for split, refused in (("test", True), ("val", True), ("train", False)):
        whom = manifest.table["split"].to_pylist().index(split)
        manifest.with_column("identities", [people[whom], *people[1:]]).write(tmp_path / "m.parquet")
        data = {"store": str(store.path), "manifest": str(tmp_path / "m.parquet")}
        short = {"stages": [{**tiny_values(store.path)["stages"][2], "epochs": 1}], "batches": {"videos": 2}}
        recipe = tiny_recipe(store.path, data=data, **short)
        if refused:
            with pytest.raises(
                LeakError, match=rf"train and {split} share 1 × the same identity .*--accept-leak identity"
            ):
                train(recipe, tmp_path / split)
            assert not (tmp_path / split).exists()
        accepted = tiny_recipe(store.path, data={**data, "accept_leaks": ["identity"]}, **short)
        assert train(accepted if refused else recipe, tmp_path / split).stages


def test_a_refused_run_leaves_no_folder_and_another_folder_is_left_alone(store: ClipStore, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.path, start_from=str(tmp_path / "nowhere"))
    with pytest.raises(ArtefactError, match="start_from: no trained model"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists(), "the same command would find a run there"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "talk.mp4").write_bytes(b"video")
    for resume in (False, True):
        with pytest.raises(UsageError, match="holds files and is not a run"):
            train(tiny_recipe(store.path), tmp_path / "mine", resume=resume)
    with pytest.raises(UsageError, match="is a file, and a run is a folder"):
        train(tiny_recipe(store.path), tmp_path / "mine" / "talk.mp4")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["talk.mp4"]


def test_one_process_trains_in_a_run(store: ClipStore, summary: TrainSummary, tmp_path: Path) -> None:
    copy = shutil.copytree(summary.run, tmp_path / "run")
    shutil.rmtree(copy / "model")
    with Run(copy).locked(), pytest.raises(UsageError, match="another process is writing to this run"):
        train(tiny_recipe(store.path), copy, resume=True)
    new = tmp_path / "new"
    new.mkdir()
    with Run(new).locked(), pytest.raises(UsageError, match="another process is writing to this run"):
        train(tiny_recipe(store.path), new)
    assert not Run(new).recipe_path.exists()
    assert train(tiny_recipe(store.path), copy, resume=True).stages


def test_data_that_cannot_be_compared_are_refused(store: ClipStore, summary: TrainSummary, tmp_path: Path) -> None:
    copy = shutil.copytree(summary.run, tmp_path / "run")
    (copy / "data.json").unlink()
    with pytest.raises(UsageError, match="the data cannot be compared with those of the run"):
        train(tiny_recipe(store.path), copy, resume=True)


def test_a_model_that_does_not_hear_learns_what_is_seen(store: ClipStore) -> None:
    recipe = tiny_recipe(store.path)
    data = load_data(recipe.data, recipe.inputs)
    for uses_audio, target in ((True, 1), (False, 0)):
        clips = data.for_objective("joint", "train", uses_audio)
        assert set(clips.loc[clips["generator"] == "hum", "target"]) == {target}
        assert set(clips.loc[clips["generator"] == "stripes", "target"]) == {1}
    known = data.clips["visual_label"].where(data.clips["label"] == 0)
    unsaid = replace(data, clips=data.clips.assign(visual_label=known))
    found, whole = unsaid.for_objective("joint", "train", uses_audio=False), data.for_objective("joint", "train")
    assert found["target"].tolist() == whole["target"].tolist(), "what is forged is not known: the video's own label"


def test_another_preparation_is_refused(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"crop_scale: found 1\.3, wanted 1\.6\).*or change inputs\.crop_scale"):
        train(tiny_recipe(store.path, inputs={"frame_size": 56, "crop_size": 64, "crop_scale": 1.6}), tmp_path / "run")


def test_clips_per_video_spread_evenly(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", clips=9, people=4)
    recipe = tiny_recipe(store.path, data={"store": str(store.path), "clips_per_video": 3})
    clips = load_data(recipe.data, recipe.inputs).clips
    chosen = clips[clips["split"] == "train"].groupby("video_id")["start_s"].apply(list)
    assert (chosen.map(len) == 3).all()
    assert chosen.map(lambda starts: max(starts) - min(starts)).min() >= 6
    assert (clips[clips["split"] == "val"].groupby("video_id").size() == 9).all()


def test_trainable_parts_are_those_of_the_stage(store: ClipStore) -> None:
    recipe = tiny_recipe(store.path)
    detector = DetectorModel(recipe.model)
    for stage in recipe.stages:
        open_parts(detector, stage, {})
        names = {name.split(".")[0] for name, parameter in detector.named_parameters() if parameter.requires_grad}
        assert names == set(stage.train)


def test_cosine_starts_and_ends_where_it_should(store: ClipStore) -> None:
    stage = tiny_recipe(store.path).stages[2]
    rates = [cosine_lr(stage.lr, stage.final_lr, step, 20) for step in range(20)]
    assert rates[0] == pytest.approx(stage.lr)
    assert rates[-1] == pytest.approx(stage.final_lr)
    assert all(a > b for a, b in itertools.pairwise(rates))
