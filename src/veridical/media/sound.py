"""The audio track of a video as one mono array on the clock of its frames: gaps are silence, rounding does not shift it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soxr

from veridical.errors import UsageError
from veridical.media.container import Clock, audio_stream, decoded, has_video, open_input, video_stream
from veridical.media.errors import UnusableVideoError
from veridical.media.frames import video_origin_s
from veridical.media.mixing import Mixer, cancels
from veridical.media.timeline import timeline

Samples = npt.NDArray[np.float32]

FULL_SCALE = 32_768.0
"""Full scale of 16-bit samples."""
SILENCE_DBFS = -120.0
"""Loudness of digital silence."""
JUMP_S = 0.02
"""Timestamps that differ from the running count by less are rounding and are ignored; more is a gap or an overlap."""


def audio_samples(path: Path, *, rate_hz: int = 16_000, beside: bool = False) -> Samples | None:
    """Return the audio track that a player would play, mono, on the clock of `video_frames`.

    Args:
        path: The video file.
        rate_hz: Samples per second wanted.
        beside: The file holds the audio of a video in another file; its time zero is that of the video's first frame.

    Returns:
        (S,) float32, nominally in [-1, 1]: sample i is at i / rate_hz seconds after the first frame is shown. Sound
        that begins later has silence before it, sound that begins earlier is cut, gaps are silence. S follows the
        audio, not the video. None when there is no audio track or it holds no sample. Channels are mixed as
        a listener hears them: none that is audible cancels another (`mixing.py`).

    Raises:
        UnusableVideoError: `no_video` without a video stream; `unreadable` when the file or the codec of its audio is.
    """
    if rate_hz <= 0:
        raise UsageError(f"rate_hz: expected samples per second above 0, got {rate_hz}")
    path = Path(path)
    origin_s = 0.0 if beside else video_origin_s(path)
    with _track(path) as (container, stream):
        if stream is None:
            return None
        num_channels = stream.codec_context.channels
        mixer = Mixer(num_channels > 1 and cancels(decoded(container.demux(stream), av.AudioFrame)))
    with _track(path) as (container, stream):
        assert stream is not None
        frames = decoded(timeline(path).packets(container, stream), av.AudioFrame)
        pieces = list(_resampled(_contiguous(frames, mixer, origin_s), rate_hz))
    return np.concatenate(pieces) if pieces else None


@contextmanager
def _track(path: Path) -> Generator[tuple[av.container.InputContainer, av.AudioStream | None]]:
    with open_input(path) as container:
        video = video_stream(container, path) if has_video(container) else None
        stream = audio_stream(container, video)
        if stream is None and container.streams.audio:
            raise UnusableVideoError("unreadable", "no decoder for the codec of its audio track", path)
        yield container, stream


def loudness_dbfs(samples: npt.NDArray[np.float32] | npt.NDArray[np.int16]) -> float:
    """Return the root mean square of samples in decibels below full scale; digital silence is -120."""
    return float(step_loudness_dbfs(samples, max(len(samples), 1))[0]) if len(samples) else SILENCE_DBFS


def step_loudness_dbfs(samples: npt.NDArray[np.float32] | npt.NDArray[np.int16], step: int) -> npt.NDArray[np.float64]:
    """Return the loudness of every `step` samples; the last step counts as filled up with silence.

    Args:
        samples: (S,) with full scale 1, or int16.
        step: Number of samples.
    """
    num_whole = len(samples) // step
    rest = samples[num_whole * step :].astype(np.float64)
    whole = samples[: num_whole * step].reshape(num_whole, step)
    power = np.einsum("ij,ij->i", whole, whole, dtype=np.float64)
    power = np.append(power, rest @ rest) if len(rest) else power
    full_scale = FULL_SCALE if samples.dtype == np.int16 else 1.0
    floor = 10 ** (SILENCE_DBFS / 10)
    return np.asarray(10 * np.log10(np.maximum(power / step / full_scale**2, floor)), np.float64)


def _contiguous(frames: Iterator[av.AudioFrame], mixer: Mixer, origin_s: float) -> Iterator[tuple[int, Samples]]:
    """Yield (sample rate, samples) without gaps or overlaps, beginning at the origin."""
    clock = Clock(step_s=0.0)
    position_s: float | None = None
    for frame in frames:
        rate_hz, samples = frame.sample_rate, mixer.mono(frame)
        time_s = clock.read(frame) - origin_s
        clock.step_s = len(samples) / rate_hz
        end_s = position_s if position_s is not None else 0.0
        if position_s is None or time_s - position_s > JUMP_S:
            yield rate_hz, np.zeros(max(round((time_s - max(end_s, 0.0)) * rate_hz), 0), np.float32)
            position_s = time_s
        elif position_s - time_s > JUMP_S:
            samples = samples[round((position_s - time_s) * rate_hz) :]
        yield rate_hz, samples[max(round(-position_s * rate_hz), 0) :]
        position_s += len(samples) / rate_hz


def _resampled(pieces: Iterator[tuple[int, Samples]], rate_hz: int) -> Iterator[Samples]:
    resampler: soxr.ResampleStream | None = None
    current_hz = 0
    for piece_hz, samples in pieces:
        if resampler is None or piece_hz != current_hz:
            if resampler is not None:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            resampler, current_hz = soxr.ResampleStream(piece_hz, rate_hz, 1, dtype="float32"), piece_hz
        yield resampler.resample_chunk(samples)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
