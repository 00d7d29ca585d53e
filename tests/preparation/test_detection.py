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
    """Faces of given sides in the picture; a search finds those of at least 20 pixels at its scale."""

    def __init__(self, *sides: float) -> None:
        self.sides = sides
        self.searches: list[float] = []

    def detector_of(self, share: float) -> Scene:
        self.searches.append(share)
        return self

    def detect(self, image: np.ndarray) -> list[Face]:
        share = self.searches[-1]
        return [
            Face(np.array([0, 0, side, side], np.float32), np.zeros((5, 2), np.float32), share)
            for side in self.sides
            if side * share >= 20
        ]


def run(scene: Scene, changes: dict[int, tuple[float, ...]], pictures: int) -> list[list[Face]]:
    detector = ThriftyDetector(scene.detector_of, lambda longer: 640 / longer)
    found = []
    for number in range(pictures):
        scene.sides = changes.get(number, scene.sides)
        found.append(detector.detect(PICTURE))
    return found


@pytest.mark.parametrize(
    ("side", "share"),
    [(200, 0.25), (192, 0.25), (191, 0.3125), (150, 0.375), (96, 0.5), (90, 0.625), (64, 0.75), (63, 1.0), (30, 1.0)],
)
def test_one_scale_per_shot(side, share):
    scene = Scene(side)
    found = run(scene, {}, 10)
    assert [faces[0].score for faces in found] == [share] * 10
    assert scene.searches.count(1.0) == (10 if share == 1.0 else 1)


def test_the_smallest_face_decides():
    assert {face.score for faces in run(Scene(200, 60), {}, 4) for face in faces} == {1.0}


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


def test_settings_choose_the_detector():
    settings = StoreSettings()
    assert settings.detector_threshold == faces.DEFAULT_THRESHOLD
    assert isinstance(Tools(settings).detector_for_video(), ThriftyDetector)
    plain = Tools(StoreSettings(thrifty_detection=False)).detector_for_video()
    assert isinstance(plain, faces.FaceDetector)
    assert plain.detection_size == settings.detection_size
