"""Facts of good files, and one honest line for every kind of bad one."""

from __future__ import annotations

import pickle
import subprocess
import sys
import wave
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from veridical.media import STATUSES, UnusableVideoError, audio_samples, probe, video_frames

TONE = (0.5 * np.sin(np.arange(32_000) / 10)).astype(np.float32)


def test_facts(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mp4", sound=[(0, TONE)], options={"crf": "20"})
    facts = probe(path)
    assert (facts.width, facts.height, facts.codec, facts.pixel_format) == (160, 96, "h264", "yuv420p")
    assert (facts.has_audio, facts.audio_codec, facts.audio_rate_hz, facts.container) == (True, "aac", 16_000, "mov")
    assert facts.fps == pytest.approx(25)
    assert facts.duration_s == pytest.approx(2, abs=0.05)
    assert facts.bitrate is not None
    assert 1_000 < facts.bitrate < 8 * path.stat().st_size


def test_facts_of_a_mute_film(films, tmp_path: Path) -> None:
    facts = probe(films.write(tmp_path / "a.webm", "libvpx-vp9"))
    assert (facts.has_audio, facts.audio_codec, facts.audio_rate_hz) == (False, None, None)
    assert (facts.codec, facts.container) == ("vp9", "matroska")
    assert facts.duration_s == pytest.approx(2, abs=0.05)


def _song_with_cover(folder: Path) -> Path:
    path = folder / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        track = container.add_stream("aac", rate=16_000, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").reformat(
            format="yuvj420p"
        )
        picture.pts = 0
        frame = av.AudioFrame.from_ndarray(TONE[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*cover.encode(picture), *cover.encode(None), *track.encode(frame), *track.encode(None)])
    return path


def bad_files(folder: Path, films) -> dict[str, tuple[Path, str, str]]:
    """Name → (file, status, words that the message must hold)."""
    whole = films.write(folder / "whole.mp4", sound=[(0, TONE)], options={"crf": "5"})
    fast = films.write(folder / "fast.mp4", muxer_options={"movflags": "faststart"}, options={"crf": "5"})
    text, empty, noise = folder / "text.mp4", folder / "empty.mp4", folder / "noise.mp4"
    text.write_text("this is not a video\n" * 50)
    empty.touch()
    noise.write_bytes(np.random.default_rng(0).bytes(60_000))
    cut, cut_fast = folder / "cut.mp4", folder / "cut_fast.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    cut_fast.write_bytes(fast.read_bytes()[: fast.stat().st_size // 2])
    playlist = folder / "playlist.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{whole}\n#EXT-X-ENDLIST\n")
    picture, wave_file = folder / "picture.mp4", folder / "wave.mp4"
    cv2.imwrite(str(folder / "picture.jpg"), np.zeros((64, 64, 3), np.uint8))
    (folder / "picture.jpg").rename(picture)
    with wave.open(str(wave_file), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((TONE * 20_000).astype("<i2").tobytes())
    concatenation = folder / "concatenation.mp4"
    concatenation.write_text("ffconcat version 1.0\nfile whole.mp4\n")
    with av.open(str(folder / "sound.m4a"), "w") as container:
        track = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*track.encode(frame), *track.encode(None)])
    (folder / "sound.m4a").rename(folder / "sound.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    return {
        "circle": (folder / "circle.mp4", "unreadable", "leads to no file"),
        "missing": (folder / "missing.mp4", "unreadable", "no such file"),
        "folder": (folder, "unreadable", "folder"),
        "empty": (empty, "unreadable", "empty"),
        "text": (text, "unreadable", "cannot be opened"),
        "noise": (noise, "unreadable", "cannot be opened"),
        "cut": (cut, "unreadable", "moov"),
        "cut with index": (cut_fast, "unreadable", "cut short"),
        "playlist": (playlist, "unreadable", "cannot be opened"),
        "concatenation": (concatenation, "unreadable", "is not a video"),
        "cover": (_song_with_cover(folder), "no_video", "only:"),
        "picture": (picture, "unreadable", "is not a video"),
        "wave file": (wave_file, "no_video", "only: audio"),
        "sound only": (folder / "sound.mp4", "no_video", "only: audio"),
    }


BAD = [
    "circle",
    "missing",
    "folder",
    "empty",
    "text",
    "noise",
    "cut",
    "cut with index",
    "playlist",
    "concatenation",
    "cover",
    "picture",
    "wave file",
    "sound only",
]


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_say_what_they_are(kind: str, films, tmp_path: Path) -> None:
    path, status, words = bad_files(tmp_path, films)[kind]
    with pytest.raises(UnusableVideoError) as caught:
        probe(path)
    assert caught.value.status == status
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_fail_alike_when_read(kind: str, films, tmp_path: Path) -> None:
    path, status, _ = bad_files(tmp_path, films)[kind]
    for read in (lambda: next(video_frames(path)), lambda: audio_samples(path)):
        with pytest.raises(UnusableVideoError) as caught:
            read()
        assert caught.value.status == status


def test_a_cut_file_with_index_is_read_as_far_as_it_goes(films, tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "a.mp4", sound=[(0, TONE)], options={"crf": "5", "bf": "0"}, muxer_options={"movflags": "faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    facts = probe(path)
    assert facts.duration_s == pytest.approx(2, abs=0.05)
    (remark,) = facts.remarks
    assert remark.startswith("is cut short: its index names data up to byte ")
    numbers = [films.number_of(f.image) for f in video_frames(path)][:-1]
    assert 20 < len(numbers) < 45
    assert numbers == list(range(len(numbers)))
    samples = audio_samples(path)
    assert samples is not None
    assert len(samples) / 16_000 == pytest.approx(len(numbers) / 25, abs=0.2)


def test_a_cut_file_without_index_is_read_as_far_as_it_goes(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mpg", "mpeg1video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers = [films.number_of(f.image) for f in video_frames(path)][:-1]
    assert 5 < len(numbers) < 45
    assert numbers == list(range(len(numbers)))


def test_damaged_packets_neither_raise_nor_shift_time(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mkv", "mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    frames = list(video_frames(path))
    assert 40 <= len(frames) <= 50
    assert films.number_of(frames[0].image) == 0
    assert films.number_of(frames[-1].image) == 49
    assert frames[-1].time_s == pytest.approx(49 / 25, abs=2e-3)


def test_the_error_survives_pickling_and_knows_its_statuses() -> None:
    error = UnusableVideoError("too_short", "lasts 0.2 s,\n needs 1 s", Path("a.mp4"))
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, str(again)) == ("too_short", "a.mp4: lasts 0.2 s, needs 1 s")
    with pytest.raises(AssertionError):
        UnusableVideoError("broken", "")  # type: ignore[arg-type]
    assert len(STATUSES) == 7


def test_reading_bad_files_prints_nothing(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mpg", "mpeg1video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code = (
        f"from pathlib import Path; from veridical.media import video_frames; list(video_frames(Path({str(path)!r})))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    assert result.stderr == ""
