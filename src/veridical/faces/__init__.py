"""Faces in pictures and videos: detect, follow, align, and 468 landmarks."""

from veridical.faces.align import align_face, invert, transform_points
from veridical.faces.dense import (
    FACE_OVAL,
    LEFT_EYE,
    LEFT_EYEBROW,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    RIGHT_EYEBROW,
    DenseLandmarker,
)
from veridical.faces.detect import DEFAULT_THRESHOLD, Face, FaceDetector
from veridical.faces.masks import select_marked_track
from veridical.faces.retinaface import DEFAULT_RETINAFACE, RetinaFaceDetector
from veridical.faces.track import POLICIES, FaceTrack, select_track, track_faces

__all__ = [
    "DEFAULT_RETINAFACE",
    "DEFAULT_THRESHOLD",
    "FACE_OVAL",
    "LEFT_EYE",
    "LEFT_EYEBROW",
    "LIPS_INNER",
    "LIPS_OUTER",
    "POLICIES",
    "RIGHT_EYE",
    "RIGHT_EYEBROW",
    "DenseLandmarker",
    "Face",
    "FaceDetector",
    "FaceTrack",
    "RetinaFaceDetector",
    "align_face",
    "invert",
    "select_marked_track",
    "select_track",
    "track_faces",
    "transform_points",
]
