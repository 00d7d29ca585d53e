"""Holes, jumps and wraps: after each, a beep is still heard with its frame, or it is said that this is not known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.media.test_sound import RATE, onsets_s, sound_with_beeps

from veridical.media import audio_samples, parts_in_doubt, video_frames
from veridical.media.container import Clock, in_order
from veridical.media.timeline import Timeline, _Survey

BEEPS_S = (0.4, 1.2, 2.2, 3.2, 4.2, 5.2)
WRAP_S = 2**33 / 90_000


def film(films, path: Path, *, from_s: float = 0.0, first: int = 0, count: int = 150, **options) -> Path:
    """Write a film whose numbers count from `first`, with beeps, on a clock that starts at `from_s`."""
    start = round(from_s * 25)
    sound = [(round(from_s * RATE), sound_with_beeps(list(BEEPS_S), count / 25))]
    return films.write(
        path,
        pts=range(start, start + count),
        picture=lambda number, width, height: films.numbered(first + number, width, height),
        sound=sound,
        **{"options": {"bf": "3", "g": "25", "crf": "15"}, **options},
    )


def shown_with_beeps(films, path: Path) -> list[int]:
    """Return the number of the frame on display at each beep."""
    samples = audio_samples(path)
    frames = list(video_frames(path))
    assert samples is not None
    times = [frame.time_s for frame in frames]
    assert (np.diff(times) > 0).all()
    assert [frame.pts_s for frame in video_frames(path, fps=5)] == [
        max(time for time in times if time <= k / 5 + 1e-3) for k in range(len(list(video_frames(path, fps=5))))
    ]
    onsets = onsets_s(samples)
    return [films.number_of([frame for frame in frames if frame.time_s <= at + 0.02][-1].image) for at in onsets]


def remuxed(path: Path, out: Path, change) -> Path:
    """Copy packets, each as `change(packet, number of its stream)` leaves it; None drops it."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        counts = dict.fromkeys(tracks, 0)
        for packet in source.demux():
            if packet.dts is None:
                continue
            index = packet.stream.index
            number, counts[index] = counts[index], counts[index] + 1
            if change(packet, number) is not None:
                packet.stream = tracks[index]
                target.mux_one(packet)
    return out


def test_frames_after_a_hole_keep_their_times(films, tmp_path: Path) -> None:
    path = film(films, tmp_path / "a.ts")
    data = path.read_bytes()
    start = len(data) // 3 // 188 * 188
    path.write_bytes(data[:start] + data[start + 60 * 188 :])
    frames = list(video_frames(path))
    assert 100 < len(frames) < 150, "the hole must have taken some"
    assert frames[-1].time_s == pytest.approx(149 / 25, abs=2e-3)
    assert shown_with_beeps(films, path)[-3:] == [80, 105, 130]


def test_a_transport_stream_with_lost_packets(real_clips: Path) -> None:
    path = real_clips.parent / "cases/lost.ts"
    if not path.exists():
        pytest.skip(f"needs {path}")
    frames = list(video_frames(path))
    assert frames[-1].time_s == pytest.approx(2.96, abs=2e-3)
    samples = audio_samples(path)
    assert samples is not None
    assert len(samples) / RATE == pytest.approx(2.995, abs=2e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
def test_one_frame_with_a_wrong_time_shifts_nothing(suffix: str, films, tmp_path: Path) -> None:
    def change(packet, number: int):
        if packet.stream.type == "video" and number == 40:
            packet.pts += round(3 / packet.time_base)
        return packet

    whole = film(films, tmp_path / f"whole.{suffix}", options={"bf": "0", "g": "25", "crf": "15"})
    path = remuxed(whole, tmp_path / f"a.{suffix}", change)
    assert list(video_frames(path))[-1].time_s == pytest.approx(149 / 25, abs=2e-3)
    assert shown_with_beeps(films, path) == [10, 30, 55, 80, 105, 130]


@pytest.mark.parametrize("off_s", [-0.5, 3.0, 9000.0])
def test_one_broadcast_frame_with_a_wrong_time_shifts_nothing(off_s: float, films, tmp_path: Path) -> None:
    def change(packet, number: int):
        packet.pts += round(off_s * 90_000) if packet.stream.type == "video" and number == 40 else 0
        return packet

    path = tmp_path / "a.ts"
    jumping(film(films, tmp_path / "whole.ts"), path, change)
    assert list(video_frames(path))[-1].time_s == pytest.approx(149 / 25, abs=2e-3)
    assert shown_with_beeps(films, path) == [10, 30, 55, 80, 105, 130]


@pytest.mark.parametrize("second_s", [0.0, 1000.0, 40_000.0])
def test_a_joint_is_one_jump_for_both_streams(second_s: float, films, tmp_path: Path) -> None:
    """Streams do not break off at the same moment: audio of the first part is missing at its end."""
    parts = [
        film(films, tmp_path / "0.ts", from_s=8000, count=60),
        film(films, tmp_path / "1.ts", from_s=second_s, first=60, count=60),
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(parts[0].read_bytes()[: -188 * 40] + parts[1].read_bytes())
    assert shown_with_beeps(films, path)[-3:] == [60 + 10, 60 + 30, 60 + 55]
    assert parts_in_doubt(path) == []


def test_a_clock_that_wraps_goes_on(films, tmp_path: Path) -> None:
    path = film(films, tmp_path / "a.ts", from_s=WRAP_S - 3)
    assert shown_with_beeps(films, path) == [10, 30, 55, 80, 105, 130]
    assert list(video_frames(path))[-1].time_s == pytest.approx(149 / 25, abs=2e-3)


def test_a_jump_of_one_stream_alone_is_in_doubt(films, tmp_path: Path) -> None:
    whole = film(films, tmp_path / "whole.ts")

    def change(packet, number: int):
        if packet.stream.type == "audio" and number >= 50:
            packet.pts, packet.dts = packet.pts - 2 * 90_000, packet.dts - 2 * 90_000
        return packet

    path = tmp_path / "a.ts"
    jumping(whole, path, change)
    ((start_s, stop_s),) = parts_in_doubt(path)
    assert start_s == pytest.approx(50 * 1024 / RATE, abs=0.1)
    assert stop_s == pytest.approx(6, abs=0.2)
    assert parts_in_doubt(whole) == []


def jumping(path: Path, out: Path, change) -> None:
    """Rewrite the timestamps in the headers of a transport stream's packets, which no muxer would."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as source:
        kinds = {stream.id: stream.type for stream in source.streams}
    counts = dict.fromkeys(kinds, 0)
    for place in range(0, len(data), 188):
        pid = (data[place + 1] & 0x1F) << 8 | data[place + 2]
        body = place + 4 + (1 + data[place + 4] if data[place + 3] & 0x20 else 0)
        if pid not in kinds or not data[place + 1] & 0x40 or data[body : body + 3] != b"\0\0\1":
            continue
        for field in range(1 + (data[body + 7] >> 6 == 3)):
            at = body + 9 + 5 * field
            value = (data[at] >> 1 & 7) << 30 | data[at + 1] << 22 | (data[at + 2] >> 1) << 15 | data[at + 3] << 7
            value |= data[at + 4] >> 1
            packet = SimpleNamespace(pts=value, dts=value, stream=SimpleNamespace(type=kinds[pid]))
            value = change(packet, counts[pid]).pts
            data[at] = data[at] & 0xF1 | value >> 29 & 0x0E
            data[at + 1], data[at + 2] = value >> 22 & 0xFF, value >> 14 & 0xFE | 1
            data[at + 3], data[at + 4] = value >> 7 & 0xFF, value << 1 & 0xFE | 1
        counts[pid] += 1
    out.write_bytes(data)


def surveyed(*times: tuple[int, float | None]) -> Timeline:
    """Return the timeline of packets (stream, seconds)."""
    survey = _Survey(sorted({index for index, _ in times}))
    for index, time_s in times:
        dts = None if time_s is None else round(time_s * 1000)
        stream = SimpleNamespace(index=index)
        survey.look(SimpleNamespace(stream=stream, dts=dts, time_base=Fraction(1, 1000), is_corrupt=False))
    return survey.timeline()


def test_holes_and_slow_videos_are_no_jumps() -> None:
    timeline = surveyed(*[(0, time_s) for time_s in (0, 0.04, 0.08, 9, 9.04, 20, 300, 301)])
    assert timeline == Timeline({0: []}, {0: set()}, [])


def test_a_time_that_fits_nothing_is_disbelieved() -> None:
    timeline = surveyed(*[(0, time_s) for time_s in (0, 0.04, 7000, 0.12, 0.16, -50, 0.24, 30, 0.32)])
    assert timeline == Timeline({0: []}, {0: {2, 5, 7}}, [])


def test_the_second_stream_follows_the_first() -> None:
    early = [(index, time_s) for time_s in (50, 50.04, 50.08) for index in (0, 1)]
    late = [(0, 3.0), (0, 3.04), (1, 50.12), (1, 2.9), (0, 3.08), (1, 2.94)]
    timeline = surveyed(*early, *late)
    assert timeline.in_doubt == []
    ((video, video_s),), ((audio, audio_s),) = timeline.shifts[0], timeline.shifts[1]
    assert (video, audio) == (3, 4)
    assert video_s == audio_s == pytest.approx(47.12)


def test_what_one_stream_does_alone_is_in_doubt_until_both_jump_together() -> None:
    alone = [(0, 10.0), (1, 60.0), (0, 10.04), (1, 60.04), (0, 4.0), (0, 4.04), (1, 60.08), (0, 4.08), (1, 60.12)]
    both = [(0, 500.0), (0, 500.04), (1, 500.0), (1, 500.04)]
    back = [(0, 1.0), (0, 1.04), (1, 1.0), (1, 1.04)]
    assert surveyed(*alone).in_doubt == [(pytest.approx(10.08), pytest.approx(60.16))]
    assert len(surveyed(*alone, *both, *back).in_doubt) == 1


def shown(times: list[float | None]) -> list[float]:
    frames = [
        SimpleNamespace(pts=None if t is None else round(t * 100), dts=None, time_base=Fraction(1, 100)) for t in times
    ]
    return [time_s for time_s, _ in in_order(iter(frames), Clock(0.04))]


def test_frames_out_of_order_are_left_out() -> None:
    assert shown([0, 0.04, 1.04, 0.12, 1.12, 1.16, 0.2, 1.2]) == pytest.approx([0, 0.04, 1.04, 1.12, 1.16, 1.2])
    assert shown([0, 0.04, 30, 0.12, 0.16]) == pytest.approx([0, 0.04, 0.12, 0.16])
    assert shown([30, 0.04, 0.08]) == pytest.approx([0.04, 0.08])


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), min_size=1))
def test_time_never_runs_backwards(ticks: list[int | None]) -> None:
    times = shown([None if tick is None else tick / 100 for tick in ticks])
    assert times
    assert (np.diff(times) >= -1e-3 - 1e-6).all()
