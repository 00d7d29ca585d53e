"""Controls: changes of a clip that destroy one cue and leave the rest, so that a detector that uses the cue must do worse.

Each is a pure function of a clip, a clip of another video (the partner), and a strength.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from veridical.clips import SAMPLE_RATE_HZ, SPEECH_STEP_S, Clip
from veridical.errors import UsageError
from veridical.randomness import stream

Order = npt.NDArray[np.int64]


def shuffled(clip: Clip, partner: Clip | None = None, strength: float | None = None) -> Clip:
    """Put the frames into a random order, the same for every detector."""
    order = stream(0, "control", clip.video_id, f"{clip.start_s:.3f}").permutation(len(clip.frames))
    parts = np.array_split(_positions(clip.mouths), len(order))
    return _reordered(clip, order, np.concatenate([parts[frame] for frame in order]))


def reversed_in_time(clip: Clip, partner: Clip | None = None, strength: float | None = None) -> Clip:
    """Play the frames backwards; the audio keeps its direction."""
    return _reordered(clip, _positions(clip.frames)[::-1], _positions(clip.mouths)[::-1])


def frozen(clip: Clip, partner: Clip | None = None, strength: float | None = None) -> Clip:
    """Repeat the middle frame."""
    middle, mouths = len(clip.frames) // 2, _positions(clip.mouths)
    still = _reordered(clip, np.full(len(clip.frames), middle), np.full(len(mouths), len(mouths) // 2))
    return still if still.flow is None else replace(still, flow=np.zeros_like(still.flow))


def without_audio(clip: Clip, partner: Clip | None = None, strength: float | None = None) -> Clip:
    """Remove the audio."""
    return replace(clip, samples=None, speech=None)


def silenced(clip: Clip, partner: Clip | None = None, strength: float | None = None) -> Clip:
    """Set every sample to zero; the speech mask stays."""
    return clip if clip.samples is None else replace(clip, samples=np.zeros_like(clip.samples))


def with_audio_of_partner(clip: Clip, partner: Clip | None, strength: float | None = None) -> Clip:
    """Replace the audio by that of the partner; a clip stays as it is where one of the two has none."""
    if partner is None or clip.samples is None or partner.samples is None:
        return clip
    return replace(clip, samples=partner.samples, speech=partner.speech)


def desynchronised(clip: Clip, partner: Clip | None, shift_s: float | None) -> Clip:
    """Roll the audio within the clip by `shift_s` seconds.

    Raises:
        UsageError: when the shift is as long as the clip.
    """
    assert shift_s is not None
    if clip.samples is None or clip.speech is None:
        return clip
    if abs(shift_s) >= (length_s := len(clip.samples) / SAMPLE_RATE_HZ):
        raise UsageError(
            f"shift_sound:{shift_s:g}: audio is rolled within clips of {length_s:g} s; choose a smaller shift"
        )
    samples = np.roll(clip.samples, round(shift_s * SAMPLE_RATE_HZ))
    return replace(clip, samples=samples, speech=np.roll(clip.speech, round(shift_s / SPEECH_STEP_S)))


def _positions(values: npt.NDArray[np.uint8] | None) -> Order:
    return np.arange(0 if values is None else len(values))


def _reordered(clip: Clip, order: Order, mouths: Order) -> Clip:
    """Return the clip with its frames (T,) and mouth crops (M,) in another order, and all that was measured on them."""
    per_frame = ("frames", "boxes", "landmarks", "detector_score", "flow", "dense_landmarks")
    moved = {name: values[order] for name in per_frame if (values := getattr(clip, name)) is not None}
    return replace(clip, **moved, mouths=None if clip.mouths is None else clip.mouths[mouths])
