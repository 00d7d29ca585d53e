"""Footage from files: one tracked face, gaps interpolated, audio as long as the video, unusable videos refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from veridical.faces import Face
from veridical.forgery import Footage, read_footage, reading
from veridical.forgery.footage import frames_at_same_time, samples_in
from veridical.media import UnusableVideoError, write_video


class ToldFaceDetector:
    """Detects the faces that the test gives for each frame."""

    def __init__(self, faces: list[list[Face]]) -> None:
        self.faces, self.calls = faces, 0

    def detect(self, image: np.ndarray) -> list[Face]:
        self.calls += 1
        return self.faces[int(image[0, 0, 0])]


class Landmarker:
    """Outlines any face that it is given, except in the frames in `blind`."""

    def __init__(self, blind: set[int] = frozenset()) -> None:
        self.blind = blind

    def landmarks(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        if int(image[0, 0, 0]) in self.blind:
            return None
        x0, y0, x1, y1 = face.box
        points = np.random.default_rng(0).uniform([x0, y0], [x1, y1], (468, 2))
        points[:2] = [[x0, y0], [x1, y1]]
        return points.astype(np.float32)


def face(x: float, y: float, side: float) -> Face:
    box = np.array([x, y, x + side, y + side], np.float32)
    return Face(box, np.tile(box[:2] + side / 2, (5, 1)).astype(np.float32), 0.9)


def numbered(count: int) -> np.ndarray:
    """(count, 48, 64, 3) frames that carry their number in the first pixel."""
    frames = np.zeros((count, 48, 64, 3), np.uint8)
    frames[:, 0, 0, 0] = np.arange(count)
    return frames


def track(monkeypatch, faces: list[list[Face]], blind: set[int] = frozenset()):
    detector = ToldFaceDetector(faces)
    monkeypatch.setattr(reading, "CenterFaceDetector", lambda: detector)
    monkeypatch.setattr(reading, "DenseLandmarker", lambda: Landmarker(blind))
    landmarks, detected = reading.track_landmarks(numbered(len(faces)))
    return landmarks, detected, detector


def test_the_largest_face_is_taken_and_kept(monkeypatch):
    small, large = face(2, 2, 10), face(30, 10, 20)
    grown = face(2, 2, 40)
    landmarks, detected, detector = track(monkeypatch, [[small, large]] + [[grown, large]] * 24)
    assert detected.all()
    assert np.allclose(landmarks[:, 0], [30, 10], atol=1.5)
    assert detector.calls == 3, "between detections the landmarks lead"


def test_a_lost_face_is_detected_again_at_once(monkeypatch):
    landmarks, detected, detector = track(monkeypatch, [[face(10, 10, 20)]] * 12, blind={3, 4})
    assert list(np.flatnonzero(~detected)) == [3, 4]
    assert np.isnan(landmarks[3]).all()
    assert detector.calls == 4


def test_another_person_elsewhere_does_not_take_over(monkeypatch):
    _, detected, _ = track(monkeypatch, [[face(2, 2, 14)]] * 10 + [[face(45, 30, 15)]] * 10)
    assert detected[:10].all()
    assert not detected[10]


def test_gaps_are_filled_in_time_and_noise_is_smoothed():
    walk = np.linspace(0, 10, 11)[:, None, None] * np.ones((1, 468, 2))
    detected = np.ones(11, bool)
    detected[[0, 4, 5]] = False
    holes = np.where(detected[:, None, None], walk, np.nan)
    filled = reading._without_gaps(holes, detected)
    assert np.allclose(filled[1:], walk[1:])
    assert np.allclose(filled[0], walk[1]), "the ends take the nearest known"


@pytest.fixture
def known_face(monkeypatch):
    def still(frames):
        landmarks = np.random.default_rng(0).uniform(5, 40, (1, 468, 2))
        return np.tile(landmarks, (len(frames), 1, 1)), np.ones(len(frames), bool)

    monkeypatch.setattr(reading, "track_landmarks", still)


@pytest.mark.parametrize("fps", [25, 24.0, 29.97])
def test_audio_is_as_long_as_the_video(tmp_path, known_face, fps):
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


def test_landmarks_are_cached(tmp_path, known_face, monkeypatch):
    write_video(tmp_path / "a.mp4", np.zeros((15, 48, 64, 3), np.uint8), fps=25)
    first = read_footage(tmp_path / "a.mp4", cache=tmp_path / "cache")
    monkeypatch.setattr(reading, "track_landmarks", lambda frames: pytest.fail("tracked again"))
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


def test_a_part_has_the_frames_and_the_audio_of_the_same_time(target):
    part = target.part(5, 15)
    assert np.array_equal(part.frames, target.frames[5:15])
    assert np.array_equal(part.samples, target.samples[3200:9600])


def test_a_shorter_donor_plays_back_and_forth(footage_of):
    matches = frames_at_same_time(footage_of(0, num_frames=10), footage_of(1, num_frames=4))
    assert matches.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
