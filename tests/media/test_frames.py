"""Which frame is shown when: every container and codec, every trap of time, by frames that carry their number."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.errors import UsageError
from veridical.media import probe, video_frames
from veridical.media.container import Clock

B_FRAMES = {"bf": "3", "g": "20", "crf": "12", "preset": "veryfast"}
FORMATS: dict[str, dict] = {
    "mpeg1.mpg": {"codec": "mpeg1video", "options": {"b": "3000000"}},
    "mpeg2-b-frames.mpg": {"codec": "mpeg2video", "options": {"b": "3000000", "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"b": "3000000"}},
    "h264-b-frames.mp4": {"codec": "libx264", "options": B_FRAMES},
    "h264-open-gop.mkv": {"codec": "libx264", "options": {**B_FRAMES, "x264-params": "open-gop=1:keyint=12"}},
    "h264.ts": {"codec": "libx264", "options": B_FRAMES},
    "h264.flv": {"codec": "libx264", "options": B_FRAMES},
    "h264.mov": {"codec": "libx264", "options": B_FRAMES},
    "h264-444.mp4": {"codec": "libx264", "options": B_FRAMES, "pixel_format": "yuv444p"},
    "h264-10-bit.mp4": {"codec": "libx264", "options": B_FRAMES, "pixel_format": "yuv420p10le"},
    "h264-odd-444.mkv": {"codec": "libx264", "options": B_FRAMES, "pixel_format": "yuv444p", "size": (161, 97)},
    "h264-fragments.mp4": {"options": B_FRAMES, "muxer_options": {"movflags": "frag_keyframe+empty_moov"}},
    "hevc-10-bit.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:bframes=3:keyint=20"},
                        "pixel_format": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"crf": "20", "b": "0", "cpu-used": "8", "deadline": "realtime",
                                                    "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "12", "crf": "25", "svtav1-params": "keyint=20"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"b": "3000000"}},
    "h264-b-frames.avi": {"codec": "libx264", "options": B_FRAMES},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "ffv1-odd.mkv": {"codec": "ffv1", "pixel_format": "yuv420p", "size": (161, 97)},
    "raw.h264": {"codec": "libx264", "options": {**B_FRAMES, "bf": "0"}},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_every_frame_at_its_time(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **FORMATS[name])
    frames = list(video_frames(path))
    assert [films.number_of(frame.image) for frame in frames] == list(range(50))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(50) / 25, atol=1.1e-3)
    assert [films.number_of(frame.image) for frame in video_frames(path, fps=5)] == list(range(0, 50, 5))
    assert [films.number_of(frame.image) for frame in video_frames(path, fps=7)] == [k * 25 // 7 for k in range(14)]
    width, height = FORMATS[name].get("size", (160, 96))
    assert frames[0].image.shape == (height, width, 3)
    assert (probe(path).width, probe(path).height) == (width, height)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_colours(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **FORMATS[name], count=15)
    image = next(iter(video_frames(path))).image
    assert image.dtype == np.uint8
    assert image.flags["C_CONTIGUOUS"]
    for patch, expected in ((image[-26:-6, 6:26], (200, 40, 60)), (image[-26:-6, 70:90], (40, 160, 70))):
        np.testing.assert_allclose(patch.reshape(-1, 3).mean(axis=0), expected, atol=6)


@pytest.mark.parametrize("matrix", [1, 6])
def test_the_declared_colour_matrix_is_used(matrix: int, films, tmp_path: Path) -> None:
    def declare(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1

    path = films.write(tmp_path / "a.mp4", options={"crf": "8"}, count=2, prepare=declare)
    image = next(iter(video_frames(path))).image
    off = np.abs(image[-26:-6, 70:90].reshape(-1, 3).mean(axis=0) - (40, 160, 70)).max()
    assert (off < 5) == (matrix == 6), "the film is encoded with BT.601; read as BT.709 its green must differ"


def test_variable_frame_rate_is_sampled_by_time_not_by_index(films, tmp_path: Path) -> None:
    ticks = [0, 40, 80, 600, 640, 1300, 1310, 1320, 1900]
    path = films.write(tmp_path / "vfr.mp4", pts=ticks, time_base=Fraction(1, 1000), options=B_FRAMES)
    frames = list(video_frames(path))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(ticks) / 1000, atol=1e-6)
    sampled = list(video_frames(path, fps=5))
    expected = [max(i for i, tick in enumerate(ticks) if tick <= 200 * k) for k in range(10)]
    assert [films.number_of(frame.image) for frame in sampled][:10] == expected
    assert [frame.time_s for frame in sampled][:10] == [k / 5 for k in range(10)]
    for frame in sampled:
        assert frame.pts_s <= frame.time_s + 1e-3


@given(gaps=st.lists(st.integers(1, 900), min_size=1, max_size=25), fps=st.floats(0.7, 60))
@settings(max_examples=12, deadline=None)
def test_sampling_shows_the_last_frame_at_or_before_each_time(gaps, fps, films, tmp_path_factory) -> None:
    ticks = np.concatenate([[0], np.cumsum(gaps)]).tolist()
    path = tmp_path_factory.mktemp("film") / "a.mkv"
    films.write(path, "ffv1", pts=ticks, time_base=Fraction(1, 1000))
    frames = list(video_frames(path, fps=fps))
    assert [frame.time_s for frame in frames] == [k / fps for k in range(len(frames))]
    assert frames[-1].time_s >= ticks[-1] / 1000 - 1 / fps
    for frame in frames:
        due = max(i for i, tick in enumerate(ticks) if tick / 1000 <= frame.time_s + 1e-3)
        assert films.number_of(frame.image) == due


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_time_zero_is_the_first_frame_whatever_the_container_says(suffix: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / f"late.{suffix}", pts=range(40, 60), options=B_FRAMES)
    frames = list(video_frames(path))
    assert [films.number_of(frame.image) for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 25, atol=1.1e-3)


@pytest.mark.parametrize(("start_s", "stop_s"), [(0.4, 1.2), (0.0, 0.04), (1.99, None), (0.41, 0.79), (5.0, None)])
@pytest.mark.parametrize("fps", [None, 5.0, 12.5])
def test_start_and_stop_are_half_open(start_s: float, stop_s: float | None, fps, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mp4", options=B_FRAMES)
    whole = list(video_frames(path, fps=fps))
    wanted = [f for f in whole if start_s - 1e-6 <= f.time_s < (math.inf if stop_s is None else stop_s) - 1e-6]
    part = list(video_frames(path, fps=fps, start_s=start_s, stop_s=stop_s))
    assert [frame.time_s for frame in part] == [frame.time_s for frame in wanted]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(part, wanted, strict=True))


LONG = {
    "b-frames.mp4": {"options": {**B_FRAMES, "g": "30"}},
    "open-gop.mp4": {"options": {**B_FRAMES, "x264-params": "open-gop=1:keyint=25"}},
    "open-gop.mkv": {"options": {**B_FRAMES, "x264-params": "open-gop=1:keyint=25"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:bframes=4:keyint=25:open-gop=1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "25", "b": "0", "crf": "25", "cpu-used": "8"}},
    "late.mp4": {"options": {**B_FRAMES, "g": "30"}, "pts": range(35, 245)},
    "one-key-frame.mp4": {"options": {**B_FRAMES, "g": "1000", "sc_threshold": "0"}},
    "mpeg.mpg": {"codec": "mpeg1video", "options": {"b": "2000000"}},
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_a_late_start_gives_what_reading_everything_gives(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **{"count": 210, **LONG[name]})
    whole = list(video_frames(path))
    sampled = list(video_frames(path, fps=7))
    for start_s in (2.0, 3.13, 5.0, 7.999):
        part = list(video_frames(path, start_s=start_s))
        wanted = [frame for frame in whole if frame.time_s >= start_s - 1e-3]
        assert [round(f.time_s, 6) for f in part] == [round(f.time_s, 6) for f in wanted]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(part, wanted, strict=True))
        again = list(video_frames(path, fps=7, start_s=start_s, stop_s=start_s + 1))
        due = [frame for frame in sampled if start_s - 1e-3 <= frame.time_s < start_s + 1 - 1e-3]
        assert [f.time_s for f in again] == [f.time_s for f in due]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(again, due, strict=True))


@pytest.mark.parametrize("name", ["b-frames.mp4", "vp9.webm"])
def test_a_late_start_does_not_decode_everything(name: str, films, tmp_path: Path, monkeypatch) -> None:
    path = films.write(tmp_path / name, **{"count": 210, **LONG[name]})
    read: list[float] = []
    original = Clock.read
    monkeypatch.setattr(Clock, "read", lambda self, frame: read.append(0.0) or original(self, frame))
    assert len(list(video_frames(path, start_s=8.0))) == 10
    assert len(read) < 70


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_is_applied(degrees: int, turns: int, films, tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "turned.mp4", count=3, options=B_FRAMES, prepare=lambda stream: stream.set_display_rotation(degrees)
    )
    image = next(iter(video_frames(path))).image
    upright = np.rot90(image, -turns)
    assert upright.shape == (96, 160, 3)
    assert films.number_of(upright) == 0
    np.testing.assert_allclose(upright[-26:-6, 6:26].reshape(-1, 3).mean(axis=0), (200, 40, 60), atol=6)
    facts = probe(path)
    assert (facts.height, facts.width) == image.shape[:2]


def test_mirroring_is_applied(films, tmp_path: Path) -> None:
    matrix = (-65536, 0, 0, 0, 65536, 0, 160 * 65536, 0, 1 << 30)
    path = films.write(
        tmp_path / "mirror.mp4", count=3, options=B_FRAMES, prepare=lambda stream: stream.set_display_matrix(matrix)
    )
    image = next(iter(video_frames(path))).image
    np.testing.assert_allclose(image[-26:-6, -26:-6].reshape(-1, 3).mean(axis=0), (200, 40, 60), atol=6)


def test_an_edit_list_hides_frames(films, tmp_path: Path) -> None:
    """Frames with negative time are before the MP4's edit and are not shown."""
    path = films.write(tmp_path / "edited.mp4", pts=range(-10, 30), options={**B_FRAMES, "g": "40"})
    frames = list(video_frames(path))
    assert [films.number_of(frame.image) for frame in frames] == list(range(10, 40))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 25, atol=1e-6)


def test_the_last_frame_lasts_its_duration(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "slow.mp4", count=3, rate=1, options=B_FRAMES)
    assert [films.number_of(frame.image) for frame in video_frames(path, fps=2)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("fps", [0, -1, math.inf, math.nan])
def test_impossible_rates_are_refused_at_once(fps: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fps"):
        video_frames(tmp_path / "a.mp4", fps=fps)


def test_real_clips_have_75_frames_at_25_per_second(real_clips: Path) -> None:
    paths = sorted(real_clips.glob("grid*/s*/*.mpg"))[::25]
    assert paths
    for path in paths:
        frames = [frame.time_s for frame in video_frames(path)]
        np.testing.assert_allclose(frames, np.arange(len(frames)) / 25, atol=1e-3)
        assert len(list(video_frames(path, fps=5))) == math.ceil(len(frames) / 5)
