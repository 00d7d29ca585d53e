"""Partial fakes: any forgery on a segment of the video only, with the segment recorded.

Video: the forged pixels fade in and out over three frames. Audio: crossfaded at both ends; a track with a foreign segment is
a spliced track, so its label is 1 whatever the label of the whole-video forgery.
"""

from __future__ import annotations

import numpy as np

from veridical.artefacts import FakeSegment
from veridical.forgery.footage import Footage, Forged, Frames, Function, Samples, samples_in
from veridical.forgery.sounds import edge_weights

MIN_SEGMENT_S = 0.6
SHARES = (0.25, 0.55)
"""The segment lasts between these shares of the video."""
FADE_FRAMES = 3
SEAM_S = 0.02


def partly(function: Function) -> Function:
    """Return a forgery that applies `function` to a random segment of the video."""

    def partial(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
        start, stop = _segment(len(target), target.fps, stream)
        part = target.part(start, stop)
        forged = function(part, _as_long(donor, part, stream), severity, stream)
        return _inserted(target, forged, start, stop)

    return partial


def _segment(num_frames: int, fps: float, stream: np.random.Generator) -> tuple[int, int]:
    """Draw the first and last (exclusive) frame, preferably in the middle of the video, where there is speech."""
    length = max(round(num_frames * stream.uniform(*SHARES)), round(MIN_SEGMENT_S * fps), 1)
    length = min(length, num_frames)
    start = round(stream.triangular(0, (num_frames - length) / 2, max(num_frames - length, 1e-6)))
    start = min(start, num_frames - length)
    return start, start + length


def _as_long(donor: Footage | None, part: Footage, stream: np.random.Generator) -> Footage | None:
    """Return a segment from the middle of the donor that is as long as the part, or all of a shorter donor."""
    if donor is None:
        return None
    length = round(part.duration_s * donor.fps)
    if length < 1 or length >= len(donor):
        return donor
    spare = len(donor) - length
    start = min(round(stream.triangular(0, spare / 2, spare)), spare)
    return donor.part(start, start + length)


def _inserted(target: Footage, forged: Forged, start: int, stop: int) -> Forged:
    """Insert the forged segment into the whole video."""
    frames, mask = target.frames, np.zeros(target.frames.shape[:3], np.uint8)
    segments: list[FakeSegment] = []
    seconds = (start / target.fps, stop / target.fps)
    if forged.visual_label == 1:
        frames = target.frames.copy()
        frames[start:stop] = _faded(target.frames[start:stop], forged.frames)
        mask[start:stop] = forged.mask
        segments.append(FakeSegment(*seconds, "visual"))
    samples, audio_label = target.samples, forged.audio_label
    if target.samples is not None and forged.samples is not None:
        samples = _spliced(target.samples, forged.samples, samples_in(start, target.fps))
        audio_label = int(not np.array_equal(samples, target.samples))
        if audio_label:
            segments.append(FakeSegment(*seconds, "audio"))
    return Forged(frames, samples, mask, forged.visual_label, audio_label, tuple(segments))


def _faded(original: Frames, forged: Frames) -> Frames:
    n = len(original)
    steps = np.minimum(np.arange(n), np.arange(n)[::-1]) + 1
    weight = np.clip(steps / (FADE_FRAMES + 1), 0, 1)
    faded = forged.copy()
    for index in np.flatnonzero(weight < 1):
        share = weight[index]
        faded[index] = np.round(original[index] * (1 - share) + forged[index] * share).astype(np.uint8)
    return faded


def _spliced(whole: Samples, piece: Samples, first: int) -> Samples:
    result = whole.copy()
    stop = first + len(piece)
    result[first:stop] += edge_weights(len(piece), SEAM_S) * (piece - whole[first:stop])
    return result
