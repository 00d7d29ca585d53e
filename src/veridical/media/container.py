"""Opening files: containers that this package reads, their video and audio streams, and one clock for both.

Playlists and image formats are refused: an uploaded text file must not make the reader open other files or addresses.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import av
import av.error

from veridical.media.errors import UnusableVideoError

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,live_flv,asf,ogg,mxf,nut,ivf,"
    "wtv,gxf,rm,dv,yuv4mpegpipe,wav,mp3,flac,aac,aiff"
)
"""Demuxers that may be used; everything else, playlists and single images first of all, is refused."""
ROUNDING_S = 1e-3
"""Two times nearer than this are the same: Matroska, WebM and FLV round timestamps to milliseconds."""
MAX_GAP_S = 3600.0
"""A timestamp that runs ahead by more than this is damaged and is not believed."""


FrameT = TypeVar("FrameT", av.VideoFrame, av.AudioFrame)


@contextmanager
def open_input(path: Path) -> Generator[av.container.InputContainer]:
    """Open a file for reading.

    Raises:
        UnusableVideoError: `unreadable`, when it is missing, empty, cut, or not a container in `CONTAINERS`.
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
        _refuse_cut(container, path)
        yield container


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder, not a video"
    if path.exists():
        return "is not a regular file (a pipe, a socket or a device)"
    return "is a link that leads to no file" if path.is_symlink() else "no such file"


def video_stream(container: av.container.InputContainer, path: Path, threads: int = 1) -> av.VideoStream:
    """Return the first video stream, cover art aside.

    Raises:
        UnusableVideoError: `no_video`, when there is none; `unreadable`, when there is no decoder for it.
    """
    for stream in container.streams.video:
        if stream.disposition & av.stream.Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise UnusableVideoError("unreadable", "no decoder for the codec of its video stream", path)
        stream.codec_context.thread_count = threads
        return stream
    held = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream at all"
    raise UnusableVideoError("no_video", f"has no video stream, only: {held}", path)


def decoded(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream, kind: type[FrameT]
) -> Iterator[FrameT]:
    """Yield the frames that a stream decodes to; packets that cannot be decoded are passed over, as players do."""
    packets = container.demux(stream)
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
        yield from (frame for frame in frames if isinstance(frame, kind))


@dataclass
class Clock:
    """Turns presentation timestamps into seconds of one timeline, mending those that are missing or run backwards."""

    step_s: float
    """Duration of a frame when nothing better is known."""
    keeps_no_pts: bool = False
    """The file has decoding times only; frames come out in order, one at each of them."""
    previous_s: float | None = None
    previous_dts_s: float | None = None
    shift_s: float = field(default=0.0)
    """Added to all timestamps after one that jumped."""

    def read(self, frame: av.VideoFrame | av.AudioFrame) -> float:
        """Return the presentation time of the next decoded frame in seconds of the container's timeline."""
        dts_s = seconds(frame.dts, frame)
        pts_s = dts_s if self.keeps_no_pts else seconds(frame.pts, frame)
        if pts_s is not None:
            time_s = pts_s + self.shift_s
            if self.previous_s is not None and not -ROUNDING_S <= time_s - self.previous_s <= MAX_GAP_S:
                self.shift_s += self.previous_s + self.step_s - time_s
                time_s = self.previous_s + self.step_s
        elif self.previous_s is None:
            time_s = dts_s or 0.0
        else:
            advance_s = 0.0 if dts_s is None or self.previous_dts_s is None else dts_s - self.previous_dts_s
            time_s = self.previous_s + (advance_s if 0 < advance_s <= MAX_GAP_S else self.step_s)
        self.previous_s, self.previous_dts_s = time_s, dts_s
        return time_s


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


def _refuse_cut(container: av.container.InputContainer, path: Path) -> None:
    """Compare where the container's index, if it has one, says that the last data lie with the size of the file."""
    size = path.stat().st_size
    for stream in container.streams:
        entries = stream.index_entries
        last = entries[-1] if entries is not None and len(entries) else None
        if last is not None and last.pos + last.size > size:
            reason = f"is cut short: its index names data up to byte {last.pos + last.size}, the file has {size}"
            raise UnusableVideoError("unreadable", reason, path)


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
