"""Sampling decodes less than everything, and gives the same frames bit by bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.media.conftest import numbered
from tests.media.test_frames import B_FRAMES, FORMATS, LONG

from veridical.media import sampling, video_frames
from veridical.media.container import Clock

X265 = "log-level=none:bframes=4:keyint=25"
TRAPS = {
    "pyramid.mp4": {"options": {**B_FRAMES, "bf": "7", "x264-params": "b-pyramid=strict:b-adapt=0"}},
    "interlaced.mp4": {"options": {**B_FRAMES, "x264-params": "tff=1"}},
    "interlaced.ts": {"options": {**B_FRAMES, "x264-params": "tff=1"}},
    "edited.mp4": {"options": {**B_FRAMES, "g": "40"}, "pts": range(-10, 50)},
    "late.mkv": {"options": B_FRAMES, "pts": range(40, 100)},
    "without-timestamps.avi": {"options": B_FRAMES},
    "without-timestamps.h264": {"options": B_FRAMES},
    "mpeg4-b-frames.avi": {"codec": "mpeg4", "options": {"b": "3000000", "bf": "2"}},
    "mpeg4-b-frames.mp4": {"codec": "mpeg4", "options": {"b": "3000000", "bf": "2"}},
    "mpeg1-b-frames.mpg": {"codec": "mpeg1video", "options": {"b": "3000000", "bf": "2"}},
    "hevc.ts": {"codec": "libx265", "options": {"x265-params": X265}},
    "hevc-layers.mp4": {"codec": "libx265", "options": {"x265-params": X265 + ":temporal-layers=3:b-pyramid=1"}},
    "hevc-layers.ts": {"codec": "libx265", "options": {"x265-params": X265 + ":temporal-layers=3:b-pyramid=1"}},
}  # fmt: skip


def moving(number: int, width: int, height: int) -> np.ndarray:
    """A number over a texture that moves, so that a frame with a wrong reference looks different."""
    texture = np.random.default_rng(0).integers(60, 190, (height // 8 + 40, width // 8 + 40, 3))
    large = np.kron(texture, np.ones((8, 8, 1))).astype(np.uint8)
    picture = large[number : number + height, 3 * number % 160 : 3 * number % 160 + width].copy()
    picture[:16, :128] = numbered(number, width, height)[:16, :128]
    return picture


def assert_same_as_whole(path: Path, fps: float, start_s: float = 0.0) -> None:
    """Compare sampled frames with those picked from all frames."""
    everything = video_frames(path)
    whole = list(everything)
    sampled = video_frames(path, fps=fps, start_s=start_s)
    pictures = list(sampled)
    assert pictures
    assert sampled.end_s == pytest.approx(everything.end_s, abs=1e-6)
    first = int(np.ceil((start_s - 1e-3) * fps))
    assert [frame.time_s for frame in pictures] == [k / fps for k in range(first, first + len(pictures))]
    assert (first + len(pictures)) / fps >= everything.end_s - 2e-3
    for frame in pictures:
        due = [item for item in whole if item.pts_s <= frame.time_s + 1e-3][-1]
        assert frame.pts_s == pytest.approx(due.pts_s, abs=1e-9)
        assert np.array_equal(frame.image, due.image), f"another picture at {frame.time_s} s"


@pytest.mark.parametrize("name", [*FORMATS, *TRAPS])
def test_every_format_sampled_equals_the_whole(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **{"count": 60, "picture": moving, **{**FORMATS, **TRAPS}[name]})
    for fps in (5.0, 1.3, 11.0):
        assert_same_as_whole(path, fps)


@pytest.mark.parametrize("name", LONG)
def test_a_late_start_sampled_equals_the_whole(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **{"count": 210, "picture": moving, **LONG[name]})
    assert_same_as_whole(path, 5.0, start_s=5.3)


@given(gaps=st.lists(st.integers(1, 400), min_size=3, max_size=40), fps=st.floats(0.7, 30), b_frames=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_variable_frame_rate_sampled_equals_the_whole(gaps, fps, b_frames, films, tmp_path_factory) -> None:
    ticks = np.concatenate([[0], np.cumsum(gaps)]).tolist()
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    films.write(path, pts=ticks, time_base=Fraction(1, 1000), options={**B_FRAMES, "bf": str(b_frames)}, picture=moving)
    assert_same_as_whole(path, fps)


@pytest.mark.parametrize(
    ("name", "share"), [("h264-b-frames.mp4", 0.7), ("mpeg2-b-frames.mpg", 0.6), ("prores.mov", 0.3), ("hevc.ts", 0.75)]
)
def test_fewer_frames_are_decoded(name: str, share: float, films, tmp_path: Path, monkeypatch) -> None:
    path = films.write(tmp_path / name, **{"count": 100, "picture": moving, **{**FORMATS, **TRAPS}[name]})
    read: list[float] = []
    original = Clock.read
    monkeypatch.setattr(Clock, "read", lambda self, frame: read.append(0.0) or original(self, frame))
    assert len(list(video_frames(path, fps=5))) == 20
    assert 20 <= len(read) <= share * 100


@pytest.mark.parametrize("name", ["h264.ts", "h264-b-frames.mp4", "mpeg1-b-frames.mpg", "hevc.ts"])
def test_damage_sampled_equals_the_whole(name: str, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / name, **{"count": 150, "picture": moving, **{**FORMATS, **TRAPS}[name]})
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(3)
    for place in random.integers(len(data) // 3, len(data) * 9 // 10, 6):
        data[place : place + 300] = random.integers(0, 256, 300).astype(np.uint8).tobytes()
    path.write_bytes(data)
    whole = [frame.pts_s for frame in video_frames(path)]
    sampled = list(video_frames(path, fps=5))
    assert len(sampled) >= 25, "most of six seconds"
    for frame in sampled:
        assert frame.pts_s == max(pts for pts in whole if pts <= frame.time_s + 1e-3)


def test_a_jump_of_time_is_read_whole(films, tmp_path: Path) -> None:
    parts = [
        films.write(tmp_path / f"{number}.ts", count=60, picture=moving, options=B_FRAMES, pts=range(first, first + 60))
        for number, first in enumerate((5000, 0))
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(list(video_frames(path))) > 110
    assert_same_as_whole(path, 5.0)


def test_a_wanted_frame_that_does_not_come_out_is_noticed(films, tmp_path: Path, monkeypatch) -> None:
    path = films.write(tmp_path / "a.mp4", count=60, picture=moving, options=B_FRAMES)
    original = sampling._with_next

    def losing_one(packets, tick_s):
        for number, (packet, next_pts) in enumerate(original(packets, tick_s)):
            lost = SimpleNamespace(pts=packet.pts, is_discard=False, decode=list)
            yield (lost if number > 20 and packet.pts * tick_s in (1.2, 1.4) else packet), next_pts

    monkeypatch.setattr(sampling, "_with_next", losing_one)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sampling.frames_on_display(container.demux(stream), stream, 5.0, 0.0, None)
        with pytest.raises(sampling.UnsafeError):
            list(frames)
    assert_same_as_whole(path, 5.0)
