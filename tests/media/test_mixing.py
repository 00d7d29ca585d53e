"""Channels to mono: what a listener hears is not lost, and ordinary stereo stays its average."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from veridical.media import audio_samples, loudness_dbfs

RATE = 16_000
RANDOM = np.random.default_rng(0)
TIMES = np.arange(3 * RATE) / RATE
VOICE = (0.3 * sum(np.sin(2 * np.pi * 130 * k * TIMES) / k for k in range(1, 25)) * (np.sin(6 * TIMES) ** 2)) * 0.5
NOISE = np.convolve(RANDOM.normal(0, 0.05, len(TIMES)), np.ones(8) / 8, "same")
LAYOUTS = {"stereo": 2, "2.1": 3, "quad": 4, "5.1": 6, "7.1": 8}


def heard(path: Path, channels: list[np.ndarray], layout: str) -> np.ndarray:
    """Write channels to a file without video and return what is read of it."""
    data = np.stack(channels).astype(np.float32)
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_f32le", rate=RATE, layout=layout)
        for start in range(0, data.shape[1], 1024):
            piece = np.ascontiguousarray(data[:, start : start + 1024].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    samples = audio_samples(path, beside=True)
    assert samples is not None
    return samples


def share(samples: np.ndarray, part: np.ndarray) -> float:
    """Return how much of a part is in the samples: the largest coherent gain over shifts and turns of phase."""
    length = min(len(samples), len(part))
    spectrum = np.fft.rfft(samples[:length]) * np.conj(np.fft.rfft(part[:length]))
    return float(np.abs(spectrum).sum() / (np.abs(np.fft.rfft(part[:length])) ** 2).sum())


@pytest.mark.parametrize("added", [np.zeros_like(VOICE), 0.3 * NOISE, np.sin(2 * np.pi * 50 * TIMES) * 0.5])
def test_a_voice_in_opposite_phase_is_heard(added: np.ndarray, tmp_path: Path) -> None:
    samples = heard(tmp_path / "a.wav", [VOICE + added, added - VOICE], "stereo")
    assert loudness_dbfs(samples) > loudness_dbfs(VOICE.astype(np.float32)) - 4
    assert share(samples, VOICE) > 0.6


def test_a_voice_that_turns_its_phase_for_a_second_is_heard(tmp_path: Path) -> None:
    other = np.where((TIMES > 1) & (TIMES < 2.2), -VOICE, VOICE)
    samples = heard(tmp_path / "a.wav", [VOICE, other], "stereo")
    for second in (0.2, 1.2, 2.3):
        part = slice(round(second * RATE), round((second + 0.6) * RATE))
        assert loudness_dbfs(samples[part]) > loudness_dbfs(VOICE[part].astype(np.float32)) - 4


@pytest.mark.parametrize(("layout", "count"), LAYOUTS.items())
def test_a_voice_in_one_channel_of_any_layout_is_heard(layout: str, count: int, tmp_path: Path) -> None:
    for place in range(count):
        channels = [VOICE if number == place else np.zeros_like(VOICE) for number in range(count)]
        samples = heard(tmp_path / f"{place}.wav", channels, layout)
        assert loudness_dbfs(samples) > loudness_dbfs(VOICE.astype(np.float32)) - 9.5


@pytest.mark.parametrize(("layout", "count"), LAYOUTS.items())
def test_no_two_channels_of_any_layout_cancel(layout: str, count: int, tmp_path: Path) -> None:
    for first, second in {(0, count - 1), *pairwise(range(count))}:
        channels = [np.zeros_like(VOICE) for _ in range(count)]
        channels[first], channels[second] = VOICE, -VOICE
        samples = heard(tmp_path / f"{first}-{second}.wav", channels, layout)
        assert loudness_dbfs(samples) > loudness_dbfs(VOICE.astype(np.float32)) - 18


@pytest.mark.parametrize(
    "other", [VOICE, np.zeros_like(VOICE), RANDOM.permutation(VOICE), np.roll(VOICE, 8), 0.5 * VOICE + NOISE]
)
def test_ordinary_stereo_is_its_average(other: np.ndarray, tmp_path: Path) -> None:
    samples = heard(tmp_path / "a.wav", [VOICE, other], "stereo")
    np.testing.assert_allclose(samples, (VOICE + other) / 2, atol=1e-4)


def test_the_turned_mix_is_in_step(tmp_path: Path) -> None:
    tone = np.where((TIMES > 1) & (TIMES < 1.5), 0.5 * np.sin(2 * np.pi * 500 * TIMES), 0)
    samples = heard(tmp_path / "a.wav", [tone, -tone], "stereo")
    loud = np.flatnonzero(np.abs(samples) > 0.15) / RATE
    assert (loud[0], loud[-1]) == (pytest.approx(1, abs=0.003), pytest.approx(1.5, abs=0.005))
