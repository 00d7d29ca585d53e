"""Files with several streams: what a player would play is read, and that there was a choice is said."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.conftest import numbered

from veridical.media import audio_samples, probe, transcode, video_frames

Disposition = av.stream.Disposition


def write(path: Path, videos: list[tuple[int, int, int]], audios: list[tuple[float, int]]) -> Path:
    """Write video streams (number of the first frame, frames, flags) and audio tracks (level, flags) of two seconds."""
    with av.open(str(path), "w") as container:
        packets = []
        for first, count, flags in videos:
            video = container.add_stream("libx264" if count > 1 else "mjpeg", rate=25)
            video.width, video.height, video.pix_fmt = 160, 96, "yuv420p" if count > 1 else "yuvj420p"
            video.disposition = flags
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(numbered(first + number), format="rgb24")
                frame = frame.reformat(format=video.pix_fmt)
                frame.pts = number
                packets += [(video, packet) for packet in video.encode(frame)]
            packets += [(video, packet) for packet in video.encode(None)]
        for level, flags in audios:
            track = container.add_stream("aac", rate=16_000, layout="mono")
            track.disposition = flags
            tone = (level * np.sin(np.arange(32_000) / 5)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            packets += [(track, packet) for packet in [*track.encode(frame), *track.encode(None)]]
        for _, packet in packets:
            container.mux(packet)
    return path


def loudest(path: Path) -> float:
    samples = audio_samples(path)
    assert samples is not None
    return float(np.abs(samples[4_000:28_000]).max())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_default_video_stream_is_shown(suffix: str, films, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{suffix}", [(0, 50, 0), (100, 50, int(Disposition.default))], [])
    assert [films.number_of(frame.image) for frame in video_frames(path, fps=5)] == list(range(100, 150, 5))
    assert probe(path).remarks == ("2 video streams: number 2 (h264, flagged default) is shown",)
    transcode(path, tmp_path / "out.mp4", crf=15)
    assert films.number_of(next(iter(video_frames(tmp_path / "out.mp4"))).image) == 100


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("flags", [0, int(Disposition.default)])
def test_a_cover_stored_as_a_video_stream_is_not_shown(suffix: str, flags: int, films, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{suffix}", [(200, 1, flags), (0, 50, flags)], [(0.5, 0)])
    assert [films.number_of(frame.image) for frame in video_frames(path, fps=5)] == list(range(0, 50, 5))
    assert probe(path).codec == "h264"


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_default_audio_track_is_heard(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{suffix}", [(0, 50, 0)], [(0.0, 0), (0.5, int(Disposition.default))])
    assert loudest(path) == pytest.approx(0.5, abs=0.05)
    assert probe(path).remarks == ("2 audio tracks: number 2 (aac, flagged default) is heard",)
    transcode(path, tmp_path / "out.mp4", crf=30)
    assert loudest(tmp_path / "out.mp4") == pytest.approx(0.5, abs=0.05)


def test_a_track_for_the_blind_is_not_heard(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [(0, 50, 0)], [(0.1, int(Disposition.visual_impaired)), (0.5, 0)])
    assert loudest(path) == pytest.approx(0.5, abs=0.05)


def test_one_stream_of_each_kind_is_no_choice(tmp_path: Path) -> None:
    assert probe(write(tmp_path / "a.mp4", [(0, 50, 0)], [(0.5, 0)])).remarks == ()
