"""Audio forgeries with untouched video: exchanged voice, vocoder, voice conversion, spliced words, desynchronisation.

The audio label is 1 if the track is not an untouched recording of the person shown; a shifted track is genuine (0), and only
the video as a whole is forged.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from veridical.artefacts import FakeSegment
from veridical.forgery.footage import (
    SAMPLE_RATE_HZ,
    Footage,
    Forged,
    Samples,
    audio_forged,
    require_audio,
    require_donor,
)
from veridical.forgery.sounds import (
    delayed,
    edge_weights,
    fit_length,
    join,
    limited,
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
    spectrum,
    with_filter,
)


def voice_exchanged(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace the audio by another person's speech, equally loud, starting when the target starts to speak.

    Severity misplaces the start by up to half a second.
    """
    own, voice = require_audio(target), require_audio(require_donor(donor))
    misplaced_s = 0.5 * severity * stream.uniform(-1, 1)
    delay = round((onset_s(own) - onset_s(voice) + misplaced_s) * SAMPLE_RATE_HZ)
    return audio_forged(target, match_loudness(delayed(voice, delay, len(own)), own))


def voice_vocoded(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Resynthesise the audio with a mel vocoder: mel magnitudes only, phase reconstructed by Griffin-Lim.

    Severity goes from 96 mel bands and 60 iterations to 40 bands and 8 iterations.
    """
    own = require_audio(target)
    filters = mel_filters(round(96 - 56 * severity))
    magnitudes = np.abs(spectrum(own))
    rebuilt = np.maximum(np.linalg.pinv(filters) @ (filters @ magnitudes), 0)
    resynthesised = samples_from_magnitudes(rebuilt, len(own), round(60 - 52 * severity), stream)
    return audio_forged(target, match_loudness(resynthesised, own))


def voice_converted(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Convert the target's voice to the donor's pitch and mean timbre.

    Severity is the degree of conversion: 40 % at 0, complete at 1.
    """
    own, voice = require_audio(target), require_audio(require_donor(donor))
    share = 0.4 + 0.6 * severity
    from_hz, to_hz = median_pitch_hz(own), median_pitch_hz(voice)
    ratio = float(np.clip(to_hz / from_hz, 0.6, 1.7)) if from_hz and to_hz else stream.choice([0.85, 1.18])
    if abs(ratio - 1) < 0.06:
        ratio = 1.06 if ratio >= 1 else 0.94
    shifted = pitch_shifted(own, float(ratio**share))
    timbre = np.clip(mean_envelope(voice) - mean_envelope(shifted), -2, 2)
    timbre -= timbre.mean()
    return audio_forged(target, match_loudness(with_filter(shifted, share * timbre), own))


def speech_spliced(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace segments of speech by other words of the same person, cut at dips of the level.

    Severity goes from one segment with crossfades to five with hard cuts.
    """
    own, other = require_audio(target), require_audio(require_donor(donor))
    segments = _segments(own, count=1 + round(4 * severity), stream=stream)
    samples = own.copy()
    for start, stop in segments:
        piece = limited(match_loudness(_excerpt(other, stop - start, stream), own[start:stop]))
        weight = edge_weights(stop - start, seam_s=0.03 * (1 - severity))
        samples[start:stop] = weight * piece + (1 - weight) * own[start:stop]
    fake = tuple(FakeSegment(a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ, "audio") for a, b in _merged(segments))
    return replace(audio_forged(target, samples), fake_segments=fake)


def desync(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Shift the genuine audio against the genuine video by .12 s (severity 0) to .92 s, earlier or later.

    The shift wraps around, so that neither silence nor loudness gives it away.
    """
    own = require_audio(target)
    seam = min(round(0.02 * SAMPLE_RATE_HZ), len(own) // 4)
    shift = min(round((0.12 + 0.8 * severity) * SAMPLE_RATE_HZ), len(own) // 2)
    if stream.random() < 0.5:
        shift = len(own) - shift
    late = min(shift, len(own) - seam)
    samples = join(own[len(own) - late - seam :], own[: len(own) - late], seam / SAMPLE_RATE_HZ)
    return audio_forged(target, fit_length(samples, len(own)), audio_label=0)


def _segments(samples: Samples, count: int, stream: np.random.Generator) -> list[tuple[int, int]]:
    """Draw up to `count` segments between dips of the level, .15 to 1 s long, in order of time; louder ones are likelier."""
    cuts = quiet_cuts(samples)
    pairs = [pair for pair in itertools.pairwise(cuts) if pair[1] - pair[0] <= SAMPLE_RATE_HZ]
    if not pairs:
        third = len(samples) // 3
        return [(third, 2 * third)]
    power = np.array([float(np.square(samples[a:b], dtype=np.float64).mean()) for a, b in pairs]) + 1e-12
    drawn = stream.choice(len(pairs), min(count, len(pairs)), replace=False, p=power / power.sum())
    return [pairs[index] for index in sorted(drawn)]


def _merged(segments: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge segments that touch."""
    merged: list[tuple[int, int]] = []
    for start, stop in segments:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def _excerpt(samples: Samples, length: int, stream: np.random.Generator) -> Samples:
    """Draw `length` samples that begin at a dip of the level before loud speech."""
    cuts = [cut for cut in quiet_cuts(samples) if cut + length <= len(samples)] or [0]
    power = np.array([float(np.square(samples[cut : cut + length], dtype=np.float64).mean()) for cut in cuts]) + 1e-12
    start = cuts[int(stream.choice(len(cuts), p=power / power.sum()))]
    return fit_length(samples[start:], length)
