"""Aligned faces, cut and encoded as soon as they are detected, so that a video is decoded once and frames need not be kept.

Which face will be followed is known only at the end of a video. Until then the encoded crops of all faces wait in a file
that moves from memory to disk when it grows. A crop can be used when the track's landmarks are those of the detection; where
they are not (a face interpolated over a frame in which it was not found or not looked for, or landmarks smoothed over
time at high frame rates), the frame is needed again: some are kept for this within a budget, the others decoded once more.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from veridical import faces
from veridical.clips import StoreSettings, encode_frames
from veridical.faces import SMOOTHING_S, FaceDetector, Matrix

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FRAME_BYTES = 64 * 2**20
"""Budget for frames that may be needed again."""
MEMORY_BYTES = 8 * 2**20
"""Encoded crops beyond this wait on disk."""
MAX_FACES = 4
"""Faces of one frame whose crops are kept, the largest first."""
SAME_PX = 1e-3
LITTLE_SMALLER = 0.6
"""Frames that shrink by less do not alias; averaging areas would take five times as long."""


@dataclass(frozen=True, eq=False)
class Crop:
    """One aligned face."""

    jpeg: bytes
    matrix: Matrix
    """(2, 3) from pixels of the frame to pixels of the crop."""


@dataclass(frozen=True, eq=False)
class _Kept:
    landmarks: Floats
    matrix: Matrix
    offset: int
    length: int


class CropKeeper:
    """A face detector that keeps the crops of what it finds; for the sampled frames of one video, in order.

    `view` gives each frame at the size in which faces are searched and followed, so that a large frame is made smaller
    once. What `detect` finds is in pixels of the view; `in_frame` and all else are in pixels of the frame.

    Args:
        detector: Finds the faces.
        settings: Of the clips.
    """

    def __init__(self, detector: FaceDetector, settings: StoreSettings) -> None:
        self.num_frames = 0
        """Frames seen so far."""
        self._detector, self._settings = detector, settings
        self._kept: dict[int, list[_Kept]] = {}
        self._frames: dict[int, Frame] = {}
        self._room = FRAME_BYTES
        self._num_faces = 0
        self._frame: Frame | None = None
        self._scale = np.ones(2, np.float32)
        self._needs_again = settings.fps * 3 * SMOOTHING_S > 1 or settings.detect_every > 1
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 (closed by `close`)

    def close(self) -> None:
        """Delete what was kept."""
        self._file.close()
        self._frames.clear()

    def view(self, frame: Frame) -> Frame:
        """Take the next frame, (H, W, 3) RGB, and return it no larger than the detector needs."""
        self._frame = frame
        self.num_frames += 1
        if self._needs_again:
            self._keep_frame(frame)
        view = self.smaller(frame)
        self._scale = np.divide(view.shape[1::-1], frame.shape[1::-1], dtype=np.float32)
        return view

    def smaller(self, frame: Frame) -> Frame:
        """Return a frame as `view` does, without taking it."""
        height, width = frame.shape[:2]
        share = self._settings.detection_size / max(height, width)
        if share >= 1:
            return frame
        size = _halvable(width * share), _halvable(height * share)
        how = cv2.INTER_LINEAR if share > LITTLE_SMALLER else cv2.INTER_AREA
        return np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)

    def detect(self, image: Frame) -> list[faces.Face]:
        """Return the faces in the view of the frame taken last, in pixels of the view."""
        assert self._frame is not None
        detected = self._detector.detect(image)
        if not self._needs_again:
            if len(detected) < max(self._num_faces, 1):
                self._keep_frame(self._frame)
            largest = sorted(detected, key=lambda face: -face.area)[:MAX_FACES]
            self._kept[self.num_frames - 1] = [self._keep(self._frame, face) for face in largest]
        self._num_faces = len(detected)
        return detected

    def in_frame(self, points: Floats) -> Floats:
        """Return (…, 2) points of the view in pixels of the frame."""
        return np.asarray((points + 0.5) / self._scale - 0.5, np.float32)

    def track_in_frame(self, track: faces.FaceTrack) -> faces.FaceTrack:
        """Return a track of the view in pixels of the frame."""
        return replace(
            track,
            boxes=self.in_frame(track.boxes.reshape(-1, 2, 2)).reshape(-1, 4),
            landmarks=self.in_frame(track.landmarks),
            smoothed_landmarks=self.in_frame(track.smoothed_landmarks),
        )

    def has(self, number: int, landmarks: Floats) -> bool:
        """Return whether `crop` can give this face without the frame."""
        return number in self._frames or self._find(number, landmarks) is not None

    def crop(self, number: int, landmarks: Floats, frame: Frame | None = None) -> Crop:
        """Return the aligned face with these landmarks in the frame of this number.

        Args:
            number: Of the frame, from 0.
            landmarks: (5, 2) in pixels of the frame.
            frame: The frame itself; needed where `has` says no.
        """
        kept = self._find(number, landmarks)
        if kept is not None:
            self._file.seek(kept.offset)
            return Crop(self._file.read(kept.length), kept.matrix)
        frame = self._frames.get(number) if frame is None else frame
        assert frame is not None, number
        return cut_crop(frame, landmarks, self._settings)

    def _find(self, number: int, landmarks: Floats) -> _Kept | None:
        same = (
            kept for kept in self._kept.get(number, []) if float(np.abs(kept.landmarks - landmarks).max()) < SAME_PX
        )
        return next(same, None)

    def _keep(self, image: Frame, face: faces.Face) -> _Kept:
        landmarks = self.in_frame(face.landmarks)
        crop = cut_crop(image, landmarks, self._settings)
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(crop.jpeg)
        return _Kept(landmarks, crop.matrix, offset, len(crop.jpeg))

    def _keep_frame(self, image: Frame) -> None:
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            self._frames[self.num_frames - 1] = image


def _halvable(length: float) -> int:
    """Return the nearest length that can be halved twice, so that the view is quickly made smaller still."""
    return max(round(length / 4) * 4, 4)


def cut_crop(image: Frame, landmarks: Floats, settings: StoreSettings) -> Crop:
    """Return the aligned and encoded face."""
    crop, matrix = faces.align_face(image, landmarks, size=settings.crop_size, scale=settings.crop_scale)
    return Crop(encode_frames(crop[None], settings.jpeg_quality)[0], matrix)
