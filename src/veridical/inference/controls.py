"""Controls: a cue of a clip is destroyed, and a detector that uses the cue must do worse.

`shuffle`, `reverse`, `freeze`: the order of the pictures. `drop_sound`, `silence`, `swap_sound` (sound of another
video): the sound. `shift_sound:SECONDS`: its synchrony; the sound is rolled within the clip. Nothing else of the clip
changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from veridical.clips import SAMPLE_RATE_HZ, SPEECH_STEP_S, Clip
from veridical.errors import UsageError, unknown_name
from veridical.randomness import stream

PREFIX = "control:"
Order = npt.NDArray[np.int64]


def _shuffled(clip: Clip) -> Clip:
    order = stream(0, "control", clip.video_id, f"{clip.start_s:.3f}").permutation(len(clip.frames))
    parts = np.array_split(_all(clip.mouths), len(order))
    return _pictures(clip, order, np.concatenate([parts[picture] for picture in order]))


def _frozen(clip: Clip) -> Clip:
    middle, mouths = len(clip.frames) // 2, _all(clip.mouths)
    still = _pictures(clip, np.full(len(clip.frames), middle), np.full(len(mouths), len(mouths) // 2))
    return still if still.flow is None else replace(still, flow=np.zeros_like(still.flow))


def _all(pictures: npt.NDArray[np.uint8] | None) -> Order:
    return np.arange(0 if pictures is None else len(pictures))


def _pictures(clip: Clip, order: Order, mouths: Order) -> Clip:
    """Return the clip with its pictures (T,) and mouths (M,) in another order, and with them all that was measured on them."""
    per_picture = ("frames", "boxes", "landmarks", "detector_score", "flow", "dense_landmarks")
    taken = {name: values[order] for name in per_picture if (values := getattr(clip, name)) is not None}
    return replace(clip, **taken, mouths=None if clip.mouths is None else clip.mouths[mouths])


PLAIN: dict[str, Callable[[Clip], Clip]] = {
    "shuffle": _shuffled,
    "reverse": lambda clip: _pictures(clip, _all(clip.frames)[::-1], _all(clip.mouths)[::-1]),
    "freeze": _frozen,
    "drop_sound": lambda clip: replace(clip, samples=None, speech=None),
    "silence": lambda clip: clip if clip.samples is None else replace(clip, samples=np.zeros_like(clip.samples)),
}
CONTROLS = (*PLAIN, "swap_sound", "shift_sound:0.2", "shift_sound:0.5")
"""Those that `--control all` stands for."""


def destroyed(clip: Clip, other: Clip, control: str) -> Clip:
    """Return the clip without a cue.

    Args:
        clip: What is judged.
        other: A clip of another video, whose sound `swap_sound` takes.
        control: One of `PLAIN`, `swap_sound`, or `shift_sound:SECONDS`.

    Raises:
        UsageError: when the control is not known, or the shift is none or as long as the clip.
    """
    if control in PLAIN:
        return PLAIN[control](clip)
    if control == "swap_sound":
        return clip if clip.samples is None or other.samples is None else _with_sound_of(clip, other)
    if not control.startswith("shift_sound:"):
        raise unknown_name("control", control, CONTROLS)
    shift_s = _seconds(control)
    if clip.samples is None or clip.speech is None:
        return clip
    if abs(shift_s) >= (length_s := len(clip.samples) / SAMPLE_RATE_HZ):
        raise UsageError(
            f"control {control!r}: the sound is rolled within clips of {length_s:g} s; expected less than that"
        )
    samples = np.roll(clip.samples, round(shift_s * SAMPLE_RATE_HZ))
    return replace(clip, samples=samples, speech=np.roll(clip.speech, round(shift_s / SPEECH_STEP_S)))


def _with_sound_of(clip: Clip, other: Clip) -> Clip:
    return replace(clip, samples=other.samples, speech=other.speech)


def _seconds(control: str) -> float:
    try:
        seconds = float(control.partition(":")[2])
    except ValueError:
        seconds = math.nan
    if not seconds or not math.isfinite(seconds):
        raise UsageError(f"control {control!r}: expected shift_sound:SECONDS, for example shift_sound:0.2")
    return seconds
