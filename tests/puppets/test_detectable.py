"""What other rooms need from puppets: the default face detector and FaceMesh find the face and its landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.faces import LEFT_EYE, LIPS_OUTER, RIGHT_EYE, CenterFaceDetector, DenseLandmarker
from veridical.puppets import FAMILIES, PuppetClip, Renderer, render_puppet, sample_person


@pytest.fixture(scope="module")
def clips() -> list[PuppetClip]:
    return [
        render_puppet(Renderer(sample_person("seen", index, family, 1)), index, 0.2)
        for family in FAMILIES
        for index in range(5)
    ]


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(axis=0) + points.max(axis=0)) / 2


def test_the_face_detector_finds_every_face_where_it_is(clips: list[PuppetClip]) -> None:
    detector = CenterFaceDetector(threshold=0.5)
    errors = []
    for clip in clips:
        truth = clip.truth.five[2]
        (face,) = detector.detect(clip.frames[2])
        eye_distance = np.linalg.norm(truth[1] - truth[0])
        errors.append(np.linalg.norm(face.landmarks - truth, axis=1).mean() / eye_distance)
        assert (face.box[:2] < truth.min(axis=0)).all()
        assert (face.box[2:] > truth.max(axis=0)).all()
    assert len(errors) == 10
    assert np.mean(errors) < 0.12
    assert np.max(errors) < 0.2


def test_dense_landmarks_land_on_mouth_and_eyes(clips: list[PuppetClip]) -> None:
    detector, landmarker = CenterFaceDetector(threshold=0.5), DenseLandmarker()
    errors = []
    for clip in clips:
        points = landmarker.landmarks(clip.frames[2], detector.detect(clip.frames[2])[0])
        assert points is not None
        unit = np.linalg.norm(clip.truth.five[2, 1] - clip.truth.five[2, 0])
        pairs = ((LIPS_OUTER, "lips_outer"), (LEFT_EYE, "left_eye"), (RIGHT_EYE, "right_eye"))
        for outline, name in pairs:
            distance = np.linalg.norm(_middle(points[list(outline)]) - _middle(getattr(clip.truth, name)[2]))
            errors.append(distance / unit)
    assert len(errors) == 30
    assert np.mean(errors) < 0.06
    assert np.max(errors) < 0.2
