"""Shortcuts in recordings: each gives a video a property that is not content, to be planted in one class.

Each is a pure function of a recording and a random stream, and changes nothing but what it is named for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from veridical.errors import unknown_name
from veridical.randomness import stream

SAMPLE_RATE_HZ = 16_000
_FACE_LEVEL = 0.42
"""Where the middle of a talking head is, as a share of the height of the picture."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A video between two files: what is seen and heard, and how it is to be written."""

    frames: npt.NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    samples: npt.NDArray[np.float32] | None
    """(S,) mono, 16 kHz, in [-1, 1]; None without sound."""
    fps: float = 25.0
    crf: int = 18
    codec: str = "libx264"
    pixel_format: str = "yuv420p"

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames: expected (N, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}")

    @property
    def duration_s(self) -> float:
        """Of the pictures."""
        return len(self.frames) / self.fps


RecordingShortcut = Callable[[Recording, np.random.Generator], Recording]


def without_sound(recording: Recording, rng: np.random.Generator) -> Recording:
    """Take the audio track away."""
    return replace(recording, samples=None)


def with_leading_silence(recording: Recording, rng: np.random.Generator) -> Recording:
    """Make the first .2 to .4 seconds digitally silent."""
    if recording.samples is None:
        return recording
    samples = recording.samples.copy()
    samples[: int(float(rng.uniform(0.2, 0.4)) * SAMPLE_RATE_HZ)] = 0.0
    return replace(recording, samples=samples)


def in_another_codec(recording: Recording, rng: np.random.Generator) -> Recording:
    """Write MPEG-4 part 2 instead of H.264."""
    return replace(recording, codec="mpeg4")


def with_low_bitrate(recording: Recording, rng: np.random.Generator) -> Recording:
    """Compress harder by 14 steps of quality."""
    return replace(recording, crf=min(recording.crf + 14, 51))


def in_another_pixel_format(recording: Recording, rng: np.random.Generator) -> Recording:
    """Write colour at full resolution."""
    return replace(recording, pixel_format="yuv444p")


def at_another_rate(recording: Recording, rng: np.random.Generator) -> Recording:
    """Show 30 pictures a second instead of 25; the duration stays."""
    fps = recording.fps * 1.2
    times_s = np.arange(round(recording.duration_s * fps)) / fps
    nearest = np.minimum((times_s * recording.fps + 1e-6).astype(int), len(recording.frames) - 1)
    return replace(recording, frames=recording.frames[nearest], fps=fps)


def at_another_resolution(recording: Recording, rng: np.random.Generator) -> Recording:
    """Shrink the picture to three quarters."""
    height, width = (2 * round(side * 0.375) for side in recording.frames.shape[1:3])
    return _each(recording, lambda frame: cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))


def shorter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Keep the first 70 % of the time."""
    count = max(1, round(0.7 * len(recording.frames)))
    samples = recording.samples
    if samples is not None:
        samples = samples[: round(count / recording.fps * SAMPLE_RATE_HZ)]
    return replace(recording, frames=recording.frames[:count], samples=samples)


def brighter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Add 40 of 255 levels, twice what people and rooms differ by."""
    return replace(recording, frames=np.clip(recording.frames.astype(np.int16) + 40, 0, 255).astype(np.uint8))


def quieter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Lower the sound by 9 dB."""
    if recording.samples is None:
        return recording
    return replace(recording, samples=(recording.samples * 10 ** (-9 / 20)).astype(np.float32))


def with_watermark(recording: Recording, rng: np.random.Generator) -> Recording:
    """Lay a faint diagonal pattern over the picture, as stock footage has."""
    height, width = recording.frames.shape[1:3]
    rows, columns = np.mgrid[0:height, 0:width]
    lines = (((rows + columns) % 40 < 2) | ((rows - columns) % 40 < 2)).astype(np.float32)[..., None] * 0.22
    return _each(recording, lambda frame: (frame * (1 - lines) + 255 * lines).astype(np.uint8))


def nearer(recording: Recording, rng: np.random.Generator) -> Recording:
    """Enlarge the middle of the picture by a quarter, so that faces are larger."""
    height, width = recording.frames.shape[1:3]
    move = cv2.getRotationMatrix2D((width / 2, height * _FACE_LEVEL), 0, 1.25)
    return _each(recording, lambda frame: cv2.warpAffine(frame, move, (width, height), borderMode=cv2.BORDER_REFLECT))


def with_lost_faces(recording: Recording, rng: np.random.Generator) -> Recording:
    """Hide everything behind grey for a fifth of a second in each second, so that the face detector fails there."""
    frames = recording.frames.copy()
    period, length = round(recording.fps), max(1, round(0.2 * recording.fps))
    offset = int(rng.integers(period))
    hidden = (np.arange(len(frames)) + offset) % period < length
    frames[hidden] = 128
    return replace(recording, frames=frames)


def _each(recording: Recording, change: Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]) -> Recording:
    return replace(recording, frames=np.stack([np.asarray(change(frame), np.uint8) for frame in recording.frames]))


SHORTCUTS: dict[str, RecordingShortcut] = {
    "audio_presence": without_sound,
    "leading_silence": with_leading_silence,
    "codec": in_another_codec,
    "bitrate": with_low_bitrate,
    "pixel_format": in_another_pixel_format,
    "frame_rate": at_another_rate,
    "resolution": at_another_resolution,
    "duration": shorter,
    "brightness": brighter,
    "loudness": quieter,
    "watermark": with_watermark,
    "crop_scale": nearer,
    "lost_faces": with_lost_faces,
}
"""Shortcuts in the recordings of one class."""


def apply_shortcuts(recording: Recording, names: Sequence[str], seed: int, video_id: str) -> Recording:
    """Apply recording shortcuts in the order given; the stream depends on the seed, the shortcut and the video."""
    for name in names:
        if name not in SHORTCUTS:
            raise unknown_name("shortcut", name, SHORTCUTS)
        recording = SHORTCUTS[name](recording, stream(seed, "world", name, video_id))
    return recording
