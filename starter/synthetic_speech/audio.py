"""Reads sound as 16 kHz mono, picks windows that hold speech, and brings them to one loudness.

Samples are float32 in [-1, 1]; every length is in samples at `RATE_HZ` unless the name says seconds.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
WINDOW = 48_000
"""The detector judges windows of three seconds."""
TARGET_RMS = 0.05
FRAME = 320


def read_audio(path: Path) -> Samples:
    """Return the first audio track of a media file as 16 kHz mono, up to the first damaged packet (may be empty)."""
    pieces: list[Samples] = []
    rate_hz = RATE_HZ
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        to_float = av.AudioResampler(format="fltp")
        for frame in container.decode(audio=0):
            for converted in to_float.resample(frame):
                rate_hz = converted.sample_rate
                pieces.append(converted.to_ndarray().mean(0).astype(np.float32))
    if not pieces:
        return np.zeros(0, np.float32)
    return resample(np.concatenate(pieces), rate_hz, RATE_HZ)


def resample(samples_S: Samples, from_hz: int, to_hz: int) -> Samples:
    """Change the sample rate with a high-quality band-limited filter."""
    if from_hz == to_hz:
        return samples_S
    return np.asarray(soxr.resample(samples_S, from_hz, to_hz, quality="HQ"), np.float32)


def frame_levels_db(samples_S: Samples) -> npt.NDArray[np.float64]:
    """Level of each 20 ms frame in dB."""
    count = max(len(samples_S) // FRAME, 1)
    frames = np.resize(samples_S, count * FRAME).reshape(count, FRAME).astype(np.float64)
    return np.asarray(10 * np.log10((frames**2).mean(1) + 1e-10))


def active_frames(samples_S: Samples, below_peak_db: float = 30.0) -> npt.NDArray[np.bool_]:
    """Mark the 20 ms frames within `below_peak_db` of the loud ones (95th percentile)."""
    levels = frame_levels_db(samples_S)
    return np.asarray(levels > np.percentile(levels, 95) - below_peak_db)


def trim_silence(samples_S: Samples, margin: int = 800) -> Samples:
    """Cut leading and trailing silence, so that the onset of speech tells nothing."""
    active = np.flatnonzero(active_frames(samples_S))
    if len(active) == 0:
        return samples_S
    return samples_S[max(active[0] * FRAME - margin, 0) : (active[-1] + 1) * FRAME + margin]


def normalise(samples_S: Samples) -> Samples:
    """Bring the active frames to one rms, remove the offset, clip what exceeds full scale."""
    centred = samples_S - samples_S.mean()
    active = np.repeat(active_frames(centred), FRAME)[: len(centred)]
    loud = centred[: len(active)][active]
    rms = float(np.sqrt(np.mean(loud**2))) if len(loud) else 0.0
    return np.asarray(np.clip(centred * (TARGET_RMS / max(rms, 1e-5)), -1, 1), np.float32)


def fit_window(samples_S: Samples, length: int = WINDOW, start: int = 0) -> Samples:
    """Cut to `length` from `start`; shorter sound is repeated."""
    if len(samples_S) < length:
        return np.asarray(np.resize(samples_S, length), np.float32)
    start = min(start, len(samples_S) - length)
    return samples_S[start : start + length]


def prepare(samples_S: Samples) -> Samples:
    """Trim and normalise: what every feature is computed from."""
    return normalise(trim_silence(samples_S))


def speech_windows(samples_S: Samples, most: int, length: int = WINDOW) -> list[Samples]:
    """Return up to `most` non-overlapping windows with the most active frames, in order of time."""
    if len(samples_S) <= length:
        return [samples_S]
    starts = range(0, len(samples_S) - length + 1, length)
    active = np.repeat(active_frames(samples_S, 25.0), FRAME)
    best = sorted(starts, key=lambda start: -float(active[start : start + length].mean()))[:most]
    return [samples_S[start : start + length] for start in sorted(best)]
