"""Sound on the clock of the frames: a beep is where the flash is, whatever the container does with time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.media import (
    UnusableVideoError,
    audio_samples,
    loudness_dbfs,
    step_loudness_dbfs,
    video_frames,
    write_video,
)

RATE = 16_000


def beep(seconds: float = 0.04, rate: int = RATE) -> np.ndarray:
    return (0.8 * np.sin(2 * np.pi * 1000 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def sound_with_beeps(times_s: list[float], seconds: float, rate: int = RATE) -> np.ndarray:
    samples = np.zeros(int(seconds * rate), np.float32)
    for time_s in times_s:
        start = round(time_s * rate)
        samples[start : start + int(0.04 * rate)] = beep(rate=rate)[: len(samples) - start]
    return samples


def onsets_s(samples: np.ndarray, rate: int = RATE) -> list[float]:
    """Times at which sound begins after 100 ms of quiet."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return [loud[i] / rate for i in range(len(loud)) if i == 0 or loud[i] - loud[i - 1] > 0.1 * rate]


FORMATS = {
    "mp4 aac": ("a.mp4", {"sound_codec": "aac"}),
    "mov pcm": ("a.mov", {"sound_codec": "pcm_s16le"}),
    "mkv flac": ("a.mkv", {"sound_codec": "flac"}),
    "mkv opus": ("a.mkv", {"sound_codec": "libopus", "sound_rate": 48_000}),
    "webm opus": ("a.webm", {"codec": "libvpx-vp9", "sound_codec": "libopus", "sound_rate": 48_000}),
    "ts aac": ("a.ts", {"sound_codec": "aac", "sound_rate": 44_100}),
    "mpg mp2": ("a.mpg", {"codec": "mpeg1video", "sound_codec": "mp2", "sound_rate": 44_100}),
    "avi mp3": ("a.avi", {"codec": "mpeg4", "sound_codec": "libmp3lame", "sound_rate": 44_100}),
    "avi pcm": ("a.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p", "sound_codec": "pcm_u8"}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_beep_is_heard_with_its_frame(name: str, films, tmp_path: Path) -> None:
    file_name, arguments = FORMATS[name]
    rate = arguments.get("sound_rate", RATE)
    path = films.write(tmp_path / file_name, sound=[(0, sound_with_beeps([0.4, 1.2], 2, rate))], **arguments)
    samples = audio_samples(path)
    assert samples is not None
    assert samples.dtype == np.float32
    np.testing.assert_allclose(onsets_s(samples), [0.4, 1.2], atol=0.04)
    assert 1.9 < len(samples) / RATE < 2.2
    assert 0.6 < np.abs(samples).max() < 1.0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(("frame_at_s", "sound_at_s"), [(0.0, 0.6), (0.6, 0.0), (0.4, 0.8), (0.8, 0.8)])
def test_streams_that_start_apart_stay_in_step(suffix, frame_at_s, sound_at_s, films, tmp_path: Path) -> None:
    """The beep belongs to absolute time 1.4 s, wherever the streams begin."""
    first = round(frame_at_s * 25)
    path = films.write(
        tmp_path / f"a.{suffix}",
        pts=range(first, 50),
        options={"crf": "15", "bf": "3"},
        sound=[(round(sound_at_s * RATE), sound_with_beeps([1.4 - sound_at_s], 2 - sound_at_s))],
    )
    flash = next(f.time_s for f in video_frames(path) if films.number_of(f.image) == round(1.4 * 25) - first)
    assert flash == pytest.approx(1.4 - frame_at_s, abs=2e-3)
    samples = audio_samples(path)
    assert samples is not None
    assert onsets_s(samples) == pytest.approx([flash], abs=0.01)


def test_a_gap_in_the_sound_is_silence(films, tmp_path: Path) -> None:
    pieces = [(0, sound_with_beeps([0.2], 0.512)), (24_000, sound_with_beeps([0.2], 0.512))]
    path = films.write(tmp_path / "gap.mkv", sound=pieces, sound_codec="pcm_s16le")
    samples = audio_samples(path)
    assert samples is not None
    assert onsets_s(samples) == pytest.approx([0.2, 1.7], abs=0.01)
    assert np.abs(samples[10_000:23_000]).max() < 1e-4


def test_rounded_timestamps_leave_no_clicks(films, tmp_path: Path) -> None:
    """Matroska rounds to milliseconds; a tone over many packets must come back without steps."""
    rate = 44_100
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(2 * rate) / rate)).astype(np.float32)
    path = films.write(tmp_path / "a.mkv", sound=[(0, tone)], sound_codec="flac", sound_rate=rate)
    samples = audio_samples(path, rate_hz=rate)
    assert samples is not None
    assert len(samples) == len(tone)
    np.testing.assert_allclose(samples[200:-200], tone[200:-200], atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_any_rate_keeps_time_and_level(rate_hz: int, films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mov", sound=[(0, sound_with_beeps([0.5], 2))], sound_codec="pcm_s16le")
    samples = audio_samples(path, rate_hz=rate_hz)
    assert samples is not None
    assert len(samples) == pytest.approx(2 * rate_hz, abs=2)
    assert onsets_s(samples, rate_hz) == pytest.approx([0.5], abs=0.002)
    assert np.abs(samples).max() == pytest.approx(0.8, abs=0.05)


def test_no_track_is_none(films, tmp_path: Path) -> None:
    assert audio_samples(films.write(tmp_path / "mute.mp4")) is None


def test_sound_that_ends_before_the_video_begins_is_empty(films, tmp_path: Path) -> None:
    path = films.write(
        tmp_path / "early.mkv", pts=range(50, 75), sound=[(0, sound_with_beeps([0.2], 0.5))], sound_codec="pcm_s16le"
    )
    samples = audio_samples(path)
    assert samples is not None
    assert len(samples) == 0


def test_bad_input(films, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rate_hz"):
        audio_samples(films.write(tmp_path / "a.mp4"), rate_hz=0)
    with pytest.raises(UnusableVideoError) as caught:
        audio_samples(tmp_path / "missing.mp4")
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize("sample_rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("fps", [25, 30000 / 1001, 60.0])
def test_what_is_written_is_read_in_step(sample_rate_hz: int, fps: float, tmp_path: Path) -> None:
    """Flash and beep through H.264 and AAC: the priming of AAC and the reordering of B-frames shift nothing."""
    flashes = [round(0.4 * fps), round(1.5 * fps)]
    pictures = [np.full((64, 64, 3), 230 if i in flashes else 20, np.uint8) for i in range(round(2 * fps))]
    written = sound_with_beeps([i / fps for i in flashes], 2, sample_rate_hz)
    write_video(tmp_path / "a.mp4", pictures, fps=fps, samples=written, sample_rate_hz=sample_rate_hz)
    frames = list(video_frames(tmp_path / "a.mp4"))
    assert len(frames) == len(pictures)
    lit = [frame.time_s for frame in frames if frame.image.mean() > 120]
    assert lit == pytest.approx([i / fps for i in flashes], abs=1e-4)
    samples = audio_samples(tmp_path / "a.mp4", rate_hz=sample_rate_hz)
    assert samples is not None
    length = min(len(samples), len(written))
    spectrum = np.fft.rfft(samples[:length], 2 * length) * np.conj(np.fft.rfft(written[:length], 2 * length))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, 2 * length - lag) <= 2, f"the sound is {lag} samples late"


def test_real_clips_have_audio_as_long_as_the_video(real_clips: Path) -> None:
    paths = sorted(real_clips.glob("grid*/s*/*.mpg"))[::40]
    assert paths
    for path in paths:
        samples = audio_samples(path)
        assert samples is not None
        seconds = [frame.time_s for frame in video_frames(path)][-1] + 0.04
        assert len(samples) / RATE == pytest.approx(seconds, abs=0.08)
        assert np.abs(samples).max() > 0.05


def test_fraction_rates_are_kept(tmp_path: Path) -> None:
    pictures = [np.zeros((32, 32, 3), np.uint8)] * 30
    write_video(tmp_path / "a.mp4", pictures, fps=Fraction(24000, 1001))
    times = [frame.time_s for frame in video_frames(tmp_path / "a.mp4")]
    np.testing.assert_allclose(times, np.arange(30) * 1001 / 24000, atol=1e-4)


def test_loudness() -> None:
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    assert loudness_dbfs(tone) == pytest.approx(-3.01, abs=0.01)
    assert loudness_dbfs((tone * 3276.8).astype(np.int16)) == pytest.approx(-23.01, abs=0.01)
    assert loudness_dbfs(np.zeros(100, np.int16)) == loudness_dbfs(np.zeros(0, np.float32)) == -120.0
    steps = step_loudness_dbfs(
        np.concatenate([np.full(320, 0.5, np.float32), np.zeros(320, np.float32), tone[:80]]), 320
    )
    half_step = 10 * np.log10(np.square(tone[:80]).sum() / 320)
    np.testing.assert_allclose(steps, [20 * np.log10(0.5), -120, half_step], atol=1e-5)
