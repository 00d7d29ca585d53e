"""The audio forgeries do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.forgery import FORGERIES, Footage
from veridical.forgery.sounds import (
    delayed,
    fit_length,
    join,
    limited,
    loud_steps,
    match_loudness,
    onset_s,
    quiet_cuts,
)
from veridical.forgery.spectra import (
    mean_envelope,
    median_pitch_hz,
    mel_filters,
    pitch_shifted,
    samples_from_magnitudes,
    samples_from_spectrum,
    spectrum,
)

RATE = 16_000


@pytest.fixture(scope="module")
def words(footage_of) -> np.ndarray:
    return footage_of(person=0, num_frames=60).samples


def buzz(pitch_hz: float, seconds: float = 1.0) -> np.ndarray:
    time_s = np.arange(int(RATE * seconds)) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * pitch_hz * k * time_s + k) / k for k in range(1, 10))).astype(np.float32)


def at(footage: Footage, name: str, donor: Footage | None, severity: float, seed: int = 0) -> np.ndarray:
    return FORGERIES[name].function(footage, donor, severity, np.random.default_rng(seed)).samples


def test_the_transform_is_inverted(words):
    assert np.abs(samples_from_spectrum(spectrum(words), len(words)) - words).max() < 1e-6


def test_mel_filters_cover_every_band():
    for bands in (40, 96):
        filters = mel_filters(bands)
        assert filters.shape == (bands, 257)
        assert np.allclose(filters.sum(1), 1)


def test_phase_recovery_comes_near_the_magnitudes(words):
    wanted = np.abs(spectrum(words))
    rebuilt = [
        np.abs(spectrum(samples_from_magnitudes(wanted, len(words), count, np.random.default_rng(0))))
        for count in (1, 40)
    ]
    errors = [np.linalg.norm(values - wanted) / np.linalg.norm(wanted) for values in rebuilt]
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.25


@pytest.mark.parametrize("pitch_hz", [90, 130, 220, 310])
def test_pitch_is_measured(pitch_hz):
    assert median_pitch_hz(buzz(pitch_hz)) == pytest.approx(pitch_hz, rel=0.03)


@pytest.mark.parametrize("ratio", [0.7, 1.3])
def test_pitch_is_shifted_and_the_length_kept(ratio):
    samples = buzz(150)
    shifted = pitch_shifted(samples, ratio)
    assert shifted.shape == samples.shape
    assert median_pitch_hz(shifted[1600:-3200]) == pytest.approx(150 * ratio, rel=0.04)


def test_noise_has_no_pitch():
    assert median_pitch_hz(np.random.default_rng(0).normal(size=RATE).astype(np.float32)) is None


def test_a_converted_voice_moves_to_the_donors_pitch_and_timbre(footage_of):
    own, donor = footage_of(0, num_frames=60), footage_of(3, num_frames=60)
    low, high = median_pitch_hz(own.samples), median_pitch_hz(donor.samples)
    half, full = (median_pitch_hz(at(own, "voice_converted", donor, severity)) for severity in (0.0, 1.0))
    assert low < half < full <= high * 1.1
    distance = [
        (mean_envelope(s) - mean_envelope(donor.samples)).std()
        for s in (own.samples, at(own, "voice_converted", donor, 1.0))
    ]
    assert distance[1] < distance[0]


def test_an_exchanged_voice_is_the_donors_and_starts_when_the_target_does(footage_of):
    own, donor = footage_of(0, num_frames=60), footage_of(3, 2, num_frames=60)
    forged = at(own, "voice_exchanged", donor, 0.0)
    assert median_pitch_hz(forged) == pytest.approx(median_pitch_hz(donor.samples), rel=0.05)
    assert onset_s(forged) == pytest.approx(onset_s(own.samples), abs=0.06)


@pytest.mark.parametrize("name", ["voice_exchanged", "voice_vocoded", "voice_converted", "speech_spliced", "desync"])
def test_loudness_does_not_give_the_forgery_away(name, footage_of):
    own, other = footage_of(0, num_frames=60), footage_of(3 if FORGERIES[name].donor == "other_speaker" else 0, 1)
    quiet = Footage(other.frames, other.fps, other.landmarks, other.samples * np.float32(0.1))
    forged = at(own, name, quiet, 0.5)
    level = [
        20 * np.log10(np.sqrt(np.mean(s[np.repeat(loud_steps(s), 320)[: len(s)]] ** 2))) for s in (own.samples, forged)
    ]
    assert abs(level[1] - level[0]) < 2


def test_desync_shifts_by_what_it_says_and_keeps_the_audio(footage_of):
    own = footage_of(0, num_frames=100)
    for severity in (0.0, 0.5, 1.0):
        for seed in range(4):
            forged = at(own, "desync", None, severity, seed)
            correlation = np.fft.irfft(np.fft.rfft(forged) * np.conj(np.fft.rfft(own.samples)))
            lag = int(correlation.argmax())
            lag = min(lag, len(forged) - lag)
            assert lag / RATE == pytest.approx(0.12 + 0.8 * severity, abs=0.02)


def test_spliced_words_are_the_other_takes(footage_of):
    own, other = footage_of(0, num_frames=60), footage_of(0, 1, num_frames=60)
    forged = FORGERIES["speech_spliced"].function(own, other, 1.0, np.random.default_rng(0))
    segment = forged.fake_segments[0]
    start = round(segment.start_s * RATE)
    piece = forged.samples[start : start + 1600]
    matches = np.correlate(other.samples, piece, "valid")
    norms = np.sqrt(np.convolve(other.samples**2, np.ones(len(piece)), "valid") * np.sum(piece**2) + 1e-12)
    assert (matches / norms).max() > 0.95


def test_another_stream_splices_other_words(footage_of):
    own, other = footage_of(0, num_frames=100), footage_of(0, 1, num_frames=100)
    assert len({at(own, "speech_spliced", other, 0.5, seed).tobytes() for seed in range(4)}) > 1


def test_small_operations_keep_lengths(words):
    assert len(fit_length(words[:100], 5000)) == 5000
    assert len(fit_length(np.zeros(0, np.float32), 10)) == 10
    assert len(join(words[:1000], words[:2000], 0.01)) == 3000 - 160
    for delay in (-4000, 0, 4000, 10**6, -(10**6)):
        assert delayed(words, delay, len(words)).shape == words.shape
    assert np.abs(limited(words * 100)).max() <= 1
    assert np.array_equal(limited(words * 0.1), words * np.float32(0.1))
    cuts = quiet_cuts(words)
    assert len(cuts) > 2
    assert all(0 < cut < len(words) for cut in cuts)


def test_silence_does_no_harm():
    silence = np.zeros(RATE, np.float32)
    assert onset_s(silence) == 0
    assert not np.isnan(match_loudness(silence, buzz(100))).any()
    assert not np.isnan(match_loudness(buzz(100), silence)).any()
    assert median_pitch_hz(silence) is None
