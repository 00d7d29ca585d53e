"""What a file says about itself, checked as far as opening it and decoding one frame can."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from veridical.media.container import (
    audio_stream,
    choices,
    decoded,
    frame_step_s,
    nothing_decodes,
    open_input,
    shortfall,
    video_stream,
)
from veridical.media.orientation import shape


@dataclass(frozen=True)
class MediaFacts:
    """Container facts of one video; none of them may ever be a feature, they are for audits."""

    duration_s: float
    """Duration of the video stream, as the container declares it; of the whole file when it declares none for the stream."""
    fps: float
    """Average frame rate."""
    width: int
    """Square pixels, after rotation."""
    height: int
    """Square pixels, after rotation."""
    codec: str
    """Codec of the video stream, for example h264."""
    pixel_format: str
    """For example yuv420p."""
    bitrate: int | None
    """Bits per second of the video stream, else of the file; None when neither is known."""
    has_audio: bool
    audio_codec: str | None
    audio_rate_hz: int | None
    container: str
    """The demuxer's short name, for example mov or matroska."""
    remarks: tuple[str, ...] = ()
    """What a person should know: a choice between several streams, a file that is cut short."""

    @property
    def columns(self) -> dict[str, Any]:
        """The facts that have a column of their own in a manifest."""
        return {name: value for name, value in vars(self).items() if name not in ("container", "remarks")}


def probe(path: Path) -> MediaFacts:
    """Return the facts of a video file.

    Raises:
        UnusableVideoError: `unreadable` when it is missing, empty, not a video, or its first frame cannot
            be decoded; `no_video` when it has audio only.
    """
    path = Path(path)
    with open_input(path) as container:
        stream = video_stream(container, path)
        sound = audio_stream(container, stream)
        frame = next(decoded(container.demux(stream), av.VideoFrame), None)
        if frame is None:
            raise nothing_decodes(container, path)
        width, height = shape(frame, stream.sample_aspect_ratio).shown
        sound_context = None if sound is None else sound.codec_context
        return MediaFacts(
            duration_s=_duration_s(container, stream),
            fps=1.0 / frame_step_s(stream),
            width=width,
            height=height,
            codec=stream.codec_context.name,
            pixel_format=frame.format.name,
            bitrate=_bitrate(container, stream),
            has_audio=bool(container.streams.audio),
            audio_codec=None if sound_context is None else sound_context.name,
            audio_rate_hz=None if sound_context is None else sound_context.sample_rate,
            container=container.format.name.split(",")[0],
            remarks=tuple(
                remark for remark in (shortfall(container, path), *choices(container, stream, sound)) if remark
            ),
        )


def _duration_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / av.time_base


def _bitrate(container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
    """Return the track's bit rate unless it is above the whole file's, as MPEG headers say for "variable"."""
    whole, track = container.bit_rate, stream.codec_context.bit_rate
    return track if track and (not whole or track <= whole) else whole or None
