"""Frames as a player shows them: square pixels, and one size though the stored size changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from veridical.media import probe, transcode, video_frames


def disc(number: int, width: int, height: int) -> np.ndarray:
    """Return a bright disc as an ellipse that fills half of the frame both ways, on grey."""
    y, x = np.mgrid[:height, :width]
    inside = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.25**2
    return np.repeat(np.where(inside, 230, 60).astype(np.uint8)[..., None], 3, axis=2)


def extent(image: np.ndarray) -> tuple[int, int]:
    """Return width and height of what is bright."""
    bright = image[..., 1] > 150
    return int(bright.any(axis=0).sum()), int(bright.any(axis=1).sum())


def with_aspect(aspect: Fraction):
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    return prepare


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mpg"])
@pytest.mark.parametrize(
    ("stored", "aspect", "shown"),
    [
        ((96, 128), Fraction(4, 3), (128, 128)),
        ((128, 96), Fraction(3, 4), (128, 128)),
        ((128, 128), Fraction(16, 9), (228, 128)),
    ],
)
def test_pixels_become_square(suffix: str, stored, aspect: Fraction, shown, films, tmp_path: Path) -> None:
    if suffix == "mpg" and aspect != Fraction(16, 9):
        pytest.skip("MPEG-2 knows display aspects of 4:3, 16:9 and 2.21:1 only")
    codec = "mpeg2video" if suffix == "mpg" else "libx264"
    path = films.write(
        tmp_path / f"a.{suffix}", codec, size=stored, count=15, picture=disc, prepare=with_aspect(aspect)
    )
    for frame in [*video_frames(path), *video_frames(path, fps=5)]:
        assert frame.image.shape == (shown[1], shown[0], 3)
        np.testing.assert_allclose(extent(frame.image), (shown[0] / 2, shown[1] / 2), atol=3)
    assert (probe(path).width, probe(path).height) == shown
    transcode(path, tmp_path / "out.mp4", crf=18)
    assert (probe(tmp_path / "out.mp4").width, probe(tmp_path / "out.mp4").height) == shown


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(1, 1000), Fraction(0, 1)])
def test_impossible_aspects_are_ignored(aspect: Fraction, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mkv", size=(128, 96), count=3, prepare=with_aspect(aspect))
    assert next(iter(video_frames(path))).image.shape == (96, 128, 3)


def test_a_turned_video_with_oblong_pixels(films, tmp_path: Path) -> None:
    def prepare(stream: av.VideoStream) -> None:
        with_aspect(Fraction(3, 2))(stream)
        stream.set_display_rotation(90)

    path = films.write(tmp_path / "a.mp4", size=(96, 128), count=3, picture=disc, prepare=prepare)
    image = next(iter(video_frames(path))).image
    assert image.shape == (144, 128, 3)
    np.testing.assert_allclose(extent(image), (64, 72), atol=3)


def joined(films, folder: Path, first: tuple[int, int], second: tuple[int, int]) -> Path:
    parts = [
        films.write(
            folder / f"{number}.ts", size=size, count=50, picture=disc, pts=range(50 * number, 50 * number + 50)
        )
        for number, size in enumerate((first, second))
    ]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("second", [(320, 192), (80, 48)])
def test_a_size_that_changes_is_shown_in_one_size(second: tuple[int, int], films, tmp_path: Path) -> None:
    path = joined(films, tmp_path, (160, 96), second)
    reading = video_frames(path)
    frames = list(reading)
    assert len(frames) >= 98
    assert reading.stored_sizes == [(160, 96), second]
    for frame in [*frames, *video_frames(path, fps=5)]:
        assert frame.image.shape == (96, 160, 3)
        np.testing.assert_allclose(extent(frame.image), (80, 48), atol=3)


def test_other_proportions_get_bars(films, tmp_path: Path) -> None:
    last = list(video_frames(joined(films, tmp_path, (160, 96), (96, 192))))[-1].image
    assert last.shape == (96, 160, 3)
    np.testing.assert_allclose(extent(last), (24, 48), atol=3)
    assert last[:, :50].max() < 5
    assert last[:, -50:].max() < 5
