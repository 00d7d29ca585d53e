"""Finding the forged stretches of partial fakes from the scores of clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.test_evidence import partial_world

from veridical.artefacts import FakeSegment, Manifest, ScoreTable
from veridical.evaluation import Evaluation, EvaluationSettings, evaluate
from veridical.evaluation.localisation import runs

FAST = EvaluationSettings(replicates=100)


def test_runs_of_neighbours_at_every_level() -> None:
    found = runs(np.array([0.0, 1.0, 2.0, 5.0]), np.array([1.0, 3.0, 2.0, 3.0]), 1.0)
    table = {tuple(bounds): score for bounds, score in zip(found.bounds.tolist(), found.scores, strict=True)}
    assert table == {(0.0, 3.0): 2.0, (5.0, 6.0): 3.0, (1.0, 3.0): 2.5, (1.0, 2.0): 3.0}


def evaluated(frame: pd.DataFrame, manifest: Manifest) -> Evaluation:
    return evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=FAST)


def test_a_detector_that_hears_the_second_finds_it() -> None:
    frame, manifest = partial_world()
    result = evaluated(frame, manifest)
    for metric in ("ap_at_iou_0.5", "ap_at_iou_0.95", "ar_at_10", "ar_at_100"):
        assert result.value(metric, "A") == 1.0
    blind = frame.assign(logit=np.random.default_rng(0).normal(size=len(frame)))
    assert evaluated(blind, manifest).value("ap_at_iou_0.5", "A") < 0.5
    row = evaluated(blind, manifest).metrics.query("metric == 'ap_at_iou_0.5' and split == 'test'").iloc[0]
    assert row["low"] < row["value"] < row["high"]


def test_a_forged_word_is_too_short_for_clips_of_a_second() -> None:
    frame, manifest = partial_world()
    word = (FakeSegment(1.4, 1.7, "audio"),)
    short = Manifest.from_videos(replace(v, fake_segments=word if v.label else ()) for v in manifest.videos())
    assert evaluated(frame, short).value("ap_at_iou_0.5", "A") == 0.0


def test_stretches_of_video_and_audio_that_touch_are_one() -> None:
    frame, manifest = partial_world()
    both = (FakeSegment(1.5, 2.0, "audio"), FakeSegment(1.0, 1.6, "visual"))
    joined = Manifest.from_videos(replace(v, fake_segments=both if v.label else ()) for v in manifest.videos())
    assert evaluated(frame, joined).value("ap_at_iou_0.95", "A") == 1.0


def test_without_segments_or_times_it_is_not_evaluable() -> None:
    frame, manifest = partial_world()
    whole = Manifest.from_videos(replace(video, fake_segments=()) for video in manifest.videos())
    reason = "no fake of this split has forged segments"
    row = evaluated(frame, whole).metrics.query("metric == 'ar_at_50' and split == 'test'").iloc[0]
    assert row["reason"].startswith(reason)
    videos = frame.groupby(["video_id", "condition"], as_index=False)["logit"].mean()
    row = evaluated(videos, manifest).metrics.query("metric == 'ar_at_50' and split == 'test'").iloc[0]
    assert "scores of clips with their times" in row["reason"]
    assert row["value"] != pytest.approx(0)
