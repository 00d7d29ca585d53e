"""Short-time spectra of speech: transform and inverse, mel bands, phase reconstruction, pitch shifting, envelopes, pitch.

Shapes: F frequency bins (257), T frames of 8 ms, M mel bands.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import soxr

from veridical.forgery.footage import SAMPLE_RATE_HZ, Samples

WINDOW = 512
HOP = 128
FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


def spectrum(samples: Samples) -> ComplexArray:
    """Return the (F, T) short-time Fourier transform, T = 1 + S // 128, centred frames."""
    mode: Literal["reflect", "constant"] = "reflect" if len(samples) > WINDOW // 2 else "constant"
    padded = np.pad(samples.astype(np.float64), WINDOW // 2, mode=mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.asarray(np.fft.rfft(frames * _window(), axis=1).T, np.complex128)


def samples_from_spectrum(values: ComplexArray, length: int) -> Samples:
    """Return the `length` samples whose transform is closest to the (F, T) values (overlap-add)."""
    frames = np.fft.irfft(values.T, WINDOW, axis=1) * _window()
    total = np.zeros(WINDOW + HOP * (len(frames) - 1))
    weight = np.zeros_like(total)
    power = _window() ** 2
    for index, frame in enumerate(frames):
        total[index * HOP : index * HOP + WINDOW] += frame
        weight[index * HOP : index * HOP + WINDOW] += power
    samples = (total / np.maximum(weight, 1e-3))[WINDOW // 2 :][:length]
    return np.pad(samples, (0, length - len(samples))).astype(np.float32)


def mel_filters(num_bands: int) -> FloatArray:
    """Return (M, F) triangular mel filters from 50 Hz to 8 kHz, each with sum 1."""
    edges = _hz(np.linspace(_mel(50.0), _mel(SAMPLE_RATE_HZ / 2), num_bands + 2))
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    nearest = np.abs(bins[None] - centre).argmin(1)
    filters[np.arange(num_bands), nearest] = np.maximum(filters[np.arange(num_bands), nearest], 1e-3)
    return np.asarray(filters / filters.sum(1, keepdims=True), np.float64)


def samples_from_magnitudes(
    magnitudes: FloatArray, length: int, iterations: int, stream: np.random.Generator
) -> Samples:
    """Reconstruct phase: return samples with about these (F, T) magnitudes (fast Griffin-Lim, Perraudin et al. 2013)."""
    phase = np.exp(2j * np.pi * stream.random(magnitudes.shape))
    previous = np.zeros_like(phase)
    for _ in range(iterations):
        rebuilt = spectrum(samples_from_spectrum(magnitudes * phase, length))[:, : magnitudes.shape[1]]
        advanced = rebuilt + 0.9 * (rebuilt - previous)
        previous = rebuilt
        phase = advanced / np.maximum(np.abs(advanced), 1e-9)
    return samples_from_spectrum(magnitudes * phase, length)


def pitch_shifted(samples: Samples, ratio: float) -> Samples:
    """Multiply all frequencies by `ratio` at the same length (phase vocoder, then resampling)."""
    values = spectrum(samples)
    positions = np.arange(0, values.shape[1] - 1, 1 / ratio)
    low = positions.astype(np.intp)
    share = positions - low
    magnitudes = (1 - share) * np.abs(values[:, low]) + share * np.abs(values[:, low + 1])
    expected = 2 * np.pi * HOP * np.arange(len(values))[:, None] / WINDOW
    turn = np.angle(values[:, low + 1]) - np.angle(values[:, low]) - expected
    turn = expected + turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    phase = np.angle(values[:, :1]) + np.cumsum(np.pad(turn, ((0, 0), (1, 0)))[:, :-1], axis=1)
    stretched = samples_from_spectrum(magnitudes * np.exp(1j * phase), round(len(samples) * ratio))
    shifted = soxr.resample(stretched, SAMPLE_RATE_HZ * ratio, SAMPLE_RATE_HZ)
    return np.pad(shifted, (0, max(len(samples) - len(shifted), 0)))[: len(samples)].astype(np.float32)


def mean_envelope(samples: Samples, num_coefficients: int = 24) -> FloatArray:
    """Return the (F,) cepstrally smoothed log magnitude spectrum of the louder half of the frames."""
    log_magnitudes = np.log(np.abs(spectrum(samples)) + 1e-5)
    loud = log_magnitudes.mean(0) >= np.median(log_magnitudes.mean(0))
    cepstrum = np.fft.irfft(log_magnitudes[:, loud].mean(1))
    cepstrum[num_coefficients:-num_coefficients] = 0
    return np.asarray(np.fft.rfft(cepstrum).real, np.float64)


def with_filter(samples: Samples, log_gain: FloatArray) -> Samples:
    """Apply (F,) log gains to the spectrum."""
    return samples_from_spectrum(spectrum(samples) * np.exp(log_gain)[:, None], len(samples))


def median_pitch_hz(samples: Samples) -> float | None:
    """Return the median pitch of the voiced frames, 70 to 400 Hz; None if hardly any frame is voiced."""
    length, step = 1024, 320
    if len(samples) < length:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), length)[::step]
    frames = (frames - frames.mean(1, keepdims=True)) * np.hanning(length)
    power = np.abs(np.fft.rfft(frames, 2 * length, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : SAMPLE_RATE_HZ // 70]
    first = SAMPLE_RATE_HZ // 400
    lags = correlation[:, first:].argmax(1) + first
    strength = correlation[np.arange(len(lags)), lags] / np.maximum(correlation[:, 0], 1e-9)
    voiced = (strength > 0.45) & (correlation[:, 0] > 0.05 * correlation[:, 0].max())
    return float(np.median(SAMPLE_RATE_HZ / lags[voiced])) if voiced.sum() >= 5 else None


def _window() -> FloatArray:
    return np.asarray(np.hanning(WINDOW + 1)[:-1], np.float64)


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _hz(mel: FloatArray) -> FloatArray:
    return np.asarray(700 * (10 ** (mel / 2595) - 1), np.float64)
