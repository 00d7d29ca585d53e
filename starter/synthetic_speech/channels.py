"""What happens to speech on its way, to genuine and synthetic speech alike: codecs, telephone, noise, rooms, loudness.

Linear and impulsive distortions after RawBoost (Tak et al. 2022, arXiv:2111.04433), milder than there. Everything draws
from a stream that the caller gives, so that the same stream gives the same sound.
"""

from __future__ import annotations

import ctypes
import io
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, firwin2, sosfilt

from synthetic_speech.audio import RATE_HZ, Samples, normalise, resample

Channel = Callable[[Samples, np.random.Generator], Samples]


@dataclass(frozen=True)
class Codec:
    """A lossy codec of PyAV: encoder, container, sample rate it works at, bitrates in kbit/s."""

    name: str
    container: str
    rate_hz: int
    kbits: tuple[float, ...]


CODECS = {
    "opus": Codec("libopus", "ogg", 48_000, (8, 12, 16, 24, 32)),
    "opus_narrow": Codec("libopus", "ogg", 8_000, (8, 12)),
    "aac": Codec("aac", "adts", 44_100, (32, 48, 64, 96)),
    "mp3": Codec("libmp3lame", "mp3", 44_100, (32, 48, 64, 96)),
    "mp3_low": Codec("libmp3lame", "mp3", 22_050, (24, 32)),
    "amr": Codec("libopencore_amrnb", "amr", 8_000, (4.75, 7.95, 12.2)),
    "g711": Codec("pcm_mulaw", "wav", 8_000, (64,)),
    "g722": Codec("g722", "wav", 16_000, (64,)),
}


def through_codec(samples_S: Samples, codec: Codec, kbits: float) -> Samples:
    """Encode and decode; the delay of the codec is not corrected, the length is kept."""
    pcm = np.clip(resample(samples_S, RATE_HZ, codec.rate_hz) * 32767, -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=codec.container) as out:
        track = out.add_stream(codec.name, rate=codec.rate_hz)
        track.codec_context.layout = "mono"
        track.codec_context.bit_rate = int(kbits * 1000)
        wanted = av.AudioResampler(format=track.codec_context.format, layout="mono", rate=codec.rate_hz)
        size = codec.rate_hz // 5
        for start in range(0, len(pcm), size):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + size], format="s16", layout="mono")
            frame.sample_rate, frame.pts = codec.rate_hz, start
            for converted in wanted.resample(frame):
                out.mux(track.encode(converted))
        out.mux(track.encode(None))
    buffer.seek(0)
    return _same_length(_decoded(buffer), len(samples_S))


def _decoded(buffer: io.BytesIO) -> Samples:
    pieces, rate_hz = [], RATE_HZ
    with av.open(buffer) as container:
        planar = av.AudioResampler(format="fltp")
        for frame in container.decode(audio=0):
            for converted in planar.resample(frame):
                rate_hz = converted.sample_rate
                pieces.append(converted.to_ndarray().mean(0))
    return resample(np.concatenate(pieces).astype(np.float32), rate_hz, RATE_HZ)


def _same_length(samples_S: Samples, length: int) -> Samples:
    return np.pad(samples_S, (0, max(length - len(samples_S), 0)))[:length]


def codec(*names: str) -> Channel:
    """A codec drawn from `names` at one of its bitrates."""

    def channel(samples_S: Samples, stream: np.random.Generator) -> Samples:
        chosen = CODECS[names[stream.integers(len(names))]]
        return through_codec(samples_S, chosen, float(stream.choice(chosen.kbits)))

    return channel


def band_limit(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Low-pass from 3.2 to 7.6 kHz, sometimes the high-pass of a telephone too."""
    sos = butter(int(stream.integers(4, 10)), stream.uniform(3200, 7600), "low", fs=RATE_HZ, output="sos")
    samples = sosfilt(sos, samples_S)
    if stream.random() < 0.4:
        samples = sosfilt(butter(2, stream.uniform(80, 300), "high", fs=RATE_HZ, output="sos"), samples)
    return np.asarray(samples, np.float32)


def resampled(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Down to a common lower rate and back."""
    rate_hz = int(stream.choice([8000, 11025, 12000]))
    return _same_length(resample(resample(samples_S, RATE_HZ, rate_hz), rate_hz, RATE_HZ), len(samples_S))


def equaliser(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """A smooth random frequency response within about 8 dB."""
    points = np.linspace(0, 1, 9)
    gains = 10 ** (np.clip(stream.normal(0, 3.0, 9), -8, 8) / 20)
    return np.asarray(fftconvolve(samples_S, firwin2(129, points, gains), mode="same"), np.float32)


def clipping(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Clip or softly saturate the loudest per mille to two per cent of the samples."""
    top = float(np.quantile(np.abs(samples_S), stream.uniform(0.98, 0.999))) + 1e-6
    if stream.random() < 0.5:
        return np.clip(samples_S, -top, top)
    return np.asarray(np.tanh(samples_S / top) * top, np.float32)


def impulses(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Noise in proportion to the signal on a few per cent of the samples."""
    hit = stream.random(len(samples_S)) < stream.uniform(0.005, 0.05)
    return np.asarray(samples_S * (1 + hit * stream.normal(0, stream.uniform(0.05, 0.3), len(samples_S))), np.float32)


@dataclass(frozen=True)
class Surroundings:
    """Recorded noises and room responses at 16 kHz."""

    noises: list[Samples]
    rooms: list[Samples] = field(default_factory=list)

    def noise(self, samples_S: Samples, stream: np.random.Generator) -> Samples:
        """Add coloured or recorded noise at 8 to 35 dB below the speech."""
        count = len(samples_S)
        if stream.random() < 0.5 or not self.noises:
            slope = np.maximum(np.fft.rfftfreq(count), 1 / count) ** -stream.uniform(0, 1)
            noise = np.fft.irfft(np.fft.rfft(stream.normal(size=count)) * slope, count)
        else:
            source = self.noises[stream.integers(len(self.noises))]
            noise = np.resize(np.roll(source, -int(stream.integers(len(source)))), count)
        level = np.std(samples_S) * 10 ** (-stream.uniform(8, 35) / 20)
        return np.asarray(samples_S + noise * (level / (np.std(noise) + 1e-9)), np.float32)

    def reverberation(self, samples_S: Samples, stream: np.random.Generator) -> Samples:
        """A room: a recorded response or decaying noise of .1 to .7 s, mixed with the direct sound."""
        if self.rooms and stream.random() < 0.3:
            room = self.rooms[stream.integers(len(self.rooms))]
        else:
            length = int(stream.uniform(0.1, 0.7) * RATE_HZ)
            room = stream.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
            room[: int(stream.uniform(0, 0.01) * RATE_HZ)] = 0
        wet = fftconvolve(samples_S, room)[: len(samples_S)]
        wet *= np.std(samples_S) / (np.std(wet) + 1e-9) * 10 ** (-stream.uniform(0, 15) / 20)
        return np.asarray(samples_S + wet, np.float32)


def _light(around: Surroundings) -> list[Channel]:
    return [
        equaliser,
        band_limit,
        around.noise,
        around.reverberation,
        clipping,
        impulses,
        codec("opus", "aac", "mp3", "mp3_low"),
    ]


def light(around: Surroundings) -> Channel:
    """One distortion."""
    choices = _light(around)
    return lambda samples_S, stream: choices[stream.integers(len(choices))](samples_S, stream)


def medium(around: Surroundings) -> Channel:
    """A recording and a codec: one of noise, room, equaliser or band limit, then what a messenger or web page does."""
    before = [around.noise, around.reverberation, equaliser, band_limit]
    coded = codec("opus", "opus", "aac", "mp3", "mp3_low", "g722")

    def channel(samples_S: Samples, stream: np.random.Generator) -> Samples:
        return coded(before[stream.integers(len(before))](samples_S, stream), stream)

    return channel


def heavy(around: Surroundings) -> Channel:
    """A bad line: room and noise by chance, then a telephone."""
    line = codec("amr", "g711", "opus_narrow", "opus")

    def channel(samples_S: Samples, stream: np.random.Generator) -> Samples:
        for step in (around.reverberation, around.noise, equaliser):
            if stream.random() < 0.35:
                samples_S = step(samples_S, stream)
        samples_S = line(samples_S, stream)
        return codec("opus", "aac", "mp3")(samples_S, stream) if stream.random() < 0.3 else samples_S

    return channel


def with_floor(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Normalise the loudness and add a faint floor, so that digital silence tells nothing."""
    floor = 10 ** (stream.uniform(-72, -58) / 20)
    return np.asarray(normalise(samples_S) + stream.normal(0, floor, len(samples_S)), np.float32)


# Codecs outside PyAV: only ever used to test, so that they are lines that training has not heard.


def _to_8khz(samples_S: Samples) -> npt.NDArray[np.int16]:
    return np.clip(resample(samples_S, RATE_HZ, 8000) * 4 * 32767, -32768, 32767).astype(np.int16)


def _from_8khz(pcm: npt.NDArray[np.int16], length: int) -> Samples:
    return _same_length(resample((pcm / 32768).astype(np.float32), 8000, RATE_HZ), length)


def command_line_codec(name: str, programs: Path) -> Channel:
    """`codec2` or `speex` through the Debian programs unpacked below `programs`."""
    commands = {
        "codec2": ("c2enc 3200 {i}.raw {o}", "c2dec 3200 {o} {i}.out"),
        "speex": ("speexenc --rate 8000 --quality 5 {i}.raw {o}", "speexdec {o} {i}.out"),
    }[name]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(programs / "lib" / "x86_64-linux-gnu")}

    def channel(samples_S: Samples, stream: np.random.Generator) -> Samples:
        with tempfile.TemporaryDirectory() as folder:
            Path(f"{folder}/in.raw").write_bytes(_to_8khz(samples_S).tobytes())
            for command in commands:
                program, *rest = command.format(i=f"{folder}/in", o=f"{folder}/coded").split()
                subprocess.run([programs / "bin" / program, *rest], env=environment, check=True, capture_output=True)
            decoded = np.frombuffer(Path(f"{folder}/in.out").read_bytes(), np.int16)
        return _from_8khz(decoded, len(samples_S))

    return channel


def gsm(programs: Path) -> Channel:
    """GSM 06.10 full rate through libgsm."""
    library = ctypes.CDLL(str(programs / "lib" / "x86_64-linux-gnu" / "libgsm.so.1"))
    library.gsm_create.restype = ctypes.c_void_p

    def channel(samples_S: Samples, stream: np.random.Generator) -> Samples:
        coder, decoder = (ctypes.c_void_p(library.gsm_create()) for _ in range(2))
        pcm, coded = _to_8khz(samples_S), ctypes.create_string_buffer(33)
        out = np.zeros_like(pcm)
        for start in range(0, len(pcm) - 159, 160):
            library.gsm_encode(coder, pcm[start : start + 160].copy().ctypes.data_as(ctypes.c_void_p), coded)
            library.gsm_decode(decoder, coded, ctypes.c_void_p(out.ctypes.data + 2 * start))
        return _from_8khz(out, len(samples_S))

    return channel
