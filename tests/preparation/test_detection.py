"""Thrifty detection: one scale per shot, full size when anything changes, nobody lost."""

from __future__ import annotations

import numpy as np
import pytest

from veridical import faces
from veridical.clips import StoreSettings
from veridical.faces import Face
from veridical.preparation import Tools
from veridical.preparation.detection import FULL_EVERY, ThriftyDetector

PICTURE = np.zeros((360, 640, 3), np.uint8)


class Scene:
    """Faces of given (left, top, side) in a frame; a search finds those of at least 20 pixels at its scale."""

    def __init__(self, *sides: float) -> None:
        self.faces = at_left(*sides)
        self.searches: list[float] = []
        self.regions: list[np.ndarray | None] = []

    def detector_of(self, share: float) -> Scene:
        self.searches.append(share)
        return self

    def detect(self, image: np.ndarray, within: np.ndarray | None = None) -> list[Face]:
        self.regions.append(within)
        share = self.searches[-1] * 640 / image.shape[1]
        boxes = [np.array([x, y, x + side, y + side], np.float32) for x, y, side in self.faces if side * share >= 20]
        if within is not None:
            boxes = [box for box in boxes if np.all(box[:2] >= within[:2]) and np.all(box[2:] <= within[2:])]
        return [Face(box, np.zeros((5, 2), np.float32), self.searches[-1]) for box in boxes]

    @property
    def num_whole(self) -> int:
        return sum(region is None for region in self.regions)


def at_left(*sides: float) -> list[tuple[float, float, float]]:
    return [(0, 0, side) for side in sides]


def run(scene: Scene, changes: dict[int, tuple[float, ...]], pictures: int) -> list[list[Face]]:
    detector = ThriftyDetector(scene.detector_of, 640, 0.1)
    found = []
    for number in range(pictures):
        scene.faces = at_left(*changes[number]) if number in changes else scene.faces
        found.append(detector.detect(PICTURE))
    return found


def test_a_face_that_needs_full_size_is_searched_so_from_the_first_frame_on():
    scene = Scene(50)
    detector = ThriftyDetector(scene.detector_of, 640, 0.1)
    picture = np.zeros((324, 576, 3), np.uint8)
    assert {detector.detect(picture)[0].score for _ in range(3)} == {1.0}, "the score is the share"


@pytest.mark.parametrize(
    ("side", "share"),
    [(200, 0.25), (192, 0.25), (191, 0.3), (150, 0.35), (96, 0.5), (90, 0.6), (64, 0.8), (59, 1.0), (30, 1.0)],
)
def test_one_scale_per_shot(side, share):
    scene = Scene(side)
    found = run(scene, {}, 10)
    assert [faces[0].score for faces in found] == [share] * 10
    assert scene.num_whole <= 2 or side > 150


def test_the_smallest_face_decides():
    assert {face.score for faces in run(Scene(200, 50), {}, 4) for face in faces} == {1.0}


def test_nobody_found_at_full_size_is_lost_when_faces_go():
    scene = Scene(200)
    changes = {3: (), 5: (200,), 8: (30,), 11: (200, 150), 14: (200,)}
    found = run(scene, changes, 17)
    assert [len(faces) for faces in found] == [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert found[8][0].score == 1.0


def test_a_small_face_that_joins_is_found_by_the_next_full_search():
    found = run(Scene(200), {3: (200, 30)}, 40)
    first = [len(faces) for faces in found].index(2)
    assert 3 < first <= FULL_EVERY
    assert all(len(faces) == 2 for faces in found[first:])


def test_only_the_region_around_the_faces_is_searched_while_nothing_else_changes():
    scene = Scene()
    scene.faces = [(300, 150, 50)]
    found = run(scene, {}, 2 * FULL_EVERY)
    assert all(len(faces) == 1 for faces in found)
    assert scene.num_whole == 2
    np.testing.assert_array_equal(scene.regions[1], [250, 100, 400, 250])


@pytest.mark.parametrize("brightness", [15, 60])
def test_somebody_who_comes_changes_the_frame_and_is_found_at_once(brightness):
    scene, detector = newcomer(brightness)
    assert [len(detector.detect(picture)) for picture in scene.pictures] == [1, 1, 1, 2, 2, 2]
    assert [region is None for region in scene.regions] == [True, False, False, True, False, False]


def test_a_change_too_faint_to_be_a_face_is_no_reason_to_search():
    scene, detector = newcomer(brightness=10)
    assert [len(detector.detect(picture)) for picture in scene.pictures] == [1] * 6
    assert scene.num_whole == 1


class Arrival(Scene):
    """A second face appears in the fourth of six frames, far from the first."""

    def __init__(self, brightness: int) -> None:
        super().__init__()
        bright = PICTURE.copy()
        bright[200:240, 500:540] = brightness
        self.pictures = [PICTURE] * 3 + [bright] * 3

    def detect(self, image: np.ndarray, within: np.ndarray | None = None) -> list[Face]:
        self.faces = [(100, 100, 40), (500, 200, 40)] if image.any() else [(100, 100, 40)]
        return super().detect(image, within)


def newcomer(brightness: int) -> tuple[Arrival, ThriftyDetector]:
    scene = Arrival(brightness)
    return scene, ThriftyDetector(scene.detector_of, 640, 0.1)


def test_a_face_near_the_border_of_its_region_is_searched_in_the_whole_frame():
    scene = Scene()
    detector = ThriftyDetector(scene.detector_of, 640, 0.1)
    for left in (300, 330, 375):
        scene.faces = [(left, 150, 50)]
        assert len(detector.detect(PICTURE)) == 1
    assert [region is None for region in scene.regions] == [True, False, False, True]


def test_a_suspicion_of_a_small_face_is_enough_to_enlarge_but_no_face():
    scene = Scene(60, 10)
    scene.detect = lambda image, within=None: [  # type: ignore[method-assign]
        Face(np.array([0, 0, side, side], np.float32), np.zeros((5, 2), np.float32), score)
        for side, score in ((60, 0.9), (10, 0.3 if scene.searches[-1] < 1 else 0.6))
    ]
    found = ThriftyDetector(scene.detector_of, 640, 0.5).detect(np.zeros((240, 320, 3), np.uint8))
    assert scene.searches == [0.5, 1.0]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("sides", "searches"),
    [
        ((60,), [0.5, 0.4]),  # as it is, then at the scale of the shot
        ((40,), [0.5, 1.0, 0.6]),  # found, but small: enlarged
        ((15,), [0.5, 1.0]),  # not found until enlarged
        ((60, 15), [0.5, 0.4]),  # what is too small beside a large face is not looked for
    ],
)
def test_a_small_frame_is_enlarged_only_for_small_faces(sides, searches):
    scene = Scene(*sides)
    detector = ThriftyDetector(scene.detector_of, 640, 0.1)
    assert detector.detect(np.zeros((240, 320, 3), np.uint8))
    assert scene.searches == searches


def test_settings_choose_the_detector():
    settings = StoreSettings()
    assert settings.detector_threshold == faces.DEFAULT_THRESHOLD
    assert isinstance(Tools(settings).detector_for_video(), ThriftyDetector)
    plain = Tools(StoreSettings(thrifty_detection=False)).detector_for_video()
    assert isinstance(plain, faces.CenterFaceDetector)
    assert plain.detection_size == settings.detection_size


class NeedsRoom:
    """Finds faces of these sides in the middle of pictures that leave room around them, as CenterFace does."""

    def __init__(self, *sides: float) -> None:
        self.sides, self.num_searches = sides, 0

    def detect(self, image: np.ndarray, within: np.ndarray | None = None) -> list[Face]:
        self.num_searches += 1
        middle = np.array(image.shape[1::-1], np.float32) / 2
        seen = [side for side in self.sides if side < 0.8 * min(image.shape[:2])]
        return [
            Face(np.concatenate([middle - side / 2, middle + side / 2]), np.tile(middle, (5, 1)), 0.9) for side in seen
        ]


@pytest.mark.parametrize("size", [(160, 160), (160, 120)])
def test_a_face_that_fills_the_frame_is_found(size):
    """In a video cropped to the face; the places are those of the frame, without the border."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    side = 0.9 * min(size)
    (face,) = ThriftyDetector(lambda _: NeedsRoom(side), 640, 0.5).detect(picture)
    middle = np.array(size) / 2
    np.testing.assert_allclose(face.box, np.concatenate([middle - side / 2, middle + side / 2]), atol=1e-3)
    np.testing.assert_allclose(face.landmarks, np.tile(middle, (5, 1)), atol=1e-3)


def test_in_the_border_only_faces_that_fill_the_frame_count(monkeypatch):
    detector = NeedsRoom(30)
    monkeypatch.setattr(
        detector, "detect", lambda image, within=None, real=detector.detect: real(image) if image.shape[0] > 160 else []
    )
    assert ThriftyDetector(lambda _: detector, 640, 0.5).detect(np.zeros((160, 160, 3), np.uint8)) == []
