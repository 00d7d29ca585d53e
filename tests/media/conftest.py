"""Films whose every frame carries its number, so that a test knows which one it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

BLOCK = 16
BITS = 8
BRIGHT, DARK = 225, 25


def numbered(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """A grey frame with the number as eight 16-pixel blocks along its top, a red and a green patch below."""
    picture = np.full((height, width, 3), 120, np.uint8)
    for bit in range(BITS):
        picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = BRIGHT if number >> bit & 1 else DARK
    picture[-32:, :32] = (200, 40, 60)
    picture[-32:, 64:96] = (40, 160, 70)
    return picture


def number_of(picture: np.ndarray) -> int:
    """Read the number back; fails when a block is neither bright nor dark."""
    number = 0
    for bit in range(BITS):
        block = picture[4 : BLOCK - 4, bit * BLOCK + 4 : (bit + 1) * BLOCK - 4].mean()
        assert block > 170 or block < 80, f"block {bit} is grey: {block:.0f}"
        number |= int(block > 128) << bit
    return number


def write_film(
    path: Path,
    codec: str = "libx264",
    *,
    count: int = 50,
    rate: Fraction | int = 25,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (160, 96),
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    muxer: str | None = None,
    muxer_options: dict[str, str] | None = None,
    prepare: Callable[[av.VideoStream], None] | None = None,
    sound: Iterable[tuple[int, np.ndarray]] = (),
    sound_codec: str = "aac",
    sound_rate: int = 16_000,
    picture: Callable[[int, int, int], np.ndarray] = numbered,
) -> Path:
    """Write numbered frames at the given pts, and pieces of sound at the given sample positions."""
    ticks = list(range(count)) if pts is None else list(pts)
    base = time_base or 1 / Fraction(rate)
    pieces = list(sound)
    with av.open(str(path), "w", format=muxer, options=muxer_options or {}) as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.codec_context.time_base = base
        if prepare:
            prepare(video)
        track = container.add_stream(sound_codec, rate=sound_rate, layout="mono") if pieces else None
        packets = []
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = tick, base
            packets += video.encode(frame)
        packets += video.encode(None)
        for start, samples in pieces:
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = sound_rate, start, Fraction(1, sound_rate)
            resampler = av.AudioResampler(
                format=track.format, layout="mono", rate=sound_rate, frame_size=track.frame_size
            )
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                packets += track.encode(piece)
        if track is not None:
            packets += track.encode(None)
        packets.sort(key=lambda packet: float(packet.dts * packet.time_base))
        for packet in packets:
            container.mux(packet)
    return path


@pytest.fixture(scope="session")
def films() -> SimpleNamespace:
    return SimpleNamespace(numbered=numbered, number_of=number_of, write=write_film)
