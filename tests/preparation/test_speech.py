"""The speech mask: shape, silence, blocks, and known words of real people."""

from __future__ import annotations

import numpy as np
import pytest

from veridical import media
from veridical.preparation import SpeechDetector, speech
from veridical.randomness import stream


@pytest.fixture(scope="module")
def detector():
    return SpeechDetector()


def hum(seconds: float) -> np.ndarray:
    """A buzz with moving formants: enough for the network to change its mind now and then."""
    time_s = np.arange(round(seconds * 16000)) / 16000
    voice = np.sign(np.sin(2 * np.pi * 120 * time_s)) * (np.sin(2 * np.pi * 3 * time_s) > 0)
    return (0.2 * voice + 0.01 * stream(0, "hum").standard_normal(len(time_s))).astype(np.float32)


@pytest.mark.parametrize(("samples", "steps"), [(0, 0), (1, 1), (320, 1), (321, 2), (16000, 50), (16001, 51)])
def test_a_value_per_20_ms(detector, samples, steps):
    assert detector.mask(np.zeros(samples, np.float32)).shape == (steps,)


def test_silence_and_noise_are_not_speech(detector):
    assert not detector.mask(np.zeros(48000, np.float32)).any()
    noise = 0.02 * stream(0, "noise").standard_normal(48000)
    assert detector.mask(noise.astype(np.float32)).mean() < 0.05


def test_blocks_do_not_change_the_result(detector, monkeypatch):
    samples = hum(6.0)
    whole = detector.probabilities(samples)
    monkeypatch.setattr(speech, "BLOCK_CHUNKS", 17)
    np.testing.assert_allclose(detector.probabilities(samples), whole, atol=1e-5)
    assert np.ptp(whole) > 0.01


def test_hysteresis_gaps_and_bursts():
    probability = np.array([0.1, 0.4, 0.9, 0.4, 0.36, 0.2, 0.4, 0.6], np.float32)
    held = speech._with_hysteresis(probability, 0.5)
    assert held.tolist() == [False, False, True, True, True, False, False, True]
    mask = np.array([0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0], bool)
    tidy = np.flatnonzero(speech._tidy(mask))
    assert tidy.tolist() == list(range(1, 14))
    assert not speech._tidy(np.array([0, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool)).any()


def words(path):
    """(start, end) in seconds of each word of a GRID sentence."""
    lines = [line.split() for line in path.with_suffix(".align").read_text().splitlines()]
    return [(int(first) / 25000, int(last) / 25000) for first, last, word in lines if word not in ("sil", "sp")]


def test_known_words_of_real_people(detector, real_clips):
    agreed = heard = spoken = 0
    paths = [path for path in sorted((real_clips / "grid").glob("*/*.mpg"))[::5] if path.with_suffix(".align").exists()]
    for path in paths:
        samples = media.audio_samples(path)
        mask = detector.mask(samples)
        centre_s = (np.arange(len(mask)) + 0.5) * 0.02
        said = np.any([(centre_s >= first) & (centre_s < last) for first, last in words(path)], axis=0)
        agreed, heard, spoken = agreed + (mask & said).sum(), heard + mask.sum(), spoken + said.sum()
    assert len(paths) > 5
    assert agreed / heard > 0.95
    assert agreed / spoken > 0.88
    assert not detector.mask(samples * 1e-4).any()
