"""Films that lie on their side or stand on their head, without a flag that says so: by which turn their faces are upright."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veridical import faces, media

LYING_DEGREES = 60.0
"""Faces of a film that lies are tilted by more than this, most of the time; nobody holds the head so."""
UPRIGHT_DEGREES = 45.0
NUM_LOOKED_AT = 5
"""Frames, one a second, in which the turn is looked for."""

Floats = npt.NDArray[np.float32]


def are_lying(tracks: Iterable[faces.FaceTrack]) -> bool:
    """Return whether most faces found in a video are tilted so far that the film itself must lie."""
    found = [track.landmarks[track.scores > 0] for track in tracks]
    return bool(found) and float(np.median(_tilt_degrees(np.concatenate(found)))) > LYING_DEGREES


def upright_turn(path: Path, detector_for_video: Callable[[], faces.FaceDetector]) -> int:
    """Return by how many quarter turns, anticlockwise, the faces of a video come upright in most frames; 0 when by none."""
    images = [frame.image for frame in itertools.islice(media.video_frames(path, fps=1), NUM_LOOKED_AT)]
    upright = {turn: _upright_scores(images, turn, detector_for_video()) for turn in (1, 2, 3)}
    turn = max(upright, key=lambda turn: sum(upright[turn]))
    return turn if sum(score > 0 for score in upright[turn]) > len(images) / 2 else 0


def _upright_scores(images: Sequence[npt.NDArray[np.uint8]], turn: int, detector: faces.FaceDetector) -> list[float]:
    """Return the score of the surest upright face of each frame; 0 where there is none."""
    scores = []
    for image in images:
        found = detector.detect(np.ascontiguousarray(np.rot90(image, turn)))
        upright = [face.score for face in found if _tilt_degrees(face.landmarks[None])[0] < UPRIGHT_DEGREES]
        scores.append(max(upright, default=0.0))
    return scores


def _tilt_degrees(landmarks: Floats) -> Floats:
    """Return by how much faces with (N, 5, 2) landmarks are tilted, 0 upright to 180 upside down."""
    down = landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1)
    return np.asarray(np.abs(np.degrees(np.arctan2(down[:, 0], down[:, 1]))), np.float32)
