"""Frames of a video by presentation time: every frame, or the one on display at k/fps seconds.

Time zero is the presentation of the first frame that the container says to show (edit lists applied). Colours follow
the matrix and range that the file declares, BT.601 limited range when it declares none (as FFmpeg and OpenCV do).
Frames are as a player shows them (`orientation.py`): square pixels, rotation and mirroring flags applied, all of the size of the
first. A frame that comes out of order is left out. Jumps of timestamps are mended for video and audio together (`timeline.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veridical.errors import UsageError
from veridical.media.container import (
    ROUNDING_S,
    decoded,
    frame_clock,
    in_order,
    nothing_decodes,
    open_input,
    seconds,
    video_stream,
)
from veridical.media.orientation import Shape, shape
from veridical.media.sampling import UnsafeError, can_skip, frames_on_display
from veridical.media.timeline import Timeline, timeline

SEEKABLE = ("mov", "matroska")
"""Containers whose index leads to key frames and whose timestamps do not depend on what was read before."""
SEEK_FROM_S = 2.0
"""A start earlier than this is reached by decoding from the beginning."""
SEEK_EARLIER_S = 0.5

_Decode = Callable[[av.container.InputContainer, av.VideoStream, Timeline, float | None], Iterator[av.VideoFrame]]
"""From an open file, its video stream, its timeline and time zero (None at the beginning) to decoded frames."""


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame and when it is shown."""

    time_s: float
    """Seconds from the start of the video: the sampling time k/fps, or `pts_s` when every frame is read."""
    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""
    pts_s: float
    """When this frame came on display, seconds from the start of the video; at most `time_s` plus 1 ms of rounding."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """A decoded frame before its conversion to RGB, with its half-open time on display."""

    start_s: float
    duration_s: float
    frame: av.VideoFrame
    pixel_aspect: Fraction | None
    shape: Shape
    """Of the whole video."""

    def at(self, time_s: float) -> VideoFrame:
        return VideoFrame(time_s, self.shape.image(self.frame, self.pixel_aspect), self.start_s)


class VideoFrames(Iterator[VideoFrame]):
    """The frames of a video in order of presentation; made by `video_frames`."""

    def __init__(self, read: Callable[[VideoFrames], Iterator[VideoFrame]], quarter_turns: int = 0) -> None:
        self.end_s: float | None = None
        """Until when the last frame is shown, seconds from the start; None before everything was read."""
        self.stored_sizes: list[tuple[int, int]] = []
        """Widths and heights of the frames read so far as the file stores them, each once; all are shown in one size."""
        self._frames = read(self)
        self._quarter_turns = quarter_turns % 4

    def __next__(self) -> VideoFrame:
        frame = next(self._frames)
        if not self._quarter_turns:
            return frame
        return replace(frame, image=np.ascontiguousarray(np.rot90(frame.image, self._quarter_turns)))

    def note_size(self, frame: av.VideoFrame) -> None:
        """Take note of the size of a decoded frame."""
        size = frame.width, frame.height
        if size not in self.stored_sizes:
            self.stored_sizes.append(size)


def video_frames(
    path: Path,
    *,
    fps: float | None = None,
    start_s: float = 0.0,
    stop_s: float | None = None,
    threads: int = 1,
    quarter_turns: int = 0,
) -> VideoFrames:
    """Return the frames of a video in order of presentation.

    Args:
        path: The video file.
        fps: None for every frame; else the frame on display at k/fps seconds for k = 0, 1, …: the last one shown at or
            before that time (within 1 ms, the rounding of some containers). A slow video repeats frames.
        start_s: First time wanted, seconds from the start of the video.
        stop_s: First time not wanted; None for the end, which is the last frame's start plus its duration.
        threads: Decoder threads.
        quarter_turns: By how many quarter turns, anticlockwise, to turn what a player shows: of a film lying on its side.

    Raises:
        UsageError: when fps is not above 0 or start_s is negative.
        UnusableVideoError: `unreadable` or `no_video`; a video of which no frame can be decoded is unreadable.

    Example:
        >>> times = [frame.time_s for frame in video_frames(Path("talk.mp4"), fps=5)]  # doctest: +SKIP
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps: expected a number above 0 or None, got {fps}")
    if not start_s >= 0:
        raise UsageError(f"start_s: expected 0 or more seconds, got {start_s}")
    path, stop = Path(path), math.inf if stop_s is None else stop_s
    if fps is None:
        return VideoFrames(
            lambda frames: _between(_shown(path, threads, start_s, _all), start_s, stop, frames), quarter_turns
        )
    return VideoFrames(lambda frames: _sampled(path, threads, fps, start_s, stop, frames), quarter_turns)


def video_origin_s(path: Path) -> float:
    """Return when the first frame is shown, in seconds of the file's timeline.

    Raises:
        UnusableVideoError: when no frame can be decoded.
    """
    return _beginning(path)[0]


def parts_in_doubt(path: Path) -> list[tuple[float, float]]:
    """Return the parts of a video, in seconds from its first frame, of which it is not known what sound belongs to what frame.

    They begin where the timestamps of one stream jump and those of the other do not.

    Raises:
        UnusableVideoError: when no frame can be decoded.
    """
    parts = timeline(path).in_doubt
    origin_s = video_origin_s(path) if parts else 0.0
    return [(start_s - origin_s, stop_s - origin_s) for start_s, stop_s in parts]


def _beginning(path: Path) -> tuple[float, Shape]:
    """Return when the first frame is shown, and its shape."""
    with open_input(path) as container:
        stream = video_stream(container, path)
        frames = decoded(timeline(path).packets(container, stream), av.VideoFrame)
        for time_s, frame in in_order(frames, frame_clock(container, stream)):
            return time_s, shape(frame, stream.sample_aspect_ratio)
        raise nothing_decodes(container, path)


def _all(
    container: av.container.InputContainer, stream: av.VideoStream, times: Timeline, origin_s: float | None
) -> Iterator[av.VideoFrame]:
    return decoded(times.packets(container, stream), av.VideoFrame)


def _shown(path: Path, threads: int, from_s: float, decode: _Decode) -> Iterator[_Shown]:
    """Yield the frames that `decode` gives, at least from the one on display at `from_s` on."""
    times = timeline(path)
    if from_s >= SEEK_FROM_S:
        beginning = _beginning(path)
        with open_input(path) as container:
            stream = video_stream(container, path, threads)
            nearer = _from_key_frame(container, stream, times, beginning[0], from_s, decode)
            if nearer is not None:
                yield from _timed(nearer, container, stream, beginning)
                return
    with open_input(path) as container:
        stream = video_stream(container, path, threads)
        shown = _timed(decode(container, stream, times, None), container, stream, None)
        first = next(shown, None)
        if first is None:
            raise nothing_decodes(container, path)
        yield first
        yield from shown


def _from_key_frame(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    times: Timeline,
    origin_s: float,
    from_s: float,
    decode: _Decode,
) -> Iterator[av.VideoFrame] | None:
    """Jump to a key frame shown at or before `from_s`; None when that is not certain to work.

    Frames that come out before the key frame refer to ones that were not decoded, and are dropped.
    """
    is_seekable = container.format.name.split(",")[0] in SEEKABLE and times.is_plain(stream)
    if not is_seekable or stream.time_base is None:
        return None
    try:
        container.seek(int((origin_s + from_s - SEEK_EARLIER_S) / stream.time_base), stream=stream)
    except (av.error.FFmpegError, OSError):
        return None
    frames = itertools.dropwhile(lambda frame: not frame.key_frame, decode(container, stream, times, origin_s))
    key_frame = next(frames, None)
    key_s = None if key_frame is None else seconds(key_frame.pts, key_frame)
    if key_frame is None or key_s is None or key_s - origin_s > from_s:
        return None
    return itertools.chain([key_frame], frames)


def _timed(
    frames: Iterator[av.VideoFrame],
    container: av.container.InputContainer,
    stream: av.VideoStream,
    beginning: tuple[float, Shape] | None,
) -> Iterator[_Shown]:
    """Give frames their time on display; the first is at time zero unless the beginning of the video is given.

    Side data is read from the first frame alone: a frame that was asked for it refers to itself, and waits in memory for
    the garbage collector.
    """
    clock, declared = frame_clock(container, stream), stream.sample_aspect_ratio
    for time_s, frame in in_order(frames, clock):
        beginning = beginning or (time_s, shape(frame, declared))
        duration_s = (seconds(frame.duration, frame) if frame.duration else None) or clock.step_s
        is_as_first = beginning[1].fits(frame, declared)
        pixel_aspect = declared if is_as_first else stream.codec_context.sample_aspect_ratio
        yield _Shown(time_s - beginning[0], duration_s, frame, pixel_aspect, beginning[1])


def _between(shown: Iterator[_Shown], start_s: float, stop_s: float, result: VideoFrames) -> Iterator[VideoFrame]:
    end_s = 0.0
    for item in shown:
        if item.start_s >= stop_s - ROUNDING_S:
            return
        result.note_size(item.frame)
        if item.start_s >= start_s - ROUNDING_S:
            yield item.at(item.start_s)
        end_s = item.start_s + item.duration_s
    result.end_s = end_s


def _sampled(
    path: Path, threads: int, fps: float, start_s: float, stop_s: float, result: VideoFrames
) -> Iterator[VideoFrame]:
    """Yield the frame on display at each k/fps, decoding no more than needed where that is safe."""

    def wanted(
        container: av.container.InputContainer, stream: av.VideoStream, times: Timeline, origin_s: float | None
    ) -> Iterator[av.VideoFrame]:
        packets = times.packets(container, stream)
        if can_skip(container, stream) and stream.index not in times.damaged:
            return frames_on_display(packets, stream, fps, start_s, origin_s)
        return decoded(packets, av.VideoFrame)

    k = math.ceil((start_s - ROUNDING_S) * fps)
    try:
        for frame in _on_display(_shown(path, threads, start_s, wanted), fps, k, stop_s, result):
            yield frame
            k += 1
    except UnsafeError:
        yield from _on_display(_shown(path, threads, 0.0, _all), fps, k, stop_s, result)


def _on_display(
    shown: Iterator[_Shown], fps: float, k: int, stop_s: float, result: VideoFrames
) -> Iterator[VideoFrame]:
    current: _Shown | None = None
    for item in shown:
        while current is not None and k / fps < min(item.start_s, stop_s) - ROUNDING_S:
            yield current.at(k / fps)
            k += 1
        if k / fps >= stop_s - ROUNDING_S:
            return
        current = item
        result.note_size(item.frame)
    while current is not None and k / fps < min(current.start_s + current.duration_s, stop_s) - ROUNDING_S:
        yield current.at(k / fps)
        k += 1
    result.end_s = None if current is None else current.start_s + current.duration_s
