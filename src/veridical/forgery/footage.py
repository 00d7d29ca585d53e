"""Inputs and outputs of a forgery: footage of one face with landmarks and audio, and the forged result with its labels."""

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
    """A video of one face at a constant frame rate, with landmarks and audio."""

    frames: Frames
    """(N, H, W, 3) RGB."""
    fps: float
    """Frames a second."""
    landmarks: Points
    """(N, 468, 2) x, y in pixels; FaceMesh topology, smoothed, interpolated where the face was not detected."""
    samples: Samples | None = None
    """(S,) mono, 16 kHz, in [-1, 1], S = round(N / fps * 16000); None without an audio track."""

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
        """Return the frames `start` to `stop` (exclusive) and their audio; arrays are views, not copies."""
        samples = self.samples
        if samples is not None:
            first = samples_in(start, self.fps)
            samples = samples[first : first + samples_in(stop - start, self.fps)]
        frames, landmarks = self.frames[start:stop], self.landmarks[start:stop]
        return replace(self, frames=frames, landmarks=landmarks, samples=samples)


@dataclass(frozen=True, eq=False)
class Forged:
    """A forged video, with the size, frame rate and length of its target."""

    frames: Frames
    """(N, H, W, 3) RGB."""
    samples: Samples | None
    """(S,) mono, 16 kHz, in [-1, 1]; None if the target has no audio."""
    mask: npt.NDArray[np.uint8]
    """(N, H, W), 1 where a pixel was forged, else 0; everywhere else the frames equal the target's bit for bit."""
    visual_label: int
    """1 if the video stream is forged."""
    audio_label: int | None
    """1 if the audio is forged; None without audio."""
    fake_segments: tuple[FakeSegment, ...] = ()
    """The forged segments of a partial fake; empty if the whole video is forged."""
    label: int = 1
    """1: a forgery, even if video and audio are each genuine, but of different times."""


Function = Callable[[Footage, Footage | None, float, np.random.Generator], Forged]
Donor = Literal["none", "other_speaker", "same_speaker"]


@dataclass(frozen=True)
class Forgery:
    """One forgery method and its properties."""

    function: Function
    """Pure function: (target, donor or None, severity in [0, 1], random stream) → forged."""
    family: str
    """Methods of one family leave similar traces; detectors are tested on families that they have not seen."""
    donor: Donor
    """The second footage it needs: none, of another person, or other footage of the same person."""
    visual: bool
    """Forges the video stream (visual_label 1)."""
    audio: bool
    """Forges the audio (audio_label 1)."""
    needs_audio: bool
    """Needs a target with an audio track, and a donor with one if there is a donor."""
    summary: str
    """One line for `forge --list`."""
    slow: bool = False
    """Takes more than ten seconds per second of video, so it is used only on request."""


def samples_in(num_frames: int, fps: float) -> int:
    """Return the number of samples at 16 kHz that last as long as this many frames."""
    return round(num_frames / fps * SAMPLE_RATE_HZ)


def require_donor(donor: Footage | None) -> Footage:
    """Return the donor.

    Raises:
        ValueError: if there is none.
    """
    if donor is None:
        raise ValueError("this forgery needs a donor's footage, got None")
    return donor


def require_audio(footage: Footage) -> Samples:
    """Return the audio samples.

    Raises:
        ValueError: if the footage has no audio.
    """
    if footage.samples is None:
        raise ValueError("this forgery needs footage with audio, got samples=None")
    return footage.samples


def frames_at_same_time(target: Footage, donor: Footage) -> npt.NDArray[np.intp]:
    """Return for each target frame the donor frame at the same time; a shorter donor plays back and forth."""
    index = np.round(np.arange(len(target)) * donor.fps / target.fps).astype(np.intp)
    period = max(2 * (len(donor) - 1), 1)
    index %= period
    return np.minimum(index, period - index) if len(donor) > 1 else np.zeros_like(index)


def video_forged(target: Footage, frames: Frames, mask: npt.NDArray[np.uint8]) -> Forged:
    """Return forged frames with the target's own audio."""
    return Forged(frames, target.samples, mask, visual_label=1, audio_label=None if target.samples is None else 0)


def audio_forged(target: Footage, samples: Samples, audio_label: int = 1) -> Forged:
    """Return forged audio with the target's own frames."""
    mask = np.zeros(target.frames.shape[:3], np.uint8)
    return Forged(target.frames, samples, mask, visual_label=0, audio_label=audio_label)
