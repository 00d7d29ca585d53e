"""What a forgery takes and gives: footage of one face with landmarks and sound, and the forged result with its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from veridical.artefacts import FakeSegment

SAMPLE_RATE_HZ = 16_000
NUM_LANDMARKS = 468

Frames = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Footage:
    """One face in constant frame rate, with the sound of the same time."""

    frames: Frames
    """(N, H, W, 3) RGB."""
    fps: float
    """Frames a second."""
    landmarks: Points
    """(N, 468, 2) x, y in pixels of `frames`; FaceMesh topology, smoothed, interpolated where the face was missed."""
    samples: Samples | None = None
    """(S,) mono, 16 kHz, in [-1, 1], S = round(N / fps * 16000); None when the video has no sound."""

    def __post_init__(self) -> None:
        n = len(self.frames)
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames: expected (N, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}")
        if n == 0 or self.fps <= 0:
            raise ValueError(f"footage: expected at least one frame and fps > 0, got {n} frames at {self.fps} fps")
        if self.landmarks.shape != (n, NUM_LANDMARKS, 2):
            raise ValueError(f"landmarks: expected ({n}, {NUM_LANDMARKS}, 2), got {self.landmarks.shape}")
        if self.samples is not None and self.samples.shape != (samples_in(n, self.fps),):
            raise ValueError(f"samples: expected ({samples_in(n, self.fps)},), got {self.samples.shape}")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    def part(self, start: int, stop: int) -> Footage:
        """Return the frames `start` to `stop` (exclusive) and their sound; arrays are views, not copies."""
        samples = self.samples
        if samples is not None:
            first = samples_in(start, self.fps)
            samples = samples[first : first + samples_in(stop - start, self.fps)]
        frames, landmarks = self.frames[start:stop], self.landmarks[start:stop]
        return replace(self, frames=frames, landmarks=landmarks, samples=samples)


@dataclass(frozen=True, eq=False)
class Forged:
    """A forged video: same size, rate and length as its target."""

    frames: Frames
    """(N, H, W, 3) RGB."""
    samples: Samples | None
    """(S,) mono, 16 kHz, in [-1, 1]; None when the target has no sound."""
    mask: npt.NDArray[np.uint8]
    """(N, H, W), 1 where a pixel was forged, else 0; outside it the frames are the target's to the bit."""
    visual_label: int
    """1 when the picture is forged."""
    audio_label: int | None
    """1 when the sound is forged; None without sound."""
    fake_segments: tuple[FakeSegment, ...] = ()
    """The forged stretches of a partial fake; empty when the whole video is forged."""
    label: int = 1
    """1: a forgery, even where neither picture nor sound is (sound and picture of different moments)."""


Function = Callable[[Footage, Footage | None, float, np.random.Generator], Forged]
Donor = Literal["none", "other_speaker", "same_speaker"]


@dataclass(frozen=True)
class Forgery:
    """One way of forging."""

    function: Function
    """Pure: (target, donor or None, severity in [0, 1], random stream) → forged."""
    family: str
    """What the traces have in common; detectors are judged on families they have not seen."""
    donor: Donor
    """Whose other footage it needs: nobody's, that of another person, or other footage of the same person."""
    visual: bool
    """Forges the picture (visual_label 1)."""
    audio: bool
    """Forges the sound (audio_label 1)."""
    needs_sound: bool
    """Cannot work on silent video; where a donor gives the sound, the donor's must not be silent either."""
    summary: str
    """One line for the help text."""
    slow: bool = False
    """Takes more than ten seconds of work for a second of video: only on request."""


def samples_in(num_frames: int, fps: float) -> int:
    """Return how many samples at 16 kHz last as long as so many frames."""
    return round(num_frames / fps * SAMPLE_RATE_HZ)


def donor_of(donor: Footage | None) -> Footage:
    """Return the donor.

    Raises:
        ValueError: when there is none.
    """
    if donor is None:
        raise ValueError("this forgery needs a donor's footage, got None")
    return donor


def sound_of(footage: Footage) -> Samples:
    """Return the sound.

    Raises:
        ValueError: when the footage is silent.
    """
    if footage.samples is None:
        raise ValueError("this forgery needs footage with sound, got samples=None")
    return footage.samples


def same_moments(target: Footage, donor: Footage) -> npt.NDArray[np.intp]:
    """Return for each target frame the donor frame of the same second; a shorter donor is played forth and back."""
    index = np.round(np.arange(len(target)) * donor.fps / target.fps).astype(np.intp)
    period = max(2 * (len(donor) - 1), 1)
    index %= period
    return np.minimum(index, period - index) if len(donor) > 1 else np.zeros_like(index)


def picture_forged(target: Footage, frames: Frames, mask: npt.NDArray[np.uint8]) -> Forged:
    """Return a forgery of the picture with the target's own sound."""
    return Forged(frames, target.samples, mask, visual_label=1, audio_label=None if target.samples is None else 0)


def sound_forged(target: Footage, samples: Samples, audio_label: int = 1) -> Forged:
    """Return a forgery of the sound under the target's own picture."""
    mask = np.zeros(target.frames.shape[:3], np.uint8)
    return Forged(target.frames, samples, mask, visual_label=0, audio_label=audio_label)
