"""Operations on mono audio at 16 kHz: length, loudness, crossfades, and where speech begins and pauses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from veridical.forgery.footage import SAMPLE_RATE_HZ, Samples
from veridical.media import step_loudness_dbfs

ENERGY_STEP_S = 0.02
SEAM_S = 0.02


def fit_length(samples: Samples, length: int) -> Samples:
    """Return `length` samples: the first ones, or the audio repeated with crossfades if it is shorter."""
    if len(samples) == 0:
        return np.zeros(length, np.float32)
    whole = samples
    while len(whole) < length:
        whole = join(whole, samples)
    return whole[:length].astype(np.float32, copy=True)


def join(first: Samples, second: Samples, seam_s: float = SEAM_S) -> Samples:
    """Concatenate two signals with a crossfade of `seam_s`; the result is as long as both minus the crossfade."""
    seam = min(round(seam_s * SAMPLE_RATE_HZ), len(first) // 2, len(second) // 2)
    if seam == 0:
        return np.concatenate([first, second])
    ramp = np.sin(np.linspace(0, np.pi / 2, seam, dtype=np.float32)) ** 2
    overlap = first[-seam:] * (1 - ramp) + second[:seam] * ramp
    return np.concatenate([first[:-seam], overlap, second[seam:]]).astype(np.float32)


def level_db(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level of each 20 ms step in dB relative to full scale, at least -100; at least one step."""
    padded = samples if len(samples) else np.zeros(1, np.float32)
    return np.maximum(step_loudness_dbfs(padded, round(ENERGY_STEP_S * SAMPLE_RATE_HZ)), -100.0)


def loud_steps(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return for each 20 ms step whether it is as loud as speech: in the upper part of the signal's own range of levels."""
    level = level_db(samples)
    floor, peak = np.percentile(level, 10), np.percentile(level, 95)
    return np.asarray(level > floor + 0.45 * max(peak - floor, 6.0), np.bool_)


def onset_s(samples: Samples) -> float:
    """Return when the first loud step begins; 0 if there is none."""
    loud = loud_steps(samples)
    return float(loud.argmax() * ENERGY_STEP_S) if loud.any() else 0.0


def match_loudness(samples: Samples, reference: Samples) -> Samples:
    """Scale the samples so that their loud parts are as loud as those of the reference, and limit their peaks to below 1."""
    gain = _loud_level(reference) / max(_loud_level(samples), 1e-5)
    return limited(samples * np.float32(np.clip(gain, 0.05, 20)))


def edge_weights(length: int, seam_s: float) -> Samples:
    """Return weights that rise from 0 to 1 and fall back over `seam_s` at both ends, at most a third of the length each."""
    weights = np.ones(length, np.float32)
    seam = min(round(seam_s * SAMPLE_RATE_HZ), length // 3)
    if seam:
        ramp = np.sin(np.linspace(0, np.pi / 2, seam, dtype=np.float32)) ** 2
        weights[:seam], weights[-seam:] = ramp, ramp[::-1]
    return weights


def limited(samples: Samples) -> Samples:
    """Soft-limit peaks above .9 so that they stay below 1; the loudness hardly changes."""
    over = np.maximum(np.abs(samples) - 0.9, 0)
    return np.where(over > 0, np.sign(samples) * (0.9 + 0.1 * np.tanh(over * 10)), samples).astype(np.float32)


def _loud_level(samples: Samples) -> float:
    loud = np.repeat(loud_steps(samples), round(ENERGY_STEP_S * SAMPLE_RATE_HZ))[: len(samples)]
    speech = samples[loud] if loud.any() else samples
    return float(np.sqrt(np.mean(np.square(speech, dtype=np.float64)))) if len(speech) else 0.0


def ambience(samples: Samples, length: int) -> Samples:
    """Return `length` samples of room tone (the quietest .2 s, back and forth), so that no gap is digitally silent."""
    span = min(round(0.2 * SAMPLE_RATE_HZ), len(samples))
    if span == 0 or length <= 0:
        return np.zeros(max(length, 0), np.float32)
    power = np.cumsum(np.pad(np.square(samples, dtype=np.float64), (1, 0)))
    start = int((power[span:] - power[:-span]).argmin())
    quiet = samples[start : start + span]
    return fit_length(join(quiet, quiet[::-1]), length)


def delayed(samples: Samples, delay: int, length: int) -> Samples:
    """Return `length` samples of the signal delayed by `delay` samples (advanced if negative), with room tone around it."""
    body = samples[max(-delay, 0) :]
    before = ambience(samples, max(delay, 0))
    whole = join(before, body, seam_s=0.01) if len(before) else body
    missing = length - len(whole)
    if missing > 0:
        after = ambience(samples, missing + round(SEAM_S * SAMPLE_RATE_HZ))
        whole = join(whole, after)
    return fit_length(whole, length)


def quiet_cuts(samples: Samples, spacing_s: float = 0.15) -> list[int]:
    """Return where to cut, in samples: dips of the level at least `spacing_s` apart, never at the ends."""
    level = np.convolve(level_db(samples), [0.25, 0.5, 0.25], mode="same")
    reach = max(round(spacing_s / ENERGY_STEP_S / 2), 1)
    step = round(ENERGY_STEP_S * SAMPLE_RATE_HZ)
    cuts: list[int] = []
    for index in range(reach, len(level) - reach):
        if level[index] == level[index - reach : index + reach + 1].min() and (
            not cuts or index * step - cuts[-1] >= spacing_s * SAMPLE_RATE_HZ
        ):
            cuts.append(index * step)
    return cuts
