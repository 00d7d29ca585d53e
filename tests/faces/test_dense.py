"""Dense landmarks on a drawn face, turned, moved and real; and the groups that outline its parts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from veridical.faces import (
    FACE_OVAL,
    LEFT_EYE,
    LEFT_EYEBROW,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    RIGHT_EYEBROW,
    CenterFaceDetector,
    DenseLandmarker,
    Face,
    transform_points,
)
from veridical.media import video_frames

GROUPS = {
    "oval": FACE_OVAL, "left eye": LEFT_EYE, "right eye": RIGHT_EYE, "outer lips": LIPS_OUTER, "inner lips": LIPS_INNER,
    "left eyebrow": LEFT_EYEBROW, "right eyebrow": RIGHT_EYEBROW,
}  # fmt: skip


@pytest.fixture(scope="module")
def landmarker() -> DenseLandmarker:
    return DenseLandmarker()


def drawn_as_face(drawn, centre=(160, 120), half_width: float = 50) -> Face:
    middle = np.array(centre, np.float32)
    box = np.concatenate([middle - half_width * np.array([1, 1.2]), middle + half_width * np.array([1, 1.35])])
    return Face(box.astype(np.float32), (middle + drawn.landmarks * half_width).astype(np.float32), 0.9)


def check(points: np.ndarray, face: Face, tolerance: float) -> None:
    eye_distance = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
    for group, expected in (
        (LEFT_EYE, face.landmarks[0]), (RIGHT_EYE, face.landmarks[1]), (LIPS_OUTER, face.landmarks[3:].mean(axis=0)),
    ):  # fmt: skip
        centre = points[list(group)].mean(axis=0)
        assert np.linalg.norm(centre - expected) < tolerance * eye_distance


@pytest.mark.parametrize("half_width", [25, 50, 80])
@pytest.mark.parametrize("centre", [(160, 120), (110, 118.5)])
def test_parts_of_a_drawn_face_are_where_they_are(half_width, centre, drawn, landmarker) -> None:
    face = drawn_as_face(drawn, centre, half_width)
    points = landmarker.landmarks(drawn.face(centre=centre, half_width=half_width), face)
    assert points is not None
    assert points.shape == (468, 2)
    assert points.dtype == np.float32
    check(points, face, 0.08)


@pytest.mark.parametrize("degrees", [-60, -25, 25, 60])
def test_a_turned_head_is_followed(degrees: float, drawn, landmarker) -> None:
    matrix = cv2.getRotationMatrix2D((160, 120), degrees, 1.0)
    image = cv2.warpAffine(drawn.face(), matrix, (320, 240), borderMode=cv2.BORDER_REPLICATE)
    upright = drawn_as_face(drawn)
    turned = transform_points(matrix, upright.landmarks)
    box = np.array([105, 60, 215, 190], np.float32)
    points = landmarker.landmarks(image, Face(box, turned, 0.9))
    assert points is not None
    check(points, Face(box, turned, 0.9), 0.1)


def test_a_poor_box_is_repaired_by_the_second_pass(drawn, landmarker) -> None:
    good = drawn_as_face(drawn)
    poor = Face(good.box + np.array([12, -10, 12, -10], np.float32), good.landmarks, 0.9)
    first, second = (landmarker.landmarks(drawn.face(), face) for face in (good, poor))
    assert first is not None
    assert second is not None
    assert np.abs(first - second).mean() < 0.03 * 50


def test_no_face_is_none(drawn, landmarker) -> None:
    assert landmarker.landmarks(np.full((240, 320, 3), 90, np.uint8), drawn_as_face(drawn)) is None


def test_groups_name_different_points_of_the_mesh() -> None:
    for name, group in GROUPS.items():
        assert len(set(group)) == len(group), name
        assert 0 <= min(group) <= max(group) < 468, name
    for one in GROUPS:
        for other in GROUPS:
            assert one == other or not set(GROUPS[one]) & set(GROUPS[other]), (one, other)


def test_groups_are_outlines_in_their_places(drawn, landmarker) -> None:
    """Every group is a closed line that does not cross itself, and lies inside or beside the others as on a face."""
    points = landmarker.landmarks(drawn.face(), drawn_as_face(drawn))
    outline = {name: points[list(group)] for name, group in GROUPS.items()}
    for name, line in outline.items():
        assert is_simple(line), f"{name} crosses itself"
    inside = [name for name in GROUPS if name != "oval"]
    assert all(within(outline["oval"], outline[name]) for name in inside)
    assert outline["left eye"][:, 0].max() < outline["right eye"][:, 0].min()
    assert outline["left eyebrow"][:, 1].mean() < outline["left eye"][:, 1].min()
    assert outline["right eyebrow"][:, 1].mean() < outline["right eye"][:, 1].min()
    assert outline["left eyebrow"][:, 0].mean() == pytest.approx(outline["left eye"][:, 0].mean(), abs=10)
    assert outline["outer lips"][:, 1].min() > outline["left eye"][:, 1].max()


def is_simple(line: np.ndarray) -> bool:
    count = len(line)

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
        return bool((b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0]))

    for i in range(count):
        for j in range(i + 2, count if i else count - 1):
            a, b, c, d = line[i], line[(i + 1) % count], line[j], line[(j + 1) % count]
            if side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b):
                return False
    return True


def within(outline: np.ndarray, line: np.ndarray) -> bool:
    return all(cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=False) > 0 for x, y in line)


def test_real_people_agree_with_the_detector(real_clips, landmarker) -> None:
    detector = CenterFaceDetector()
    paths = sorted(real_clips.glob("grid*/s*/*.mpg"))[::20]
    assert len(paths) > 4
    for path in paths:
        image = next(iter(video_frames(path, fps=1, start_s=1))).image
        face = detector.detect(image)[0]
        points = landmarker.landmarks(image, face)
        assert points is not None
        check(points, face, 0.25)
