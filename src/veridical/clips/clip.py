"""Clip: one window of one video, frames and audio of the same time. It knows neither label nor split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veridical.clips.contents import FLOW_STATISTICS, MOUTH_SIZE, NUM_DENSE_LANDMARKS

SAMPLE_RATE_HZ = 16_000
SPEECH_STEP_S = 0.02


@dataclass(frozen=True, eq=False)
class Clip:
    """One window. T frames of a face, and the samples between `start_s` and `start_s` + window."""

    video_id: str
    start_s: float
    """Start of the window, seconds of presentation time from the start of the video."""
    frames: npt.NDArray[np.uint8]
    """(T, H, W, 3) RGB, the aligned face; H = W = 256 in a store."""
    boxes: npt.NDArray[np.float32]
    """(T, 4) x0, y0, x1, y1 of the face in pixels of the source frame."""
    landmarks: npt.NDArray[np.float32]
    """(T, 5, 2) left eye, right eye, nose, left and right mouth corner (as seen), in pixels of `frames`."""
    detector_score: npt.NDArray[np.float32]
    """(T,) score of the face detector; 0 where the face was not detected and the box is interpolated."""
    samples: npt.NDArray[np.int16] | None
    """(S,) mono, 16 kHz; None when the video has no audio."""
    speech: npt.NDArray[np.bool_] | None
    """(window / 20 ms,) True where the voice activity detector hears speech; None without audio."""
    mouths: npt.NDArray[np.uint8] | None = None
    """(M, 96, 96) grey, the aligned mouth 25 times a second; None where the store has none."""
    flow: npt.NDArray[np.float32] | None = None
    """(T, F) movement from each frame to 1/25 s later, columns as in `FLOW_STATISTICS`; None where the store has none."""
    dense_landmarks: npt.NDArray[np.float32] | None = None
    """(T, 468, 2) FaceMesh points in pixels of `frames`, NaN where it sees no face; None where the store has none."""
    person: int = 1
    """Number of the person within the video, from 1: the one seen longest and largest first."""

    def __post_init__(self) -> None:
        t = len(self.frames)
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames: expected (T, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}")
        for name, shape in (("boxes", (t, 4)), ("landmarks", (t, 5, 2)), ("detector_score", (t,))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {getattr(self, name).shape}")
        if (self.samples is None) != (self.speech is None):
            raise ValueError("samples and speech must both be given or both be None")
        if self.samples is not None and (self.samples.ndim != 1 or self.samples.dtype != np.int16):
            raise ValueError(f"samples: expected (S,) int16, got {self.samples.shape} {self.samples.dtype}")
        self._check_contents(t)

    def _check_contents(self, t: int) -> None:
        mouths = self.mouths
        if mouths is not None and (mouths.shape[1:] != (MOUTH_SIZE, MOUTH_SIZE) or mouths.dtype != np.uint8):
            raise ValueError(
                f"mouths: expected (M, {MOUTH_SIZE}, {MOUTH_SIZE}) uint8, got {mouths.shape} {mouths.dtype}"
            )
        for name, shape in (("flow", (t, len(FLOW_STATISTICS))), ("dense_landmarks", (t, NUM_DENSE_LANDMARKS, 2))):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {value.shape}")

    @property
    def speech_share(self) -> float | None:
        """Share of the window that is speech, 0 to 1; None without audio."""
        return None if self.speech is None else float(self.speech.mean())

    def __repr__(self) -> str:
        sound = "no sound" if self.samples is None else f"{len(self.samples)} samples"
        person = f", person={self.person}" if self.person > 1 else ""
        return f"Clip({self.video_id!r}, start_s={self.start_s:g}{person}, frames={self.frames.shape}, {sound})"
