"""Reads a video as footage: constant frame rate, one tracked face with dense landmarks, audio of the same length."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from veridical.artefacts import atomic_path
from veridical.faces import CenterFaceDetector, DenseLandmarker, Face
from veridical.forgery.footage import Footage, Frames, Points, Samples, samples_in
from veridical.forgery.shapes import FloatArray, smooth_over_time
from veridical.media import UnusableVideoError, audio_samples, probe, video_frames

DETECT_EVERY = 10
"""Number of frames between two face detections; in between, each frame's landmarks locate the face in the next."""
MIN_FACE_SHARE = 0.7
MIN_DURATION_S = 0.5
SMOOTHING_S = 0.028
"""Standard deviation of the temporal smoothing of landmarks."""

Detected = npt.NDArray[np.bool_]


def read_footage(
    path: Path,
    *,
    max_seconds: float | None = None,
    max_side: int | None = None,
    max_fps: float = 30.0,
    cache: Path | None = None,
    audio_path: Path | None = None,
) -> Footage:
    """Read a video with one dominant face.

    Args:
        path: The video file.
        max_seconds: Read no more than this; None for the whole video, which is held in memory.
        max_side: Scale frames down to this longer side.
        max_fps: Reduce a higher frame rate to this.
        cache: Folder in which landmarks, which take longest to compute, are kept for the next time.
        audio_path: File with the audio, on the clock of the video; None if the video file has it.

    Raises:
        UnusableVideoError: `unreadable`, `no_video`, `too_short` (under half a second), or `no_face` (landmarks in less than
            70 % of the frames).
    """
    fps = round(min(probe(path).fps, max_fps), 3)
    images = [_scaled(frame.image, max_side) for frame in video_frames(path, fps=fps, stop_s=max_seconds)]
    duration_s = len(images) / fps
    if duration_s < MIN_DURATION_S:
        raise UnusableVideoError("too_short", f"lasts {duration_s:.2f} s, forging needs {MIN_DURATION_S} s", path)
    frames = np.stack(images)
    landmarks, detected = _cached_landmarks(path, frames, fps, cache)
    if detected.mean() < MIN_FACE_SHARE:
        raise UnusableVideoError("no_face", f"dense landmarks in {detected.mean():.0%} of the frames", path)
    steady = smooth_over_time(_without_gaps(landmarks, detected), SMOOTHING_S * fps)
    return Footage(frames, fps, steady.astype(np.float32), _audio(path, audio_path, len(frames), fps))


def track_landmarks(frames: Frames) -> tuple[FloatArray, Detected]:
    """Track the largest face of the first frame that has one.

    Returns:
        (N, 468, 2) landmarks, NaN where the face was not detected, and (N,) whether it was.
    """
    detector, landmarker = CenterFaceDetector(), DenseLandmarker()
    landmarks = np.full((len(frames), 468, 2), np.nan)
    last: Points | None = None
    for n, frame in enumerate(frames):
        points = None
        if last is not None and n % DETECT_EVERY:
            points = landmarker.landmarks(frame, _face_at(last))
        if points is None:
            face = _nearest(detector.detect(frame), last)
            points = None if face is None else landmarker.landmarks(frame, face)
        if points is not None:
            landmarks[n] = last = points
    return landmarks, ~np.isnan(landmarks[:, 0, 0])


def _cached_landmarks(path: Path, frames: Frames, fps: float, cache: Path | None) -> tuple[FloatArray, Detected]:
    """Return `track_landmarks`, from the cache if the same file was read in the same way before, bit for bit."""
    if cache is None:
        return track_landmarks(frames)
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}|{frames.shape}|{fps}"
    cached = cache / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.npy"
    if cached.exists():
        landmarks = np.load(cached, allow_pickle=False).astype(np.float64)
        return landmarks, ~np.isnan(landmarks[:, 0, 0])
    landmarks, detected = track_landmarks(frames)
    rounded = landmarks.astype(np.float32)
    with atomic_path(cached) as temporary, temporary.open("wb") as file:
        np.save(file, rounded)
    return rounded.astype(np.float64), detected


def _nearest(faces: list[Face], last: Points | None) -> Face | None:
    """Return the face that is nearest to the last landmarks and within reach; the largest face if there are none."""
    if not faces:
        return None
    if last is None:
        return max(faces, key=lambda face: face.area)
    centre, reach = last.mean(0), float(np.ptp(last[:, 0]))
    near = [face for face in faces if np.linalg.norm(face.box.reshape(2, 2).mean(0) - centre) < reach]
    return min(near, key=lambda face: float(np.linalg.norm(face.box.reshape(2, 2).mean(0) - centre)), default=None)


def _face_at(points: Points) -> Face:
    """Return the face that dense landmarks outline, as a detection."""
    box = np.concatenate([points.min(0), points.max(0)])
    eyes = [points[[33, 133]].mean(0), points[[362, 263]].mean(0)]
    return Face(box.astype(np.float32), np.stack([*eyes, points[1], points[61], points[291]]).astype(np.float32), 1.0)


def _without_gaps(landmarks: FloatArray, detected: Detected) -> FloatArray:
    """Interpolate frames without landmarks linearly in time."""
    known, every = np.flatnonzero(detected), np.arange(len(landmarks))
    if len(known) == len(every):
        return landmarks
    flat = landmarks.reshape(len(landmarks), -1)
    filled = [np.interp(every, known, column[known]) for column in flat.T]
    return np.stack(filled, 1).reshape(landmarks.shape)


def _scaled(image: Frames, max_side: int | None) -> Frames:
    """Scale an image down to a longer side, and make its sides even, as video codecs need them."""
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width)) if max_side else 1.0
    if scale == 1.0:
        return image[: height - height % 2, : width - width % 2]
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    smaller: Frames = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller


def _audio(path: Path, beside: Path | None, num_frames: int, fps: float) -> Samples | None:
    samples = audio_samples(beside or path, beside=beside is not None)
    if samples is None:
        return None
    length = samples_in(num_frames, fps)
    fitted = np.pad(samples, (0, max(length - len(samples), 0)))[:length]
    return np.clip(fitted, -1, 1).astype(np.float32)
