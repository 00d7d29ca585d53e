"""Reading a video as footage: constant frame rate, one tracked face with dense landmarks, sound of the same length."""

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
"""Frames between two detections; between them the landmarks of one frame say where to look in the next."""
MIN_FACE_SHARE = 0.7
MIN_DURATION_S = 0.5
SMOOTHING_S = 0.028

Found = npt.NDArray[np.bool_]


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
        max_seconds: Read no more than this; None for all of it, which is held in memory.
        max_side: Scale pictures down so that the longer side has at most so many pixels.
        max_fps: A higher frame rate is lowered to this.
        cache: Folder that keeps landmarks, which take longest, for the next time.
        audio_path: File with the sound, on the picture's clock; None when the video holds it.

    Raises:
        UnusableVideoError: `unreadable`, `no_video`, `too_short` (under half a second), or `no_face` (landmarks found in
            less than 70 % of the frames).
    """
    fps = round(min(probe(path).fps, max_fps), 3)
    shown = video_frames(path, fps=fps, stop_s=max_seconds)
    pictures = [_scaled(frame.image, max_side) for frame in shown]
    if len(pictures) / fps < MIN_DURATION_S:
        raise UnusableVideoError(
            "too_short", f"lasts {len(pictures) / fps:.2f} s, forging needs {MIN_DURATION_S} s", path
        )
    frames = np.stack(pictures)
    landmarks, found = _tracked(path, frames, fps, cache)
    if found.mean() < MIN_FACE_SHARE:
        raise UnusableVideoError("no_face", f"dense landmarks in {found.mean():.0%} of the frames", path)
    steady = smooth_over_time(_without_gaps(landmarks, found), SMOOTHING_S * fps)
    return Footage(frames, fps, steady.astype(np.float32), _sound(path, audio_path, len(frames), fps))


def track_landmarks(frames: Frames) -> tuple[FloatArray, Found]:
    """Follow the largest face of the first picture that has one.

    Returns:
        (N, 468, 2) landmarks, NaN where the face was not found, and (N,) whether it was.
    """
    detector, landmarker = CenterFaceDetector(), DenseLandmarker()
    landmarks = np.full((len(frames), 468, 2), np.nan)
    last: Points | None = None
    for n, picture in enumerate(frames):
        points = None
        if last is not None and n % DETECT_EVERY:
            points = landmarker.landmarks(picture, _face_at(last))
        if points is None:
            face = _nearest(detector.detect(picture), last)
            points = None if face is None else landmarker.landmarks(picture, face)
        if points is not None:
            landmarks[n] = last = points
    return landmarks, ~np.isnan(landmarks[:, 0, 0])


def _tracked(path: Path, frames: Frames, fps: float, cache: Path | None) -> tuple[FloatArray, Found]:
    """Return `track_landmarks`, from the cache when the same file was read in the same way before, to the bit."""
    if cache is None:
        return track_landmarks(frames)
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}|{frames.shape}|{fps}"
    kept = cache / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.npy"
    if kept.exists():
        landmarks = np.load(kept, allow_pickle=False).astype(np.float64)
        return landmarks, ~np.isnan(landmarks[:, 0, 0])
    landmarks, found = track_landmarks(frames)
    rounded = landmarks.astype(np.float32)
    with atomic_path(kept) as temporary, temporary.open("wb") as file:
        np.save(file, rounded)
    return rounded.astype(np.float64), found


def _nearest(faces: list[Face], last: Points | None) -> Face | None:
    """Return the face that goes on where the last one was, the largest when there was none."""
    if not faces:
        return None
    if last is None:
        return max(faces, key=lambda face: face.area)
    centre, reach = last.mean(0), float(np.ptp(last[:, 0]))
    near = [face for face in faces if np.linalg.norm(face.box.reshape(2, 2).mean(0) - centre) < reach]
    return min(near, key=lambda face: float(np.linalg.norm(face.box.reshape(2, 2).mean(0) - centre)), default=None)


def _face_at(points: Points) -> Face:
    """Return the face that these dense landmarks outline."""
    box = np.concatenate([points.min(0), points.max(0)])
    eyes = [points[[33, 133]].mean(0), points[[362, 263]].mean(0)]
    return Face(box.astype(np.float32), np.stack([*eyes, points[1], points[61], points[291]]).astype(np.float32), 1.0)


def _without_gaps(landmarks: FloatArray, found: Found) -> FloatArray:
    """Fill frames without landmarks linearly in time."""
    known, every = np.flatnonzero(found), np.arange(len(landmarks))
    if len(known) == len(every):
        return landmarks
    flat = landmarks.reshape(len(landmarks), -1)
    filled = [np.interp(every, known, column[known]) for column in flat.T]
    return np.stack(filled, 1).reshape(landmarks.shape)


def _scaled(picture: Frames, max_side: int | None) -> Frames:
    """Return the picture no larger than wanted, with even sides as video codecs need them."""
    height, width = picture.shape[:2]
    scale = min(1.0, max_side / max(height, width)) if max_side else 1.0
    if scale == 1.0:
        return picture[: height - height % 2, : width - width % 2]
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    smaller: Frames = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return smaller


def _sound(path: Path, beside: Path | None, num_frames: int, fps: float) -> Samples | None:
    samples = audio_samples(beside or path, beside=beside is not None)
    if samples is None:
        return None
    length = samples_in(num_frames, fps)
    fitted = np.pad(samples, (0, max(length - len(samples), 0)))[:length]
    return np.clip(fitted, -1, 1).astype(np.float32)
