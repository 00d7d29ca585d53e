"""Which parts of a recording are scored: windows of active sound, brought to one loudness.

Neither the silence before the first word nor the level of a recording says anything about its voice, yet both tell many
synthesisers from their real counterparts: both are taken away before a feature is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# S samples, N steps

RATE_HZ = 16_000
STEP = 320
"""Samples of a 20 ms step."""
ACTIVE_DB = 30.0
"""A step is active when its level is at most this far below that of the loud steps (95th percentile)."""
DENSE_DB = 25.0
MARGIN = 800
"""Samples kept before the first active step, and after the last."""
ACTIVE_RMS = 0.05
"""Root mean square that the active steps are brought to."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a recording as the detector hears it."""

    start_s: float
    """Seconds from the start of the recording."""
    samples: Samples
    """(S,) at 16 kHz, in [-1, 1]."""


def step_levels_db(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level of each 20 ms step (N,) in dB re full scale; sound shorter than a step is repeated to fill one."""
    count = max(len(samples) // STEP, 1)
    steps = np.resize(samples, count * STEP).reshape(count, STEP).astype(np.float64)
    return np.asarray(10 * np.log10((steps**2).mean(1) + 1e-10))


def active_steps(samples: Samples, below_loud_db: float = ACTIVE_DB) -> npt.NDArray[np.bool_]:
    """Return which steps (N,) are within so many dB of the loud ones."""
    levels = step_levels_db(samples)
    return np.asarray(levels > np.percentile(levels, 95) - below_loud_db)


def active_windows(samples: Samples, length_s: float, most: int) -> list[Window]:
    """Return up to `most` windows that do not overlap, those with the most active steps, in order of time.

    Args:
        samples: (S,) mono at 16 kHz.
        length_s: Length of a window in seconds; a shorter recording is one window.
        most: Largest number of windows.
    """
    length = round(length_s * RATE_HZ)
    first, last = _active_span(samples)
    speech = samples[first:last]
    starts = list(range(0, len(speech) - length + 1, length)) if len(speech) > length else [0]
    active = np.repeat(active_steps(speech, DENSE_DB), STEP)
    densest = sorted(starts, key=lambda start: -float(active[start : start + length].mean()))[:most]
    return [
        Window((first + start) / RATE_HZ, _levelled(speech[start : start + length])[:length])
        for start in sorted(densest)
    ]


def _active_span(samples: Samples) -> tuple[int, int]:
    """Return the first sample and the end of the recording without the silence around it."""
    active = np.flatnonzero(active_steps(samples))
    if len(active) == 0:
        return 0, len(samples)
    return max(int(active[0]) * STEP - MARGIN, 0), min((int(active[-1]) + 1) * STEP + MARGIN, len(samples))


def _levelled(samples: Samples) -> Samples:
    """Return a window without silence around it, without offset, its active steps at one root mean square."""
    first, last = _active_span(samples)
    centred = samples[first:last] - samples[first:last].mean()
    active = np.repeat(active_steps(centred), STEP)[: len(centred)]
    loud = centred[: len(active)][active]
    rms = float(np.sqrt(np.mean(loud**2))) if len(loud) else 0.0
    return np.asarray(np.clip(centred * (ACTIVE_RMS / max(rms, 1e-5)), -1, 1), np.float32)
