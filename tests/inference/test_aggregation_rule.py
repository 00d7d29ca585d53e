"""One rule from clips to a video: validation, calibration, prediction and evaluation of a detector agree for every rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.inference.making import SIZE, make_store, tiny_detector

from veridical.clips import ClipStore, label_clips
from veridical.evaluation import EvaluationSettings, evaluate
from veridical.inference import score_store
from veridical.metrics import Aggregation, fit_temperature, threshold_at_eer
from veridical.preparation import Extraction
from veridical.training import Recipe, read_recipe
from veridical.training.calibration import calibrate
from veridical.training.features import DirectFeatures
from veridical.training.validation import validate

BY_HAND = {
    "mean": np.mean,
    "max": np.max,
    "median": np.median,
    "top-2": lambda logits: np.sort(logits)[-2:].mean(),
}
RULES = (Aggregation(), Aggregation(rule="max"), Aggregation(rule="median"), Aggregation(rule="top-k", top_k=2))
NUM_CLIPS = {"a": 5, "bb": 4, "ccc": 3, "dddd": 5, "eeeee": 2, "ffffff": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    sounds = dict.fromkeys(NUM_CLIPS, "speech")
    return make_store(tmp_path_factory.mktemp("s"), sounds, splits=["val"] * len(sounds), clips=NUM_CLIPS)


def recipe(rule: Aggregation) -> Recipe:
    sizes = [f"inputs.crop_size={SIZE}", "inputs.frame_size=56"]
    return read_recipe("small", [*sizes, f"aggregation.rule={rule.rule}", f"aggregation.top_k={rule.top_k}"])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_four_uses_agree(
    store: ClipStore, tmp_path: Path, rule: Aggregation, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = store.manifest()
    clips = label_clips(store.index(), manifest, store.settings.window_s, ("generator",))
    clips = clips.assign(target=clips["label"].astype(int))
    detector = tiny_detector(aggregation=rule, calibration=None)
    table = score_store(detector, store, manifest, conditions=("joint",))
    by_hand = table.frame().groupby("video_id")["logit"].agg(BY_HAND[str(rule)])
    means = table.frame().groupby("video_id")["logit"].mean()
    assert rule.rule == "mean" or (np.abs(by_hand - means) > 1e-4).sum() >= 4, "the rules differ on these videos"

    (model,) = detector.members
    validation = validate(model, DirectFeatures(model, store, recipe(rule)), clips, "joint", recipe(rule))
    selected = validation.videos.set_index("video_id")
    np.testing.assert_allclose(selected["logit"][by_hand.index], by_hand, rtol=1e-3, atol=1e-5)

    calibration, points, _ = calibrate(validation.videos.assign(group=validation.videos["video_id"]), rule)
    labels = selected["target"][by_hand.index].to_numpy()
    assert calibration.temperature == pytest.approx(fit_temperature(labels, by_hand.to_numpy()).temperature, rel=1e-2)
    assert points["eer"] == pytest.approx(threshold_at_eer(labels, by_hand.to_numpy()), rel=1e-3, abs=1e-5)

    calibrated = tiny_detector(aggregation=rule, calibration=calibration)
    for video_id, logit in by_hand.items():
        extraction = Extraction(str(video_id), store.take(store.rows_of(str(video_id))), 0, True, 5.0)
        monkeypatch.setattr("veridical.inference.detector.extract_clips", lambda *_, made=extraction: made)
        prediction = calibrated.predict(tmp_path / f"{video_id}.mp4")
        assert prediction.logit == pytest.approx(logit, rel=1e-3, abs=1e-5)
        assert prediction.p_fake == pytest.approx(float(calibration.p_fake(logit)), rel=1e-3)

    evaluation = evaluate(table, manifest=manifest, settings=EvaluationSettings(replicates=50))
    evaluated = evaluation.videos.set_index("video_id")["logit"][by_hand.index]
    np.testing.assert_allclose(evaluated, by_hand, rtol=1e-6)
    assert evaluation.value("auc", "d", split="val") == pytest.approx(validation.auc)
