"""Films that lie on their side or stand on their head give the clips that they would give upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.preparation.making import FPS, SIDE, SMALL, MarkerDetector, MarkerTools, number_of, write_marked

from veridical import media
from veridical.clips import StoreSettings
from veridical.faces import Face
from veridical.preparation import Extraction, extract_clips


class TurnedDetector(MarkerDetector):
    """Finds the face of a marked frame however it is turned: its marked corner says how."""

    def detect(self, image: np.ndarray) -> list[Face]:
        corners = [np.rot90(image, turn)[:16, :16] for turn in range(4)]
        turn = int(np.argmin([np.abs(corner.astype(float) - (128, 128, 128)).mean() for corner in corners]))
        found = []
        for face in super().detect(np.ascontiguousarray(np.rot90(image, turn))):
            points = np.concatenate([face.box.reshape(2, 2), face.landmarks])
            for _ in range(turn):  # back: rot90 brings (x, y) to (y, side - 1 - x)
                points = np.stack([SIDE - 1 - points[:, 1], points[:, 0]], axis=1)
            box = np.concatenate([points[:2].min(axis=0), points[:2].max(axis=0)])
            found.append(Face(box.astype(np.float32), points[2:].astype(np.float32), face.score))
        return found


class TurnedTools(MarkerTools):
    def detector_for_video(self) -> MarkerDetector:
        return TurnedDetector()


def run(path: Path, settings: StoreSettings = SMALL) -> Extraction:
    return extract_clips(path, "v", settings, TurnedTools(settings))


def turned(path: Path, out: Path, turns: int) -> Path:
    images = [np.rot90(frame.image, turns) for frame in media.video_frames(path)]
    media.write_video(out, images, fps=FPS, crf=4, preset="ultrafast", pixel_format="yuv444p")
    return out


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_film_that_lies_is_judged_upright(turns: int, tmp_path: Path) -> None:
    path = write_marked(tmp_path / "v.mp4", 60)
    settings = SMALL.model_copy(update={"mouths": True})
    straight, lying = run(path, settings), run(turned(path, tmp_path / "turned.mp4", turns), settings)
    assert straight.remarks == ()
    (remark,) = lying.remarks
    assert remark.startswith(f"judged turned by {90 * (4 - turns)} degrees anticlockwise")
    for one, other in zip(straight.clips, lying.clips, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.01)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.01)
        assert np.abs(one.frames.astype(int) - other.frames).mean() < 2
        assert np.abs(one.mouths.astype(int) - other.mouths).mean() < 2
        numbers = [[number_of(frame) for frame in clip.frames] for clip in (one, other)]
        np.testing.assert_allclose(*numbers, atol=0.6)


def test_a_head_that_tilts_does_not_turn_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tilts = iter([0, 0, 1, 1, 1, 0, 0, 0, 0, 0])
    plain = TurnedDetector.detect

    def tilting(self, image: np.ndarray) -> list[Face]:
        (face,) = plain(self, image)
        landmarks = face.landmarks[:, ::-1].copy() if next(tilts, 0) else face.landmarks
        return [Face(face.box, landmarks, face.score)]

    monkeypatch.setattr(TurnedDetector, "detect", tilting)
    assert not any("turned" in remark for remark in run(write_marked(tmp_path / "v.mp4", 50)).remarks)


@pytest.mark.parametrize("turns", [1, 2])
def test_a_real_film_that_lies_keeps_its_windows(turns: int, real_clips: Path, tmp_path: Path) -> None:
    path = real_clips / "grid_hq/s4/swwc4a.mpg"
    out = tmp_path / "turned.mp4"
    media.write_video(out, [np.rot90(frame.image, turns) for frame in media.video_frames(path)], fps=25)
    extraction = extract_clips(out, "v", StoreSettings())
    assert len(extraction.clips) == 3
    assert any("judged turned" in remark for remark in extraction.remarks)
