"""Two evaluations side by side."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from tests.evaluation.worlds import World

from veridical.artefacts import ScoreTable
from veridical.errors import UsageError
from veridical.evaluation import Evaluation, EvaluationSettings, compare, evaluate

FAST = EvaluationSettings(replicates=100)


def noisy(noise: float) -> Evaluation:
    scores, manifest = World(splits={"val": 30, "test": 120}).build(0)
    frame = scores.frame()
    frame["logit"] = frame["logit"] + np.random.default_rng(1).normal(0, noise, len(frame)) if noise else frame["logit"]
    settings = FAST.model_copy(update={"seed": 1}) if noise else FAST
    return evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=settings)


def test_a_worse_detector_is_seen_to_be_worse() -> None:
    good, bad = noisy(0), noisy(8.0)
    found = compare(good, bad)
    item = next(item for item in found.sets if item.split == "test")
    assert item.shared == 360
    assert item.difference == pytest.approx(bad.value("auc", "A") - good.value("auc", "A"))
    assert item.high < 0
    assert item.p_holm < 0.05
    assert item.p_delong < 0.05
    assert ("settings.seed", "0", "1") in found.differences
    auc = found.figures.query("metric == 'auc' and slice == '' and level == 'video' and condition == 'joint'")
    assert len(auc) >= 2


def test_the_same_detector_does_not_differ_from_itself() -> None:
    good = noisy(0)
    found = compare(good, good)
    assert found.sets[0].p_holm == 1.0
    assert found.sets[0].low < 0 < found.sets[0].high
    assert found.differences == ()


def test_only_shared_videos_are_compared() -> None:
    good = noisy(0)
    scores, manifest = World(splits={"val": 30, "test": 120}).build(0)
    half = scores.frame()
    half = half[half["video_id"].str.contains("real|Swap")]
    part = evaluate(ScoreTable.from_frame(half), manifest=manifest, settings=FAST)
    item = next(item for item in compare(good, part).sets if item.split == "test")
    assert (item.shared, item.only_first, item.only_second) == (240, 120, 0)
    videos = good.videos[good.videos["video_id"].isin(part.videos["video_id"]) & (good.videos["split"] == "test")]
    assert item.auc_first == pytest.approx(sklearn.metrics.roc_auc_score(videos["label"], videos["logit"]))
    scores, manifest = World(splits={"val": 30}).build(0)
    untested = evaluate(scores, manifest=manifest, settings=FAST)
    with pytest.raises(UsageError, match="neither evaluation has scores of a test split"):
        compare(untested, untested)
    scores, manifest = World(dataset="Z", splits={"val": 5, "test": 5}).build(0)
    with pytest.raises(UsageError, match="share no scored video"):
        compare(good, evaluate(scores, manifest=manifest, settings=FAST))
