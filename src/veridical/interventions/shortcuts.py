"""Shortcuts: cues that are not content, planted so that classes can be told apart by them and audits can be tested.

Those of recordings give the videos of one class a property; those of manifests change which videos there are and in which
split. Each is a pure function of its input and a random stream, and changes nothing but what it is named for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from veridical.artefacts import Manifest
from veridical.clips import SAMPLE_RATE_HZ
from veridical.errors import UsageError

_FACE_LEVEL = 0.42
"""Where the middle of a talking head is, as a share of the frame's height."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded video, and how it is to be encoded."""

    frames: npt.NDArray[np.uint8]
    """(N, H, W, 3) RGB."""
    samples: npt.NDArray[np.float32] | None
    """(S,) mono, 16 kHz, in [-1, 1]; None without audio."""
    fps: float = 25.0
    crf: int = 18
    codec: str = "libx264"
    pixel_format: str = "yuv420p"

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames: expected (N, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}")

    @property
    def duration_s(self) -> float:
        """Duration of the video frames."""
        return len(self.frames) / self.fps


def without_audio(recording: Recording, rng: np.random.Generator) -> Recording:
    """Remove the audio track."""
    return replace(recording, samples=None)


def with_leading_silence(recording: Recording, rng: np.random.Generator) -> Recording:
    """Set the first .2 to .4 seconds of audio to zero."""
    if recording.samples is None:
        return recording
    samples = recording.samples.copy()
    samples[: int(float(rng.uniform(0.2, 0.4)) * SAMPLE_RATE_HZ)] = 0.0
    return replace(recording, samples=samples)


def in_another_codec(recording: Recording, rng: np.random.Generator) -> Recording:
    """Encode as MPEG-4 part 2 instead of H.264."""
    return replace(recording, codec="mpeg4")


def with_low_bitrate(recording: Recording, rng: np.random.Generator) -> Recording:
    """Raise the encoder's crf by 14."""
    return replace(recording, crf=min(recording.crf + 14, 51))


def in_another_pixel_format(recording: Recording, rng: np.random.Generator) -> Recording:
    """Encode chroma at full resolution."""
    return replace(recording, pixel_format="yuv444p")


def at_another_rate(recording: Recording, rng: np.random.Generator) -> Recording:
    """Raise the frame rate from 25 to 30 per second; the duration stays."""
    fps = recording.fps * 1.2
    times_s = np.arange(round(recording.duration_s * fps)) / fps
    nearest = np.minimum((times_s * recording.fps + 1e-6).astype(int), len(recording.frames) - 1)
    return replace(recording, frames=recording.frames[nearest], fps=fps)


def at_another_resolution(recording: Recording, rng: np.random.Generator) -> Recording:
    """Scale the frames to three quarters of their size."""
    height, width = (2 * round(side * 0.375) for side in recording.frames.shape[1:3])
    return _each(recording, lambda frame: cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))


def shorter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Keep the first 70 % of the video."""
    count = max(1, round(0.7 * len(recording.frames)))
    samples = recording.samples
    if samples is not None:
        samples = samples[: round(count / recording.fps * SAMPLE_RATE_HZ)]
    return replace(recording, frames=recording.frames[:count], samples=samples)


def brighter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Add 40 of 255 levels, twice the difference between people and rooms."""
    return replace(recording, frames=np.clip(recording.frames.astype(np.int16) + 40, 0, 255).astype(np.uint8))


def quieter(recording: Recording, rng: np.random.Generator) -> Recording:
    """Lower the audio by 9 dB."""
    if recording.samples is None:
        return recording
    return replace(recording, samples=(recording.samples * 10 ** (-9 / 20)).astype(np.float32))


def with_watermark(recording: Recording, rng: np.random.Generator) -> Recording:
    """Blend a faint diagonal pattern into the frames, like the watermark of stock footage."""
    height, width = recording.frames.shape[1:3]
    rows, columns = np.mgrid[0:height, 0:width]
    lines = (((rows + columns) % 40 < 2) | ((rows - columns) % 40 < 2)).astype(np.float32)[..., None] * 0.22
    return _each(recording, lambda frame: (frame * (1 - lines) + 255 * lines).astype(np.uint8))


def nearer(recording: Recording, rng: np.random.Generator) -> Recording:
    """Enlarge the middle of the frame by a quarter, so that faces are larger."""
    height, width = recording.frames.shape[1:3]
    move = cv2.getRotationMatrix2D((width / 2, height * _FACE_LEVEL), 0, 1.25)
    return _each(recording, lambda frame: cv2.warpAffine(frame, move, (width, height), borderMode=cv2.BORDER_REFLECT))


def with_lost_faces(recording: Recording, rng: np.random.Generator) -> Recording:
    """Replace the frames of a fifth of each second by grey, so that no face is detected there."""
    frames = recording.frames.copy()
    period, length = round(recording.fps), max(1, round(0.2 * recording.fps))
    offset = int(rng.integers(period))
    hidden = (np.arange(len(frames)) + offset) % period < length
    frames[hidden] = 128
    return replace(recording, frames=frames)


def _each(recording: Recording, change: Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]) -> Recording:
    return replace(recording, frames=np.stack([np.asarray(change(frame), np.uint8) for frame in recording.frames]))


def with_duplicates(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """Copy a third of the training videos, under another id, into the test split."""
    videos = list(manifest.videos())
    train = [video for video in videos if video.split == "train"]
    if not train:
        raise UsageError("duplicates need a manifest with a train split; run split first")
    chosen = sorted(rng.choice(len(train), size=max(1, len(train) // 3), replace=False))
    copies = [replace(train[k], video_id=f"{train[k].video_id}#copy", split="test") for k in chosen]
    return Manifest.from_videos([*videos, *copies])


def with_shared_identities(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """Move every second video of each training identity to the test split, so that people are in both."""
    seen: dict[str, int] = {}
    videos = []
    for video in manifest.videos():
        if video.split == "train" and video.identities:
            count = seen[video.identities[0]] = seen.get(video.identities[0], 0) + 1
            videos.append(replace(video, split="test") if count % 2 == 0 else video)
        else:
            videos.append(video)
    if all(count < 2 for count in seen.values()):
        raise UsageError("shared identities need a train split with two or more videos of a person")
    return Manifest.from_videos(videos)


def without_a_generator(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """Remove one generator from the training split and keep it in the others."""
    generators = sorted({video.generator for video in manifest.videos() if video.generator and video.split == "train"})
    if len(generators) < 2:
        raise UsageError(f"a missing generator needs two or more in the train split, found {generators}")
    dropped = generators[int(rng.integers(len(generators)))]
    kept = [video for video in manifest.videos() if video.split != "train" or video.generator != dropped]
    return Manifest.from_videos(kept)
