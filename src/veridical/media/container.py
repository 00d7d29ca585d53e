"""Opening files: containers that this package reads, their video and audio streams, and one clock for both.

Playlists and image formats are refused: an uploaded text file must not make the reader open other files or addresses.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import av
import av.error

from veridical.media.errors import UnusableVideoError

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,mxf,nut,ivf,"
    "wtv,gxf,rm,dv,yuv4mpegpipe,wav,mp3,flac,aac,aiff"
)
"""Demuxers that may be used; everything else, playlists and single images first of all, is refused."""
STILL_CODECS = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")
"""Codecs of covers; beside a stream of another codec, one of these is not the video."""
ROUNDING_S = 1e-3
"""Two times nearer than this are the same: Matroska, WebM and FLV round timestamps to milliseconds."""
MAX_GAP_S = 3600.0
"""A timestamp that runs ahead by more than this is damaged and is not believed."""
FAR_AHEAD_S = 1.0
"""A frame alone so far ahead of the frames around it has a wrong time."""

FrameT = TypeVar("FrameT", av.VideoFrame, av.AudioFrame)
StreamT = TypeVar("StreamT", av.VideoStream, av.AudioStream)


@contextmanager
def open_input(path: Path) -> Generator[av.container.InputContainer]:
    """Open a file for reading.

    Raises:
        UnusableVideoError: `unreadable`, when it is missing, empty, or not a container in `CONTAINERS`.
    """
    path = Path(path)
    if not path.is_file():
        raise UnusableVideoError("unreadable", _why_no_file(path), path)
    if path.stat().st_size == 0:
        raise UnusableVideoError("unreadable", "the file is empty (0 bytes)", path)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        container = av.open(str(path), metadata_errors="replace", container_options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnusableVideoError("unreadable", _why_not_open(error, path), path) from None
    with container:
        yield container


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder, not a video"
    if path.exists():
        return "is not a regular file (a pipe, a socket or a device)"
    return "is a link that leads to no file" if path.is_symlink() else "no such file"


def has_video(container: av.container.InputContainer) -> bool:
    """Return whether a file has a video stream, cover art aside."""
    return any(not _is_cover(stream) for stream in container.streams.video)


def video_stream(container: av.container.InputContainer, path: Path, threads: int = 1) -> av.VideoStream:
    """Return the video stream that a player would show: the one flagged default, but no still beside others, and no cover art.

    Raises:
        UnusableVideoError: `no_video`, when there is none; `unreadable`, when there is no decoder for it.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream at all"
        raise UnusableVideoError("no_video", f"has no video stream, only: {held}", path)
    moving = [stream for stream in streams if not _is_still(stream)]
    chosen = _played(moving or streams, container.streams.best("video"))
    if chosen is None:
        raise UnusableVideoError("unreadable", "no decoder for the codec of its video stream", path)
    chosen.codec_context.thread_count = threads
    return chosen


def audio_stream(container: av.container.InputContainer, video: av.VideoStream | None) -> av.AudioStream | None:
    """Return the audio track that a player would play with a video stream; None when none can be decoded."""
    streams = container.streams.audio
    return _played(streams, container.streams.best("audio", video)) if streams else None


def choices(
    container: av.container.InputContainer, video: av.VideoStream, audio: av.AudioStream | None
) -> Iterator[str]:
    """Yield a remark for each kind of stream of which there are several."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if len(streams) > 1:
        yield _choice("video streams", "shown", streams, video)
    if len(container.streams.audio) > 1 and audio is not None:
        yield _choice("audio tracks", "heard", container.streams.audio, audio)


def _choice(
    kind: str,
    verb: str,
    streams: Sequence[av.VideoStream | av.AudioStream],
    chosen: av.VideoStream | av.AudioStream,
) -> str:
    flag = ", flagged default" if chosen.disposition & av.stream.Disposition.default else ""
    return (
        f"{len(streams)} {kind}: number {list(streams).index(chosen) + 1} ({chosen.codec_context.name}{flag}) is {verb}"
    )


def _played(streams: Sequence[StreamT], best: av.stream.Stream | None) -> StreamT | None:
    """Return the best stream by FFmpeg's rules if it can be decoded, else the first flagged default, or the first that can be."""
    playable = [stream for stream in streams if stream.codec_context is not None]
    default = av.stream.Disposition.default
    ranked = sorted(playable, key=lambda stream: (stream is not best, not stream.disposition & default))
    return next(iter(ranked), None)


def _is_still(stream: av.VideoStream) -> bool:
    """Return whether a stream holds an image, as covers are stored by programs that do not flag them."""
    return stream.frames == 1 or (stream.codec_context is not None and stream.codec_context.name in STILL_CODECS)


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def decoded(packets: Iterator[av.Packet[Any]], kind: type[FrameT]) -> Iterator[FrameT]:
    """Yield the frames that packets decode to; packets that cannot be decoded are passed over, as players do."""
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            packet = None
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, OSError):
            continue
        for frame in frames:
            if isinstance(frame, kind):
                yield frame


@dataclass
class Clock:
    """Gives decoded frames their time in seconds of the file's timeline, filling in those that are missing."""

    step_s: float
    """Duration of a frame when nothing better is known."""
    keeps_no_pts: bool = False
    """The file has decoding times only; frames come out in order, one at each of them."""
    previous_s: float | None = None
    previous_dts_s: float | None = None

    def read(self, frame: av.VideoFrame | av.AudioFrame) -> float:
        """Return the presentation time of the next decoded frame; it may lie before that of the frame before it."""
        dts_s = seconds(frame.dts, frame)
        time_s = dts_s if self.keeps_no_pts else seconds(frame.pts, frame)
        if time_s is None and self.previous_s is None:
            time_s = dts_s or 0.0
        elif time_s is None:
            advance_s = 0.0 if dts_s is None or self.previous_dts_s is None else dts_s - self.previous_dts_s
            time_s = (self.previous_s or 0.0) + (advance_s if 0 < advance_s <= MAX_GAP_S else self.step_s)
        self.previous_s, self.previous_dts_s = time_s, dts_s
        return time_s


def in_order(frames: Iterator[av.VideoFrame], clock: Clock) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield frames with their times, without those that do not come in order of time, of which a player shows none either.

    A frame that comes too late is left out; one that alone is far ahead of those around it is left out instead of them.
    """
    shown_s: float | None = None
    held: tuple[float, av.VideoFrame] | None = None
    for frame in frames:
        time_s = clock.read(frame)
        if held is None or time_s - held[0] >= -ROUNDING_S:
            if held is not None:
                yield held
                shown_s = held[0]
            held = time_s, frame
        elif held[0] - time_s > FAR_AHEAD_S and (shown_s is None or time_s - shown_s >= -ROUNDING_S):
            held = time_s, frame
    if held is not None:
        yield held


def frame_clock(container: av.container.InputContainer, stream: av.VideoStream) -> Clock:
    """Return the clock for the decoded frames of a stream."""
    return Clock(frame_step_s(stream), keeps_no_pts=container.format.name == "avi")


def seconds(ticks: int | None, frame: av.VideoFrame | av.AudioFrame) -> float | None:
    """Return ticks of a frame's time base in seconds; None for None."""
    base = None if ticks is None else frame.time_base
    return None if ticks is None or base is None else ticks * base.numerator / base.denominator


def frame_step_s(stream: av.VideoStream) -> float:
    """Return the usual duration of a frame in seconds; 1/25 when the file does not say."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate < 1000:
            return float(1 / rate)
    return 0.04


def nothing_decodes(container: av.container.InputContainer, path: Path) -> UnusableVideoError:
    """Return the error of a file without a frame that can be decoded."""
    reason = "has a video stream of which no frame can be decoded"
    return UnusableVideoError("unreadable", "; it ".join(filter(None, [reason, shortfall(container, path)])), path)


def shortfall(container: av.container.InputContainer, path: Path) -> str:
    """Return that a file is cut short, if its index names data beyond its end; else nothing."""
    size = path.stat().st_size
    for stream in container.streams:
        entries = stream.index_entries
        last = entries[-1] if entries is not None and len(entries) else None
        if last is not None and last.pos + last.size > size:
            return f"is cut short: its index names data up to byte {last.pos + last.size}, the file has {size}"
    return ""


def _why_not_open(error: Exception, path: Path) -> str:
    if getattr(error, "errno", None) == errno.EINVAL:
        return (
            "is not a video: its format is not among the supported containers (MP4, MOV, Matroska, WebM, AVI, MPEG …)"
        )
    with path.open("rb") as file:
        is_mp4 = file.read(12)[4:8] == b"ftyp"
    if is_mp4:
        return "is an MP4 without a readable index (moov): cut short, damaged, or still being written"
    said = getattr(error, "strerror", None) or str(error)
    return f"cannot be opened as a video ({said}): damaged, or not a video file"
