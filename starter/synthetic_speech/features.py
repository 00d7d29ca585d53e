"""Fixed-length descriptions of an utterance: statistics of cepstra, bands, fine structure, phase and modulation.

Each function maps float32 samples at 16 kHz to one vector; only active frames count. LFCC after Sahidullah et al. 2015
(linear filters beat mel filters for synthetic speech). `FEATURES` names them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.stats import kurtosis, skew

from synthetic_speech.audio import RATE_HZ, Samples

# F frequency bins or bands, T frames
Array = npt.NDArray[np.float64]


def spectrum(samples_S: Samples, size: int, hop: int, fft_size: int) -> npt.NDArray[np.complex128]:
    """Hann-windowed short-time spectrum (F, T)."""
    padded = np.pad(samples_S.astype(np.float64), (0, max(size - len(samples_S), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.fft.rfft(frames * np.hanning(size), fft_size, axis=1).T)


def active(power_FT: Array, below_peak_db: float = 30.0) -> npt.NDArray[np.bool_]:
    """Frames within `below_peak_db` of the loud ones."""
    level = 10 * np.log10(power_FT.sum(0) + 1e-10)
    return np.asarray(level > np.percentile(level, 95) - below_peak_db)


def linear_matrix(num_bands: int, num_bins: int) -> Array:
    """Triangular filters evenly spaced from 0 to 8 kHz (bands, bins)."""
    edges = np.linspace(0, num_bins - 1, num_bands + 2)
    bins = np.arange(num_bins)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def log_bands(
    samples_S: Samples, num_bands: int, size: int = 400, hop: int = 160
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Log energies of linear bands (bands, T) and the mark of active frames (T)."""
    power = np.abs(spectrum(samples_S, size, hop, 512)) ** 2
    return np.log(linear_matrix(num_bands, power.shape[0]) @ power + 1e-7), active(power)


def _delta(x_FT: Array) -> Array:
    padded = np.pad(x_FT, ((0, 0), (2, 2)), mode="edge")
    return np.asarray((2 * (padded[:, 4:] - padded[:, :-4]) + padded[:, 3:-1] - padded[:, 1:-3]) / 10)


def lfcc_statistics(samples_S: Samples) -> Array:
    """Mean and deviation of 30 linear-frequency cepstra and their first and second differences (180)."""
    bands, used = log_bands(samples_S, 40, 320)
    cepstra = dct(bands, axis=0, norm="ortho")[:30]
    stacked = np.concatenate([cepstra, _delta(cepstra), _delta(_delta(cepstra))])[:, used]
    return np.concatenate([stacked.mean(1), stacked.std(1)])


def band_statistics(samples_S: Samples) -> Array:
    """Shape of the distribution of 48 log band energies over time (288)."""
    bands, used = log_bands(samples_S, 48)
    change, bands = np.diff(bands, axis=1)[:, used[1:]], bands[:, used]
    centred = bands - bands.mean(1, keepdims=True)
    scaled = centred / (centred.std(1, keepdims=True) + 1e-6)
    neighbours = np.append((scaled[1:] * scaled[:-1]).mean(1), 0.0)
    level = bands.mean(1) - bands.mean()
    return np.concatenate([level, bands.std(1), change.std(1), skew(bands, 1), kurtosis(change, 1), neighbours])


def fine_structure(samples_S: Samples) -> Array:
    """Ripple of the 64 ms spectrum around its smooth course: by zone over time, and of the average spectrum (192)."""
    power = np.abs(spectrum(samples_S, 1024, 256, 1024)) ** 2
    logs = np.log(power + 1e-7)[:512, active(power)]
    smooth = np.apply_along_axis(lambda c: np.convolve(c, np.ones(15) / 15, "same"), 0, logs)
    ripple = logs - smooth
    zones = ripple.reshape(16, 32, -1)
    spread, peak = zones.std(1), zones.max(1)
    average = ripple.mean(1).reshape(64, 8)
    return np.concatenate([spread.mean(1), spread.std(1), peak.mean(1), peak.std(1), average.std(1), average.max(1)])


def phase_statistics(samples_S: Samples) -> Array:
    """Regularity of phase over time and over frequency in 16 zones (96)."""
    waves = spectrum(samples_S, 320, 80, 512)[:256]
    power = np.abs(waves) ** 2
    used = active(power)
    unit = waves / (np.abs(waves) + 1e-9)
    steps = unit[:, 1:] * unit[:, :-1].conj()
    over_time = steps[:, 1:] * steps[:, :-1].conj()
    delays = unit[1:] * unit[:-1].conj()
    over_frequency = np.pad(delays[1:] * delays[:-1].conj(), ((0, 2), (0, 0)))
    found = []
    for turn, marks in (
        (over_time, used[2:]),
        (over_frequency, used),
        (over_frequency[:, 1:] * over_frequency[:, :-1].conj(), used[1:]),
    ):
        zones = turn[:, marks].reshape(16, 16, -1)
        found += [zones.real.mean((1, 2)), np.abs(zones.mean(1)).std(1)]
    return np.concatenate(found)


def modulation_statistics(samples_S: Samples) -> Array:
    """Autocorrelation over time of 20 log band energies and of their changes (200)."""
    bands, used = log_bands(samples_S, 20, 320, 80)
    first, last = np.flatnonzero(used)[[0, -1]]
    bands = bands[:, first : last + 1]
    found = []
    for x in (bands, np.diff(bands, axis=1)):
        x = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-6)
        found += [(x[:, lag:] * x[:, :-lag]).mean(1) for lag in (1, 2, 4, 8, 16) if lag < x.shape[1]]
    return np.concatenate(found + [np.zeros(20)] * (10 - len(found)))


def residual_statistics(samples_S: Samples) -> Array:
    """Linear prediction of 30 ms frames, order 16: gain, peakiness and periodicity of the residual (39)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples_S.astype(np.float64), 480)[::240] * np.hanning(480)
    energy = (frames**2).sum(1)
    frames = frames[energy > np.percentile(energy, 95) / 1000]
    power = np.abs(np.fft.rfft(frames, 1024)) ** 2
    lags = np.fft.irfft(power)[:, :17]
    places = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
    system = lags[:, places] + 1e-6 * lags[:, :1, None] * np.eye(16)
    weights = np.linalg.solve(system, lags[:, 1:, None])[..., 0]
    response = np.fft.rfft(np.concatenate([np.ones((len(frames), 1)), -weights], 1), 1024)
    residual_power = power * np.abs(response) ** 2
    residual = np.fft.irfft(np.fft.rfft(frames, 1024) * response)[:, :496]
    periodic = np.fft.irfft(residual_power)[:, 40:240]
    periodic = periodic / (residual_power.mean(1, keepdims=True) + 1e-12)
    gain = np.log(residual_power.mean(1) / (power.mean(1) + 1e-12) + 1e-9)
    flatness = np.log(residual_power + 1e-9)[:, :512].reshape(len(frames), 4, 128)
    rows = [gain, kurtosis(residual, 1), skew(residual, 1), periodic.max(1), periodic.std(1)]
    rows += [*flatness.mean(2).T - flatness.mean((1, 2)), *flatness.std(2).T]
    values = np.stack(rows)
    return np.concatenate([values.mean(1), values.std(1), np.median(values, 1)])


FEATURES: dict[str, Callable[[Samples], Array]] = {
    "lfcc": lfcc_statistics,
    "bands": band_statistics,
    "fine": fine_structure,
    "phase": phase_statistics,
    "modulation": modulation_statistics,
    "residual": residual_statistics,
}


def trivial_scores(samples_S: Samples) -> dict[str, float]:
    """What must not decide: loudness, onset, band width and duration, from unprepared sound."""
    bands, used = log_bands(samples_S, 64)
    rms = float(np.sqrt(np.mean(samples_S**2)))
    power = np.exp(bands[:, used]).mean(1)
    onset = int(np.argmax(np.abs(samples_S) > 5e-4))
    return {
        "loudness": float(20 * np.log10(rms + 1e-9)),
        "onset": onset / RATE_HZ,
        "band_width": float(np.searchsorted(np.cumsum(power) / power.sum(), 0.95)),
        "upper_band": float(np.log(power[48:].sum() / power.sum())),
        "duration": len(samples_S) / RATE_HZ,
    }
