"""A compressed copy shows the same frames at the same times, smaller, with its sound in step."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.media import UnusableVideoError, audio_samples, probe, transcode, video_frames

RATE = 16_000
SOUNDS = {
    "aac.mp4": {"sound_codec": "aac"},
    "opus.mkv": {"sound_codec": "libopus", "sound_rate": 48_000},
    "mp2.mpg": {"codec": "mpeg1video", "sound_codec": "mp2", "sound_rate": 44_100},
    "pcm.mov": {"sound_codec": "pcm_s16le"},
    "mp3.avi": {"codec": "mpeg4", "sound_codec": "libmp3lame", "sound_rate": 44_100},
}


def beep_at(time_s: float, seconds: float, rate: int) -> np.ndarray:
    samples = np.zeros(int(seconds * rate), np.float32)
    start = round(time_s * rate)
    samples[start : start + rate // 25] = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(rate // 25) / rate)
    return samples


def onset_s(path: Path) -> float:
    samples = audio_samples(path)
    assert samples is not None
    return float(np.flatnonzero(np.abs(samples) > 0.2)[0]) / RATE


@pytest.mark.parametrize("name", SOUNDS)
def test_frames_and_sound_stay_in_step(name: str, films, tmp_path: Path) -> None:
    arguments = SOUNDS[name]
    rate = arguments.get("sound_rate", RATE)
    path = films.write(tmp_path / name, sound=[(0, beep_at(1.2, 2, rate))], **arguments)
    transcode(path, tmp_path / "out.mp4", crf=23)
    frames = list(video_frames(tmp_path / "out.mp4"))
    assert [films.number_of(frame.image) for frame in frames] == list(range(50))
    times = [frame.time_s for frame in video_frames(path)]
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-3)
    assert onset_s(tmp_path / "out.mp4") == pytest.approx(onset_s(path), abs=0.012)
    assert probe(tmp_path / "out.mp4").codec == "h264"


@pytest.mark.parametrize(("frame_at_s", "sound_at_s"), [(0.0, 0.6), (0.6, 0.0), (0.8, 0.8)])
def test_streams_that_start_apart_stay_in_step(frame_at_s, sound_at_s, films, tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "in.mp4",
        pts=range(round(frame_at_s * 25), 50),
        options={"bf": "3"},
        sound=[(round(sound_at_s * RATE), beep_at(1.4 - sound_at_s, 2 - sound_at_s, RATE))],
    )
    transcode(path, tmp_path / "out.mp4", crf=30)
    assert onset_s(tmp_path / "out.mp4") == pytest.approx(1.4 - frame_at_s, abs=0.012)


def test_variable_times_are_kept(films, tmp_path: Path) -> None:
    ticks = [0, 40, 80, 600, 640, 1300, 1310, 1900]
    path = films.write(tmp_path / "vfr.mkv", "ffv1", pts=ticks, time_base=Fraction(1, 1000))
    transcode(path, tmp_path / "out.mp4", crf=23)
    frames = list(video_frames(tmp_path / "out.mp4"))
    assert [films.number_of(frame.image) for frame in frames] == list(range(8))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(ticks) / 1000, atol=1e-3)
    assert audio_samples(tmp_path / "out.mp4") is None


def test_turned_and_odd_frames_come_out_upright_and_even(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "in.mp4", count=5, prepare=lambda stream: stream.set_display_rotation(90))
    transcode(path, tmp_path / "turned.mp4", crf=15)
    before, after = (next(iter(video_frames(p))).image for p in (path, tmp_path / "turned.mp4"))
    assert before.shape == after.shape == (160, 96, 3)
    assert np.abs(before.astype(int) - after).mean() < 4
    transcode(films.write(tmp_path / "odd.mkv", "ffv1", size=(161, 97), count=5), tmp_path / "even.mp4", crf=15)
    assert next(iter(video_frames(tmp_path / "even.mp4"))).image.shape == (98, 162, 3)


@pytest.mark.parametrize("matrix", [1, 6])
def test_colours_are_kept_whatever_their_matrix(matrix: int, films, tmp_path: Path) -> None:
    def declare(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1

    path = films.write(tmp_path / "in.mp4", count=3, prepare=declare, pixel_format="yuv444p", options={"crf": "5"})
    transcode(path, tmp_path / "out.mp4", crf=10)
    before, after = (next(iter(video_frames(p))).image for p in (path, tmp_path / "out.mp4"))
    assert np.abs(before[-26:-6, 70:90].astype(int) - after[-26:-6, 70:90]).max() < 8


def test_stronger_compression_is_smaller(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "in.mkv", "ffv1")
    sizes = []
    for crf in (10, 23, 40):
        transcode(path, tmp_path / f"{crf}.mp4", crf=crf)
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]


def test_bad_use_leaves_nothing(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "in.mp4")
    before = path.read_bytes()
    for arguments, words in (({"crf": 60}, "crf"), ({"crf": 23, "preset": "warp"}, "warp")):
        with pytest.raises(UsageError, match=words):
            transcode(path, tmp_path / "out.mp4", **arguments)
    with pytest.raises(UsageError, match="overwrite"):
        transcode(path, path, crf=23)
    with pytest.raises(UnusableVideoError):
        transcode(tmp_path / "missing.mp4", tmp_path / "out.mp4", crf=23)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["in.mp4"]
