"""Writing videos: H.264 and AAC in MP4, whole or not at all, audio in step with the video.

AAC begins with a priming frame; the MP4 edit list says so and readers skip it, so that sample 0 is heard with frame 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from veridical.artefacts import atomic_path
from veridical.errors import UsageError

Frame = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]

REPRODUCIBLE = {"x264-params": "mbtree=0", "threads": "1"}
"""Macroblock trees give other files from the same frames now and then, and another number of threads always does."""
BT601 = 6
LIMITED_RANGE = 1
SOUND_CHUNK_S = 0.5


def write_video(
    path: Path,
    frames: Iterable[Frame],
    *,
    fps: float | Fraction,
    samples: Samples | None = None,
    sample_rate_hz: int = 16_000,
    crf: int = 18,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    preset: str = "medium",
    audio_codec: str = "aac",
    audio_bitrate: int = 96_000,
) -> None:
    """Write frames, and audio if given, to a video file; frames are taken one at a time.

    Args:
        path: Where the file appears once it is whole; its suffix names the container.
        frames: (H, W, 3) RGB of one size; an odd size gains a repeated row or column where the format needs it.
        fps: Constant frame rate.
        samples: (S,) mono, nominally in [-1, 1]; sample 0 is heard with the first frame. None for no audio track.
        sample_rate_hz: Of `samples`.
        crf: Quality of x264: 0 lossless, 18 near transparent, 23 and 40 are the levels of FaceForensics++.
        codec: An FFmpeg video encoder.
        pixel_format: Of the encoded frames.
        preset: Effort of the encoder.
        audio_codec: An FFmpeg audio encoder.
        audio_bitrate: Bits per second.

    Raises:
        UsageError: when there is no frame, a frame is not (H, W, 3) uint8 or of another size, or a setting is refused.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise UsageError(f"{path}: no frame to write")
    rate = fps if isinstance(fps, Fraction) else Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise UsageError(f"fps: expected a number above 0, got {fps}")
    muxer = _muxer(Path(path))
    with atomic_path(Path(path)) as temporary, av.open(str(temporary), "w", format=muxer) as container:
        try:
            video = _video_track(container, first, rate, codec, pixel_format, {"crf": str(crf), "preset": preset})
            sound = None if samples is None else sound_track(container, audio_codec, sample_rate_hz, audio_bitrate)
            container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            settings = f"{codec} {pixel_format} crf {crf}, sound {audio_codec} {sample_rate_hz} Hz"
            raise UsageError(f"{path}: cannot be encoded with {settings} ({error})") from None
        _mux(container, video, itertools.chain([first], rest), sound, samples)


def _muxer(path: Path) -> str:
    known = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
    if path.suffix.lower() not in known:
        raise UsageError(f"{path}: cannot write {path.suffix or 'a name without suffix'}; valid: {', '.join(known)}")
    return known[path.suffix.lower()]


def _video_track(
    container: av.container.OutputContainer,
    first: Frame,
    rate: Fraction,
    codec: str,
    pixel_format: str,
    options: dict[str, str],
) -> av.VideoStream:
    height, width = _padded(_checked(first, first.shape), pixel_format).shape[:2]
    track = cast("av.VideoStream", container.add_stream(codec, rate=rate))
    reproducible = REPRODUCIBLE if codec == "libx264" else {}
    track.options = {**options, **reproducible} if codec.startswith("libx26") else {}
    track.width, track.height, track.pix_fmt = width, height, pixel_format
    track.codec_context.time_base = 1 / rate
    track.codec_context.colorspace, track.codec_context.color_range = BT601, LIMITED_RANGE
    return track


def sound_track(container: av.container.OutputContainer, codec: str, rate_hz: int, bitrate: int) -> av.AudioStream:
    """Add a mono audio track to a container that is being written."""
    track = cast("av.AudioStream", container.add_stream(codec, rate=rate_hz, layout="mono"))
    track.bit_rate = bitrate
    return track


def sound_frame(samples: Samples, start: int, rate_hz: int) -> av.AudioFrame:
    """Return (S,) samples as a frame for the encoder, `start` samples after time zero."""
    piece = np.ascontiguousarray(samples[None], dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
    return frame


def _mux(
    container: av.container.OutputContainer,
    video: av.VideoStream,
    frames: Iterator[Frame],
    sound: av.AudioStream | None,
    samples: Samples | None,
) -> None:
    rate = video.codec_context.framerate
    shape: tuple[int, ...] | None = None
    heard = 0
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        encoded = yuv_frame(_checked(frame, shape), video.pix_fmt or "yuv420p")
        encoded.pts = index
        container.mux(video.encode(encoded))
        if sound is not None and samples is not None:
            until = min(len(samples), int((float((index + 1) / rate) + SOUND_CHUNK_S) * sound.rate))
            heard = _mux_sound(container, sound, samples, heard, until)
    container.mux(video.encode(None))
    if sound is not None and samples is not None:
        _mux_sound(container, sound, samples, heard, len(samples))
        container.mux(sound.encode(None))


def _mux_sound(
    container: av.container.OutputContainer, sound: av.AudioStream, samples: Samples, start: int, stop: int
) -> int:
    """Encode samples[start:stop] and return where to go on."""
    if stop > start:
        container.mux(sound.encode(sound_frame(samples[start:stop], start, sound.rate)))
    return max(start, stop)


def _checked(frame: Frame, shape: tuple[int, ...]) -> Frame:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise UsageError(f"frames: expected (H, W, 3) uint8 RGB, got {frame.shape} {frame.dtype}")
    if frame.shape != shape:
        raise UsageError(f"frames: expected all of one size, got {shape} first and {frame.shape} later")
    return frame


def _padded(frame: Frame, pixel_format: str) -> Frame:
    """Return the frame with its last column and row repeated where chroma subsampling needs an even size."""
    pad_width = frame.shape[1] % 2 if "420" in pixel_format or "422" in pixel_format else 0
    pad_height = frame.shape[0] % 2 if "420" in pixel_format else 0
    if not pad_width and not pad_height:
        return frame
    return np.pad(frame, ((0, pad_height), (0, pad_width), (0, 0)), mode="edge")


def yuv_frame(frame: Frame, pixel_format: str) -> av.VideoFrame:
    """Return a (H, W, 3) RGB frame in an encoder's pixel format, BT.601 limited range, sides made even where needed."""
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(_padded(frame, pixel_format)), format="rgb24")
    return rgb.reformat(
        format=pixel_format, dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, threads=1
    )
