"""Content properties: what is measured on a clip is what was put into it."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.clips import Clip
from veridical.clips.facts import clip_facts
from veridical.corpora import PROPERTIES


def test_clip_facts() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    boxes = np.tile(np.array([[100, 50, 180, 150]], np.float32), (5, 1))
    score = np.array([0.9, 0.8, 0.0, 0.9, 0.9], np.float32)
    samples = np.zeros(16_000, np.int16)
    samples[4_000:] = 3_277
    landmarks = np.zeros((5, 5, 2), np.float32)
    facts = clip_facts(Clip("v", 2.0, frames, boxes, landmarks, score, samples, np.arange(50) < 20))
    assert facts["speech_onset_s"] == 2.25
    assert facts["speech_share"] == pytest.approx(0.4)
    assert facts["loudness_dbfs"] == pytest.approx(20 * np.log10(0.1 * np.sqrt(0.75)), abs=0.01)
    assert (facts["box_x"], facts["box_y"]) == (140, 100)
    assert facts["box_size_px"] == pytest.approx(np.sqrt(80 * 100))
    assert facts["interpolated"] == pytest.approx(0.2)
    blocky = np.repeat(np.repeat(rng.integers(0, 255, (5, 8, 8, 3), dtype=np.uint8), 8, axis=1), 8, axis=2)
    silent = clip_facts(Clip("v", 0.0, blocky, boxes, landmarks, score, None, None))
    assert np.isnan(silent["speech_onset_s"])
    assert silent["jpeg_grid"] > 3 > abs(facts["jpeg_grid"])
    assert silent["sharpness"] < facts["sharpness"]
    assert set(facts) == set(silent) <= set(PROPERTIES)


def test_jitter_is_movement_off_a_straight_line() -> None:
    frames = np.zeros((7, 100, 100, 3), np.uint8)
    steady = np.arange(7, dtype=np.float32)
    shaking = np.where(np.arange(7) % 2, 3.0, 0.0).astype(np.float32)

    def facts(move: np.ndarray, score: np.ndarray) -> dict[str, float]:
        landmarks = np.full((7, 5, 2), 50, np.float32) + move[:, None, None] * np.array([1, 0], np.float32)
        boxes = np.array([[100, 50, 160, 110]], np.float32) + move[:, None] * np.array([0, 2, 0, 2], np.float32)
        return clip_facts(Clip("v", 0.0, frames, boxes, landmarks, score, None, None))

    seen = np.ones(7, np.float32)
    assert facts(steady, seen)["landmark_jitter"] == facts(steady, seen)["box_jitter"] == 0
    assert facts(shaking, seen)["landmark_jitter"] == pytest.approx(0.03)
    assert facts(shaking, seen)["box_jitter"] == pytest.approx(2 * 3 / 60)
    every_other = np.array([1, 0, 1, 0, 1, 0, 1], np.float32)
    assert np.isnan(facts(shaking, every_other)["landmark_jitter"])
