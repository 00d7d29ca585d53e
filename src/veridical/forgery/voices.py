"""Forgeries of the sound under an untouched picture: other voice, vocoder, conversion, spliced words, shift in time.

The sound's label is 1 when the track is not an untouched recording of the person who is seen; a shifted track is
genuine (0) and only the video as a whole is forged.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from veridical.artefacts import FakeSegment
from veridical.forgery.footage import SAMPLE_RATE_HZ, Footage, Forged, Samples, donor_of, sound_forged, sound_of
from veridical.forgery.sounds import (
    delayed,
    fit_length,
    join,
    limited,
    onset_s,
    quiet_cuts,
    with_loudness_of,
)
from veridical.forgery.spectra import (
    mean_envelope,
    median_pitch_hz,
    mel_filters,
    pitch_shifted,
    sound_of_magnitudes,
    spectrum,
    with_filter,
)


def voice_exchanged(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Put another person's speech under the picture, as loud, and starting when the target starts to speak.

    Severity misplaces the start by up to half a second.
    """
    own, voice = sound_of(target), sound_of(donor_of(donor))
    misplaced_s = 0.5 * severity * stream.uniform(-1, 1)
    delay = round((onset_s(own) - onset_s(voice) + misplaced_s) * SAMPLE_RATE_HZ)
    return sound_forged(target, with_loudness_of(delayed(voice, delay, len(own)), own))


def voice_vocoded(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Say the same through a mel vocoder: only mel magnitudes are kept, the phase is made up (Griffin and Lim).

    Severity goes from 96 mel bands and 60 iterations to 40 bands and 8 iterations.
    """
    own = sound_of(target)
    filters = mel_filters(round(96 - 56 * severity))
    magnitudes = np.abs(spectrum(own))
    rebuilt = np.maximum(np.linalg.pinv(filters) @ (filters @ magnitudes), 0)
    sound = sound_of_magnitudes(rebuilt, len(own), round(60 - 52 * severity), stream)
    return sound_forged(target, with_loudness_of(sound, own))


def voice_converted(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Let the target's words be said in the donor's pitch and mean timbre.

    Severity is how far the voice goes: 40 % of the way at 0, all the way at 1.
    """
    own, voice = sound_of(target), sound_of(donor_of(donor))
    share = 0.4 + 0.6 * severity
    from_hz, to_hz = median_pitch_hz(own), median_pitch_hz(voice)
    ratio = float(np.clip(to_hz / from_hz, 0.6, 1.7)) if from_hz and to_hz else stream.choice([0.85, 1.18])
    if abs(ratio - 1) < 0.06:
        ratio = 1.06 if ratio >= 1 else 0.94
    shifted = pitch_shifted(own, float(ratio**share))
    timbre = np.clip(mean_envelope(voice) - mean_envelope(shifted), -2, 2)
    timbre -= timbre.mean()
    return sound_forged(target, with_loudness_of(with_filter(shifted, share * timbre), own))


def speech_spliced(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace stretches of speech by other words of the same person, cut at dips of the level.

    Severity goes from one stretch with soft seams to five with hard cuts.
    """
    own, other = sound_of(target), sound_of(donor_of(donor))
    stretches = _stretches(own, count=1 + round(4 * severity), stream=stream)
    samples = own.copy()
    for start, stop in stretches:
        piece = limited(with_loudness_of(_stretch_of(other, stop - start, stream), own[start:stop]))
        samples[start:stop] = _with_seams(own, piece, start, stop, seam_s=0.03 * (1 - severity))
    segments = tuple(FakeSegment(a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ, "audio") for a, b in _merged(stretches))
    return replace(sound_forged(target, samples), fake_segments=segments)


def desync(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Shift the genuine sound against the genuine picture, by .12 s (severity 0) to .92 s, earlier or later.

    What leaves at one end comes back at the other, so that neither silence nor loudness tells.
    """
    own = sound_of(target)
    seam = min(round(0.02 * SAMPLE_RATE_HZ), len(own) // 4)
    wanted = round((0.12 + 0.8 * severity) * SAMPLE_RATE_HZ)
    shift = min(wanted, len(own) // 2)
    if stream.random() < 0.5:
        shift = len(own) - shift
    late = min(shift, len(own) - seam)
    samples = join(own[len(own) - late - seam :], own[: len(own) - late], seam / SAMPLE_RATE_HZ)
    return sound_forged(target, fit_length(samples, len(own)), audio_label=0)


def _stretches(samples: Samples, count: int, stream: np.random.Generator) -> list[tuple[int, int]]:
    """Return up to `count` stretches between dips, in order of time, .15 to 1 s long, rather the louder ones."""
    cuts = quiet_cuts(samples)
    pairs = [pair for pair in itertools.pairwise(cuts) if pair[1] - pair[0] <= SAMPLE_RATE_HZ]
    if not pairs:
        third = len(samples) // 3
        return [(third, 2 * third)]
    power = np.array([float(np.square(samples[a:b], dtype=np.float64).mean()) for a, b in pairs]) + 1e-12
    chosen = stream.choice(len(pairs), min(count, len(pairs)), replace=False, p=power / power.sum())
    return [pairs[index] for index in sorted(chosen)]


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches with neighbours that touch made one."""
    merged: list[tuple[int, int]] = []
    for start, stop in stretches:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def _stretch_of(samples: Samples, length: int, stream: np.random.Generator) -> Samples:
    """Return `length` samples that begin at a dip before loud speech."""
    cuts = [cut for cut in quiet_cuts(samples) if cut + length <= len(samples)] or [0]
    power = np.array([float(np.square(samples[cut : cut + length], dtype=np.float64).mean()) for cut in cuts]) + 1e-12
    start = cuts[int(stream.choice(len(cuts), p=power / power.sum()))]
    return fit_length(samples[start:], length)


def _with_seams(own: Samples, piece: Samples, start: int, stop: int, seam_s: float) -> Samples:
    """Return the piece for own[start:stop], crossfaded with what it replaces over `seam_s` at both ends."""
    seam = min(round(seam_s * SAMPLE_RATE_HZ), (stop - start) // 3)
    weight = np.ones(stop - start, np.float32)
    if seam:
        ramp = np.sin(np.linspace(0, np.pi / 2, seam, dtype=np.float32)) ** 2
        weight[:seam], weight[-seam:] = ramp, ramp[::-1]
    return np.asarray(weight * piece + (1 - weight) * own[start:stop], np.float32)
