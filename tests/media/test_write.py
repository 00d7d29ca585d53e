"""Written videos: whole or absent, near to what went in, and readable by the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.media import probe, video_frames, write_video


def smooth(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [(160, 96), (161, 97), (33, 64)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
def test_frames_come_back_nearly_the_same(size: tuple[int, int], pixel_format: str, tmp_path: Path) -> None:
    picture = smooth(*size)
    write_video(tmp_path / "a.mp4", [picture] * 5, fps=25, crf=8, pixel_format=pixel_format)
    frames = list(video_frames(tmp_path / "a.mp4"))
    assert len(frames) == 5
    height, width = picture.shape[:2]
    grown = frames[0].image
    assert 0 <= grown.shape[0] - height <= 1
    assert 0 <= grown.shape[1] - width <= 1
    assert np.abs(grown[:height, :width].astype(int) - picture).mean() < 3
    assert probe(tmp_path / "a.mp4").pixel_format == pixel_format


def test_quality_follows_crf(tmp_path: Path) -> None:
    pictures = [np.random.default_rng(i).integers(0, 255, (96, 96, 3), np.uint8) for i in range(5)]
    sizes = []
    for crf in (5, 23, 40):
        write_video(tmp_path / f"{crf}.mp4", pictures, fps=25, crf=crf)
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > 1.5 * sizes[1] > 3 * sizes[2]


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    def breaking():
        yield smooth(64, 64)
        raise RuntimeError("the source broke")

    path = tmp_path / "a.mp4"
    with pytest.raises(RuntimeError, match="the source broke"):
        write_video(path, breaking(), fps=25)
    assert list(tmp_path.iterdir()) == []
    write_video(path, [smooth(64, 64)] * 3, fps=25)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_video(path, breaking(), fps=25)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": []}, "no frame"),
        ({"frames": [np.zeros((8, 8), np.uint8)]}, "expected"),
        ({"frames": [np.zeros((64, 64, 3), np.float32)]}, "uint8"),
        ({"frames": [smooth(64, 64), smooth(32, 64)]}, "one size"),
        ({"fps": 0}, "fps"),
        ({"codec": "libx999"}, "libx999"),
        ({"pixel_format": "yuv999"}, "yuv999"),
        ({"path": "a.txt"}, ".mp4"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(change: dict, words: str, tmp_path: Path) -> None:
    arguments = {"frames": [smooth(64, 64)], "fps": 25, "path": "a.mp4", **change}
    path = tmp_path / arguments.pop("path")
    with pytest.raises(UsageError, match=words) as caught:
        write_video(path, **arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
