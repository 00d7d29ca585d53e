"""CenterFace on a drawn face at a known place, on nothing, and on real people."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.faces import CenterFaceDetector, Face, overlap
from veridical.faces.detect import _read_maps
from veridical.media import video_frames

THRESHOLD_FOR_DRAWINGS = 0.3


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    return CenterFaceDetector(THRESHOLD_FOR_DRAWINGS)


@pytest.mark.parametrize("half_width", [22, 50, 80])
@pytest.mark.parametrize("centre", [(160, 120), (120, 125), (201, 118)])
def test_a_drawn_face_is_found_where_it_is(half_width, centre, drawn, detector) -> None:
    faces = detector.detect(drawn.face(centre=centre, half_width=half_width))
    assert len(faces) == 1
    expected = np.array(centre) + drawn.landmarks * half_width
    assert np.linalg.norm(faces[0].landmarks - expected, axis=1).max() < 0.2 * half_width
    assert np.abs((faces[0].landmarks - expected).mean(axis=0)).max() < 0.1 * half_width
    x0, y0, x1, y1 = faces[0].box
    assert (x0 + x1) / 2 == pytest.approx(centre[0], abs=0.09 * half_width)
    assert x0 < centre[0] - 0.5 * half_width < centre[0] + 0.5 * half_width < x1
    assert y0 < centre[1] - 0.4 * half_width < centre[1] + 0.8 * half_width < y1


@pytest.mark.parametrize("shape", [(240, 320), (97, 161), (600, 200), (1080, 1920)])
def test_images_of_any_shape_keep_coordinates(shape, drawn, detector) -> None:
    height, width = shape
    half_width = 0.13 * min(shape)
    faces = detector.detect(drawn.face(width, height, centre=(width / 2, height / 2), half_width=half_width))
    assert len(faces) == 1
    expected = np.array([width / 2, height / 2]) + drawn.landmarks * half_width
    assert np.linalg.norm(faces[0].landmarks - expected, axis=1).max() < 0.25 * half_width


@pytest.mark.parametrize("size", [(640, 480), (641, 333)])
def test_a_region_gives_the_same_faces_as_the_whole_image(size, drawn, detector) -> None:
    width, height = size
    image = drawn.face(width, height, centre=(170, 150), half_width=45)
    image = drawn.face(width, height, centre=(500, 200), half_width=45, image=image)
    left, right = sorted(detector.detect(image), key=lambda face: face.box[0])
    for face in (left, right):
        margin = face.box[2] - face.box[0]
        within = face.box + np.array([-1, -1, 1, 1], np.float32) * margin
        (face_in_region,) = detector.detect(image, within)
        assert np.abs(face_in_region.landmarks - face.landmarks).max() < 0.05 * margin
        assert np.abs(face_in_region.box - face.box).max() < 0.05 * margin
    (face_in_region,) = detector.detect(image, np.array([-900, -900, 250, 900], np.float32))
    assert np.abs(face_in_region.landmarks - left.landmarks).max() < 0.05 * 90


@pytest.mark.parametrize("within", [(630, 470, 640, 480), (700, 500, 800, 600), (-50, -50, -10, -10), (9, 9, 9, 9)])
def test_an_empty_region_has_no_face(within, drawn, detector) -> None:
    image = drawn.face(640, 480, centre=(320, 200), half_width=60)
    assert detector.detect(image, np.array(within, np.float32)) == []


def test_of_two_faces_the_higher_score_comes_first(drawn, detector) -> None:
    image = drawn.face(400, 240, centre=(110, 120), half_width=45)
    image = drawn.face(400, 240, centre=(290, 120), half_width=45, image=image)
    faces = detector.detect(image)
    assert sorted(round(float(face.box[[0, 2]].mean()) / 180) for face in faces) == [1, 2]
    assert faces[0].score >= faces[1].score >= THRESHOLD_FOR_DRAWINGS


def test_left_and_right_are_as_seen(drawn, detector) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = detector.detect(drawn.face())[0].landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_is_found_where_nothing_is(level: int, detector) -> None:
    assert detector.detect(np.full((200, 300, 3), level, np.uint8)) == []
    noise = np.random.default_rng(level).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    assert detector.detect(noise) == []


def test_a_tiny_image_is_no_error(detector) -> None:
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []
    assert detector.detect(np.zeros((2, 700, 3), np.uint8)) == []


def test_threshold_is_obeyed(drawn) -> None:
    image = drawn.face()
    score = CenterFaceDetector(0.1).detect(image)[0].score
    assert len(CenterFaceDetector(score - 0.02).detect(image)) == 1
    assert CenterFaceDetector(score + 0.02).detect(image) == []


def test_the_same_image_gives_the_same_faces(drawn, detector) -> None:
    first, second = detector.detect(drawn.face())[0], CenterFaceDetector(THRESHOLD_FOR_DRAWINGS).detect(drawn.face())[0]
    np.testing.assert_array_equal(first.box, second.box)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


@pytest.mark.parametrize("threshold", [0, 1, -0.5])
def test_bad_settings_are_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        CenterFaceDetector(threshold)
    with pytest.raises(UsageError, match="detection_size"):
        CenterFaceDetector(detection_size=8)


@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((9, 9, 4), np.uint8)]
)
def test_bad_images_are_refused(image: np.ndarray, detector) -> None:
    with pytest.raises(ValueError, match="expected"):
        detector.detect(image)


def test_a_face_checks_its_shapes() -> None:
    with pytest.raises(ValueError, match="landmarks"):
        Face(np.zeros(4, np.float32), np.zeros((4, 2), np.float32), 0.9)
    assert Face(np.array([0, 0, 2, 3], np.float32), np.zeros((5, 2), np.float32), 0.9).area == 6


def test_maps_are_read_by_hand() -> None:
    """One peak in row 3, column 5: sizes are logarithms in strides, height first; offsets and landmarks too, y first."""
    centres, sizes, offsets = (
        np.zeros((1, 8, 9), np.float32),
        np.zeros((2, 8, 9), np.float32),
        np.zeros((2, 8, 9), np.float32),
    )
    points = np.zeros((10, 8, 9), np.float32)
    centres[0, 3, 5] = 0.8
    sizes[:, 3, 5] = np.log([10, 6])
    offsets[:, 3, 5] = 0.25, -0.125
    points[:, 3, 5] = [0.3, 0.2, 0.3, 0.8, 0.5, 0.5, 0.7, 0.3, 0.7, 0.7]
    (face,) = _read_maps(centres, sizes, offsets, points, threshold=0.5)
    x, y = (5 - 0.125 + 0.5) * 4 - 12, (3 + 0.25 + 0.5) * 4 - 20
    np.testing.assert_allclose(face.box, [x, y, x + 24, y + 40], atol=1e-4)
    relative = np.array([[0.2, 0.3], [0.8, 0.3], [0.5, 0.5], [0.3, 0.7], [0.7, 0.7]])
    np.testing.assert_allclose(face.landmarks, relative * [24, 40] + [x, y], atol=1e-4)
    assert face.score == pytest.approx(0.8)
    assert _read_maps(centres, sizes, offsets, points, threshold=0.9) == []


def test_overlap_by_hand() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 3, 3], [5, 5, 6, 6]], np.float32)
    np.testing.assert_allclose(overlap(boxes[0], boxes), [1, 1 / 3, 0, 0], atol=1e-6)


def test_real_people_are_found_once_each(real_clips) -> None:
    detector = CenterFaceDetector()
    paths = sorted(real_clips.glob("grid*/s*/*.mpg"))[::15]
    assert len(paths) > 5
    for path in paths:
        faces = detector.detect(next(iter(video_frames(path, fps=1, start_s=1))).image)
        assert len(faces) == 1, path.name
    both = detector.detect(next(iter(video_frames(real_clips / "usgov" / "obama_speech.mp4"))).image)
    assert len(both) == 2
