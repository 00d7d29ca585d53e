"""Scores and manifest brought together: partial fakes, labels that contradict each other, bands of facts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.worlds import World

from veridical.artefacts import FakeSegment, Manifest, ScoreTable
from veridical.evaluation import EvaluationSettings, evaluate
from veridical.evaluation.evidence import gather
from veridical.evaluation.slices import banded

FAST = EvaluationSettings(replicates=50)


def partial_world() -> tuple[pd.DataFrame, Manifest]:
    """Fakes of 4 clips that are forged in the second one; clips 1 and 3 of each are labelled, 2 is between."""
    scores, manifest = World(splits={"val": 20, "test": 40}).build(0)
    frame = scores.frame().query("condition == 'joint'").reset_index(drop=True)
    fake = frame["label"] == 1
    forged = fake & (frame["start_s"] == 1)
    frame.loc[fake & ~forged, "label"] = 0
    frame.loc[fake & (frame["start_s"] == 2), "label"] = pd.NA
    frame["logit"] = np.where(forged, 3.0, -3.0) + frame["logit"] / 100
    segment = (FakeSegment(1.0, 2.0, "visual"),)
    videos = [replace(video, fake_segments=segment if video.label else ()) for video in manifest.videos()]
    return frame, Manifest.from_videos(videos)


def test_clips_of_a_partial_fake_have_labels_of_their_own() -> None:
    frame, manifest = partial_world()
    evidence = gather(ScoreTable.from_frame(frame), manifest)
    label = evidence.clips["joint"].label
    assert np.isnan(label).sum() == (frame["label"].isna()).sum() > 0
    assert (label == 1).sum() == (frame["label"] == 1).sum()
    assert evidence.contradicted == ()
    result = evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=FAST)
    assert result.value("auc", "A", level="clip", aggregation="") == 1.0
    assert result.value("auc", "A", aggregation="max") == 1.0


def test_without_a_manifest_a_fake_with_genuine_clips_is_a_partial_one() -> None:
    frame, _ = partial_world()
    label = gather(ScoreTable.from_frame(frame)).clips["joint"].label
    assert np.isnan(label).sum() == frame["label"].isna().sum()


def test_clips_without_labels_have_their_videos() -> None:
    scores, manifest = World(splits={"test": 10}).build(0)
    bare = scores.frame().drop(columns=["label", "visual_label", "audio_label"])
    label = gather(ScoreTable.from_frame(bare), manifest).clips["joint"].label
    assert np.isfinite(label).all()
    assert label.mean() == pytest.approx(2 / 3)


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_label_that_contradicts_the_manifest_is_counted_and_not_believed(wrong: int) -> None:
    scores, manifest = World(splits={"val": 20, "test": 40}).build(0)
    frame = scores.frame()
    chosen = frame.loc[(frame["label"] == 1 - wrong) & (frame["split"] == "test"), "video_id"].unique()[:3]
    frame.loc[frame["video_id"].isin(chosen), "label"] = wrong
    result = evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=FAST)
    assert any(line.startswith("3 videos have another label in the score table") for line in result.facts.warnings)
    honest = evaluate(scores, manifest=manifest, settings=FAST)
    for level in ("clip", "video"):
        facts = {"level": level, "aggregation": "" if level == "clip" else "mean"}
        assert result.value("auc", "A", **facts) == honest.value("auc", "A", **facts)
    assert not any("another label" in line for line in honest.facts.warnings)


def test_bands_of_face_size_and_speech_are_slices() -> None:
    assert list(banded("face_size_px", np.array([10.0, 64, 200, 300, np.nan]))) == [
        "under 64 px", "64 to 128 px", "128 to 256 px", "from 256 px", "",
    ]  # fmt: skip
    scores, manifest = World(splits={"val": 40, "test": 150}).build(0)
    frame = scores.frame()
    number = frame["video_id"].str[2:7].astype(int)
    frame["face_size_px"] = np.where(number % 2, 50.0, 100.0)
    frame.loc[number % 2 == 1, "logit"] = 0.0
    result = evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=FAST)
    assert result.value("auc", "A", slice="face_size_px=under 64 px") == 0.5
    assert result.value("auc", "A", slice="face_size_px=64 to 128 px") > 0.8
    rows = result.metrics.query("metric == 'auc_spread' and slice == 'speech_share' and dataset == 'A'")
    assert rows["reason"].iloc[0].endswith("videos are of one band")


def test_fakes_without_a_leak_group_are_drawn_with_their_person() -> None:
    scores, manifest = World(splits={"val": 20, "test": 40}).build(0)
    bare = scores.frame().drop(columns=["group"])
    stripped = Manifest.from_videos(replace(v, group=None if v.label else v.group) for v in manifest.videos())
    result = evaluate(ScoreTable.from_frame(bare), manifest=stripped, settings=FAST)
    assert any(line.startswith("120 videos have no leak group: they were resampled") for line in result.facts.warnings)
    whole = evaluate(scores, manifest=manifest, settings=FAST)
    rows = [
        item.metrics.query("metric == 'auc' and split == 'test' and level == 'video'").iloc[0]
        for item in (result, whole)
    ]
    assert (rows[0]["low"], rows[0]["high"]) == (rows[1]["low"], rows[1]["high"])
