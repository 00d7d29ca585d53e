"""Footage from files: one tracked face, gaps filled, sound as long as the picture, honest refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from veridical.faces import Face
from veridical.forgery import Footage, read_footage, reading
from veridical.forgery.footage import same_moments, samples_in
from veridical.media import UnusableVideoError, write_video


class Detector:
    """Sees the faces it was told of."""

    def __init__(self, faces: list[list[Face]]) -> None:
        self.faces, self.calls = faces, 0

    def detect(self, picture: np.ndarray) -> list[Face]:
        self.calls += 1
        return self.faces[int(picture[0, 0, 0])]


class Landmarker:
    """Outlines whatever face it is asked for, unless the frame is in `blind`."""

    def __init__(self, blind: set[int] = frozenset()) -> None:
        self.blind = blind

    def landmarks(self, picture: np.ndarray, face: Face) -> np.ndarray | None:
        if int(picture[0, 0, 0]) in self.blind:
            return None
        x0, y0, x1, y1 = face.box
        points = np.random.default_rng(0).uniform([x0, y0], [x1, y1], (468, 2))
        points[:2] = [[x0, y0], [x1, y1]]
        return points.astype(np.float32)


def face(x: float, y: float, side: float) -> Face:
    box = np.array([x, y, x + side, y + side], np.float32)
    return Face(box, np.tile(box[:2] + side / 2, (5, 1)).astype(np.float32), 0.9)


def numbered(count: int) -> np.ndarray:
    """(count, 48, 64, 3) pictures that carry their number in the first pixel."""
    frames = np.zeros((count, 48, 64, 3), np.uint8)
    frames[:, 0, 0, 0] = np.arange(count)
    return frames


def track(monkeypatch, faces: list[list[Face]], blind: set[int] = frozenset()):
    detector = Detector(faces)
    monkeypatch.setattr(reading, "CenterFaceDetector", lambda: detector)
    monkeypatch.setattr(reading, "DenseLandmarker", lambda: Landmarker(blind))
    landmarks, found = reading.track_landmarks(numbered(len(faces)))
    return landmarks, found, detector


def test_the_largest_face_is_taken_and_kept(monkeypatch):
    small, large = face(2, 2, 10), face(30, 10, 20)
    grown = face(2, 2, 40)
    landmarks, found, detector = track(monkeypatch, [[small, large]] + [[grown, large]] * 24)
    assert found.all()
    assert np.allclose(landmarks[:, 0], [30, 10], atol=1.5)
    assert detector.calls == 3, "between detections the landmarks lead"


def test_a_face_that_is_lost_is_looked_for_at_once(monkeypatch):
    landmarks, found, detector = track(monkeypatch, [[face(10, 10, 20)]] * 12, blind={3, 4})
    assert list(np.flatnonzero(~found)) == [3, 4]
    assert np.isnan(landmarks[3]).all()
    assert detector.calls == 4


def test_another_person_elsewhere_does_not_take_over(monkeypatch):
    _, found, _ = track(monkeypatch, [[face(2, 2, 14)]] * 10 + [[face(45, 30, 15)]] * 10)
    assert found[:10].all()
    assert not found[10]


def test_gaps_are_filled_in_time_and_noise_is_smoothed():
    walk = np.linspace(0, 10, 11)[:, None, None] * np.ones((1, 468, 2))
    found = np.ones(11, bool)
    found[[0, 4, 5]] = False
    holes = np.where(found[:, None, None], walk, np.nan)
    filled = reading._without_gaps(holes, found)
    assert np.allclose(filled[1:], walk[1:])
    assert np.allclose(filled[0], walk[1]), "the ends take the nearest known"


@pytest.fixture
def known_face(monkeypatch):
    def found(frames):
        return np.tile(np.random.default_rng(0).uniform(5, 40, (1, 468, 2)), (len(frames), 1, 1)), np.ones(
            len(frames), bool
        )

    monkeypatch.setattr(reading, "track_landmarks", found)


@pytest.mark.parametrize("fps", [25, 24.0, 29.97])
def test_sound_is_as_long_as_the_picture(tmp_path, known_face, fps):
    frames = np.zeros((24, 48, 64, 3), np.uint8)
    for seconds in (0.2, 3.0):
        write_video(tmp_path / "a.mp4", frames, fps=fps, samples=np.full(int(16_000 * seconds), 0.1, np.float32))
        footage = read_footage(tmp_path / "a.mp4")
        assert len(footage) == 24
        assert footage.fps == pytest.approx(fps, abs=1e-2)
        assert len(footage.samples) == samples_in(24, footage.fps)


def test_fast_large_and_long_videos_are_reduced(tmp_path, known_face):
    write_video(tmp_path / "a.mp4", np.zeros((120, 62, 130, 3), np.uint8), fps=60)
    footage = read_footage(tmp_path / "a.mp4", max_seconds=1.0, max_side=65)
    assert footage.frames.shape == (30, 32, 64, 3)
    assert footage.fps == 30
    assert footage.samples is None


def test_landmarks_are_kept_for_the_next_time(tmp_path, known_face, monkeypatch):
    write_video(tmp_path / "a.mp4", np.zeros((15, 48, 64, 3), np.uint8), fps=25)
    first = read_footage(tmp_path / "a.mp4", cache=tmp_path / "cache")
    monkeypatch.setattr(reading, "track_landmarks", lambda frames: pytest.fail("looked again"))
    again = read_footage(tmp_path / "a.mp4", cache=tmp_path / "cache")
    assert np.array_equal(first.landmarks, again.landmarks)
    write_video(tmp_path / "a.mp4", np.zeros((16, 48, 64, 3), np.uint8), fps=25)
    with pytest.raises(pytest.fail.Exception):
        read_footage(tmp_path / "a.mp4", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "status"), [(b"", "unreadable"), (b"no video at all", "unreadable"), (None, "unreadable")]
)
def test_what_is_no_video_is_refused(tmp_path: Path, content, status):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableVideoError) as error:
        read_footage(path)
    assert error.value.status == status


def test_a_video_without_a_face_is_refused(tmp_path):
    grey = np.full((15, 120, 160, 3), 127, np.uint8)
    write_video(tmp_path / "grey.mp4", grey, fps=25)
    with pytest.raises(UnusableVideoError) as error:
        read_footage(tmp_path / "grey.mp4")
    assert error.value.status == "no_face"


def test_footage_checks_itself(target):
    with pytest.raises(ValueError, match="landmarks"):
        Footage(target.frames, 25.0, target.landmarks[:, :5])
    with pytest.raises(ValueError, match="samples"):
        Footage(target.frames, 25.0, target.landmarks, target.samples[:-7])
    with pytest.raises(ValueError, match="frames"):
        Footage(target.frames.astype(np.float32), 25.0, target.landmarks)


def test_a_part_is_the_same_time_of_picture_and_sound(target):
    part = target.part(5, 15)
    assert np.array_equal(part.frames, target.frames[5:15])
    assert np.array_equal(part.samples, target.samples[3200:9600])


def test_a_shorter_donor_is_played_forth_and_back(footage_of):
    moments = same_moments(footage_of(0, num_frames=10), footage_of(1, num_frames=4))
    assert moments.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
