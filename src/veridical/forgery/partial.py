"""Partial fakes: any forgery on a stretch of the video only, with the stretch written down.

Picture: the forged pixels fade in and out over three frames. Sound: crossfaded at both ends; a track with a foreign
stretch in it is a spliced track, so its label is 1 whatever the whole-video forgery says.
"""

from __future__ import annotations

import numpy as np

from veridical.artefacts import FakeSegment
from veridical.forgery.footage import Footage, Forged, Frames, Function, Samples, samples_in

MIN_STRETCH_S = 0.6
SHARES = (0.25, 0.55)
"""The stretch lasts between these parts of the video."""
FADE_FRAMES = 3
SEAM_SAMPLES = 320


def partly(function: Function) -> Function:
    """Return the forgery of a random stretch of the video."""

    def partial(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
        start, stop = _stretch(len(target), target.fps, stream)
        part = target.part(start, stop)
        made = function(part, _as_long(donor, part, stream), severity, stream)
        return _inserted(target, made, start, stop)

    return partial


def _stretch(num_frames: int, fps: float, stream: np.random.Generator) -> tuple[int, int]:
    """Return first and last (exclusive) frame; the middle of the video is preferred, where there is speech."""
    length = max(round(num_frames * stream.uniform(*SHARES)), round(MIN_STRETCH_S * fps), 1)
    length = min(length, num_frames)
    start = round(stream.triangular(0, (num_frames - length) / 2, max(num_frames - length, 1e-6)))
    start = min(start, num_frames - length)
    return start, start + length


def _as_long(donor: Footage | None, part: Footage, stream: np.random.Generator) -> Footage | None:
    """Return a stretch of the donor as long as the part, from its middle, or all of a shorter donor."""
    if donor is None:
        return None
    length = round(part.duration_s * donor.fps)
    if length < 1 or length >= len(donor):
        return donor
    spare = len(donor) - length
    start = min(round(stream.triangular(0, spare / 2, spare)), spare)
    return donor.part(start, start + length)


def _inserted(target: Footage, made: Forged, start: int, stop: int) -> Forged:
    """Put the forged stretch back into the whole video."""
    frames, mask = target.frames, np.zeros(target.frames.shape[:3], np.uint8)
    segments: list[FakeSegment] = []
    seconds = (start / target.fps, stop / target.fps)
    if made.visual_label == 1:
        frames = target.frames.copy()
        frames[start:stop] = _faded(target.frames[start:stop], made)
        mask[start:stop] = made.mask
        segments.append(FakeSegment(*seconds, "visual"))
    samples, audio_label = target.samples, made.audio_label
    if target.samples is not None and made.samples is not None:
        first = samples_in(start, target.fps)
        spliced = _spliced(target.samples, made.samples, first)
        audio_label = int(not np.array_equal(spliced, target.samples))
        samples = spliced
        if audio_label:
            segments.append(FakeSegment(*seconds, "audio"))
    return Forged(frames, samples, mask, made.visual_label, audio_label, tuple(segments))


def _faded(original: Frames, made: Forged) -> Frames:
    n = len(original)
    steps = np.minimum(np.arange(n), np.arange(n)[::-1]) + 1
    weight = np.clip(steps / (FADE_FRAMES + 1), 0, 1)
    faded = made.frames.copy()
    for index in np.flatnonzero(weight < 1):
        share = weight[index]
        faded[index] = np.round(original[index] * (1 - share) + made.frames[index] * share).astype(np.uint8)
    return faded


def _spliced(whole: Samples, piece: Samples, first: int) -> Samples:
    result = whole.copy()
    stop = first + len(piece)
    weight = np.ones(len(piece), np.float32)
    seam = min(SEAM_SAMPLES, len(piece) // 3)
    if seam:
        ramp = np.sin(np.linspace(0, np.pi / 2, seam, dtype=np.float32)) ** 2
        weight[:seam], weight[-seam:] = ramp, ramp[::-1]
    result[first:stop] += weight * (piece - whole[first:stop])
    return result
