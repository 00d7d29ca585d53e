"""The motion of a talking face: mouth, head, blinks, gaze and brows, partly in step with the stress of the speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from veridical.puppets.espeak import Phoneme
from veridical.puppets.visemes import MouthTrack, mouth_track
from veridical.randomness import stream


@dataclass(frozen=True)
class Temperament:
    """How lively a person moves and articulates."""

    head: float
    """Scale of the head motion, about 1."""
    articulation: float
    """Scale of the mouth motion, about 1."""
    blinks_per_minute: float
    smile: float
    """Resting smile, -.3 to .6."""


@dataclass(frozen=True, eq=False)
class Performance:
    """What the face does, frame by frame; arrays are (N,) float32 unless noted otherwise."""

    mouth: MouthTrack
    smile: npt.NDArray[np.float32]
    yaw: npt.NDArray[np.float32]
    """Radians, positive turns the face to the right of the frame."""
    pitch: npt.NDArray[np.float32]
    """Radians, positive nods downwards."""
    roll: npt.NDArray[np.float32]
    """Radians, positive tilts clockwise in the frame."""
    shift: npt.NDArray[np.float32]
    """(N, 2) x, y of the head in eye distances."""
    blink: npt.NDArray[np.float32]
    """0 open to 1 closed."""
    gaze: npt.NDArray[np.float32]
    """(N, 2) x, y, in -1 to 1."""
    brow: npt.NDArray[np.float32]
    """-.3 lowered to 1 raised."""

    def __len__(self) -> int:
        return len(self.yaw)


def perform(
    phonemes: Sequence[Phoneme], num_frames: int, fps: float, temperament: Temperament, seed: int
) -> Performance:
    """Return the motion that accompanies speech; each frame shows the middle of its time span."""
    times_s = np.asarray((np.arange(num_frames) + 0.5) / fps, np.float64)
    stress = _stress(phonemes, times_s)
    head = temperament.head
    wander = [_wander(seed, name, num_frames, fps) for name in ("yaw", "pitch", "roll", "x", "y", "brow", "smile")]
    yaw, pitch, roll, shift_x, shift_y, brow, smile = wander
    nod = stress * stream(seed, "nod").uniform(0.02, 0.06)
    return Performance(
        mouth=mouth_track(phonemes, times_s, temperament.articulation),
        smile=(temperament.smile + 0.15 * smile).astype(np.float32),
        yaw=(0.10 * head * yaw).astype(np.float32),
        pitch=(0.05 * head * pitch + nod * head).astype(np.float32),
        roll=(0.04 * head * roll).astype(np.float32),
        shift=(0.10 * head * np.stack([shift_x, 0.5 * shift_y], axis=1)).astype(np.float32),
        blink=_blinks(seed, times_s, temperament.blinks_per_minute),
        gaze=_gaze(seed, times_s, yaw),
        brow=np.clip(0.15 * brow + 0.45 * stress, -0.3, 1.0).astype(np.float32),
    )


def _wander(seed: int, name: str, num_frames: int, fps: float) -> npt.NDArray[np.float64]:
    """Return smooth random motion of about unit size: a slow drift and a quicker sway."""
    rng = stream(seed, "wander", name)
    margin = int(4 * fps)
    slow = gaussian_filter1d(rng.standard_normal(num_frames + 2 * margin), 0.8 * fps)
    quick = gaussian_filter1d(rng.standard_normal(num_frames + 2 * margin), 0.22 * fps)
    motion = slow / slow.std() + 0.35 * quick / quick.std()
    return np.asarray(motion[margin : margin + num_frames])


def _stress(phonemes: Sequence[Phoneme], times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the stress of the speech per frame, 0 to about 1, high around stressed vowels."""
    stress = np.zeros(len(times_s))
    for item in phonemes:
        if item.stressed:
            stress = np.maximum(stress, np.exp(-(((times_s - (item.start_s + item.end_s) / 2) / 0.09) ** 2)))
    return np.asarray(gaussian_filter1d(stress, 2.0))


def _blinks(seed: int, times_s: npt.NDArray[np.float64], per_minute: float) -> npt.NDArray[np.float32]:
    rng = stream(seed, "blinks")
    blink = np.zeros(len(times_s))
    time_s = float(rng.uniform(0.2, 60.0 / per_minute))
    while time_s < times_s[-1] + 0.3:
        since_s = times_s - time_s
        closing = np.clip(1 + since_s / 0.07, 0, 1) * (since_s <= 0)
        opening = np.clip(1 - since_s / 0.16, 0, 1) * (since_s > 0)
        blink = np.maximum(blink, closing + opening)
        time_s += float(rng.uniform(0.5, 1.7)) * 60.0 / per_minute
    return (blink * blink * (3 - 2 * blink)).astype(np.float32)


def _gaze(seed: int, times_s: npt.NDArray[np.float64], yaw: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return fixations with saccades in between; the eyes counter-rotate, as when fixating something while the head turns."""
    rng = stream(seed, "gaze")
    gaze = np.zeros((len(times_s), 2))
    time_s = 0.0
    while time_s < times_s[-1]:
        away = rng.random() < 0.25
        target = rng.normal(0, 0.55 if away else 0.12, 2) * (1.0, 0.5)
        gaze[times_s >= time_s] = target
        time_s += float(rng.uniform(0.3, 0.9) if away else rng.uniform(0.6, 2.5))
    gaze[:, 0] -= 0.3 * yaw
    return np.asarray(np.clip(gaussian_filter1d(gaze, 0.5, axis=0), -1, 1), np.float32)
