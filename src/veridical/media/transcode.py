"""Re-encoding a video, as FaceForensics++ made its compression levels: H.264 at a constant quality; timestamps and audio stay."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from veridical.artefacts import atomic_path
from veridical.errors import UsageError
from veridical.media.container import (
    audio_stream,
    decoded,
    frame_clock,
    frame_step_s,
    in_order,
    open_input,
    video_stream,
)
from veridical.media.frames import video_origin_s
from veridical.media.orientation import IDENTITY, Shape, shape
from veridical.media.sound import Samples, audio_samples
from veridical.media.timeline import Timeline, timeline
from veridical.media.write import sound_frame, sound_track, yuv_frame

CRF_OF_LEVEL = {"c23": 23, "c40": 40}
"""Quality of the compression levels of FaceForensics++ (Rössler et al., 2019)."""
COPIED_SOUND = ("aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus", "flac")
"""Decoders whose codecs MP4 holds; any other audio is encoded as mono AAC."""
AUDIO_BITRATE = 128_000
TICK = Fraction(1, 90_000)
AHEAD_S = 0.5
"""How far the audio is written ahead of the video."""


def transcode(path: Path, out: Path, *, crf: int, preset: str = "medium") -> None:
    """Re-encode a video as H.264, 8 bits 4:2:0, in MP4.

    Every frame keeps its presentation time, counted from the first; rotation and pixel aspect are applied. The audio track is
    copied where MP4 holds its codec and stays in step.

    Args:
        path: The video to read.
        out: Where the result appears once it is whole.
        crf: Quality of x264, 0 (lossless) to 51; `CRF_OF_LEVEL` names those of FaceForensics++.
        preset: Effort of the encoder.

    Raises:
        UnusableVideoError: when the video cannot be read.
        UsageError: when crf or the preset is refused, or `out` is the video itself.
    """
    path, out = Path(path), Path(out)
    if not 0 <= crf <= 51:
        raise UsageError(f"crf: expected 0 to 51, got {crf}")
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out}: would overwrite the video that is read")
    origin_s = video_origin_s(path)
    with (
        open_input(path) as source,
        open_input(path) as sound_source,
        atomic_path(out) as temporary,
        av.open(str(temporary), "w", format="mp4") as target,
    ):
        stream = video_stream(source, path)
        track = target.add_stream("libx264", rate=Fraction(1 / frame_step_s(stream)).limit_denominator(1001))
        track.options = {"crf": str(crf), "preset": preset}
        times = timeline(path)
        sound = _sound_packets(path, sound_source, target, times, origin_s)
        _mux_in_turn(target, _video_packets(source, stream, times, track, preset), sound)


def _mux_in_turn(
    target: av.container.OutputContainer,
    video: Iterator[tuple[av.Packet[Any], float]],
    sound: Iterator[av.Packet[Any]],
) -> None:
    pending = next(sound, None)
    for packet, time_s in video:
        target.mux(packet)
        while pending is not None and _start_s(pending) <= time_s + AHEAD_S:
            target.mux(pending)
            pending = next(sound, None)
    while pending is not None:
        target.mux(pending)
        pending = next(sound, None)


def _video_packets(
    source: av.container.InputContainer, stream: av.VideoStream, times: Timeline, track: av.VideoStream, preset: str
) -> Iterator[tuple[av.Packet[Any], float]]:
    """Yield encoded frames and the time that the encoding has come to."""
    pixel_aspect = stream.sample_aspect_ratio
    origin_s, time_s = 0.0, 0.0
    shown: Shape | None = None
    frames = decoded(times.packets(source, stream), av.VideoFrame)
    for read_s, frame in in_order(frames, frame_clock(source, stream)):
        is_first = shown is None
        shown = shown or shape(frame, pixel_aspect)
        yuv = _yuv420(frame, shown, pixel_aspect)
        if is_first:
            origin_s = read_s
            _open_encoder(track, yuv, preset)
        time_s = read_s - origin_s
        yuv.pts, yuv.time_base = round(time_s / TICK), TICK
        yield from ((packet, time_s) for packet in track.encode(yuv))
    yield from ((packet, time_s) for packet in track.encode(None))


def _open_encoder(track: av.VideoStream, first: av.VideoFrame, preset: str) -> None:
    context = track.codec_context
    track.width, track.height, track.pix_fmt = first.width, first.height, "yuv420p"
    context.time_base = TICK
    context.colorspace, context.color_range = first.colorspace, first.color_range
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        size = f"{first.width} x {first.height} pixels"
        raise UsageError(f"x264 refuses preset {preset!r} for {size} ({error})") from None


def _yuv420(frame: av.VideoFrame, shown: Shape, pixel_aspect: Fraction | None) -> av.VideoFrame:
    """Return the frame as shown in 8 bits 4:2:0, through RGB only where it must be turned, scaled or made even."""
    is_stored_so = (shown.width, shown.height) == (frame.width, frame.height) and shown.fits(frame, pixel_aspect)
    if is_stored_so and shown.turn == IDENTITY and frame.width % 2 == 0 == frame.height % 2:
        return frame.reformat(format="yuv420p", threads=1)
    return yuv_frame(shown.image(frame, pixel_aspect), "yuv420p")


def _sound_packets(
    path: Path,
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    times: Timeline,
    origin_s: float,
) -> Iterator[av.Packet[Any]]:
    """Return packets of the audio track for a new track of the target, with time from the first frame."""
    stream = audio_stream(source, video_stream(source, path))
    if stream is None:
        return iter(())
    if stream.codec_context.name in COPIED_SOUND and times.is_plain(stream):
        return _copied(source, stream, target.add_stream_from_template(stream), origin_s)
    rate_hz = stream.codec_context.sample_rate
    samples = audio_samples(path, rate_hz=rate_hz)
    if samples is None:
        return iter(())
    return _encoded(samples, sound_track(target, "aac", rate_hz, AUDIO_BITRATE))


def _copied(
    source: av.container.InputContainer, stream: av.AudioStream, track: av.stream.Stream, origin_s: float
) -> Iterator[av.Packet[Any]]:
    for packet in source.demux(stream):
        if packet.dts is None or packet.time_base is None:
            continue  # the empty packet that ends a stream
        shift = round(origin_s / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = track  # type: ignore[assignment]
        yield packet


def _encoded(samples: Samples, track: av.AudioStream) -> Iterator[av.Packet[Any]]:
    for start in range(0, len(samples), track.rate):
        yield from track.encode(sound_frame(samples[start : start + track.rate], start, track.rate))
    yield from track.encode(None)


def _start_s(packet: av.Packet[Any]) -> float:
    return 0.0 if packet.pts is None or packet.time_base is None else float(packet.pts * packet.time_base)
