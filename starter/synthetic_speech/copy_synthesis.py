"""Says genuine speech again through codecs and vocoders: synthetic speech with the same words and the same recording.

Lyra V2 (neural codec; Zeghidour et al. 2021, arXiv:2107.03312), WORLD (Morise et al. 2016), mel spectrogram and
Griffin-Lim (1984), and two partial copies: the phase of the upper bands replaced, and the spectral detail smoothed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import istft, stft

from synthetic_speech.audio import RATE_HZ, Samples

Copier = Callable[[Samples, np.random.Generator], Samples]


class Lyra:
    """Lyra V2 through its published models; 3.2, 6 or 9.2 kbit/s."""

    def __init__(self, folder: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        def model(name: str):  # type: ignore[no-untyped-def]
            return Interpreter(model_content=(folder / f"{name}.tflite").read_bytes(), num_threads=1)

        self.folder = folder
        self.encoder, self.generator, self.quantizer = (
            model("soundstream_encoder"),
            model("lyragan"),
            model("quantizer"),
        )
        self.encode, self.decode = (self.quantizer.get_signature_runner(n) for n in ("encode", "decode"))

    def __call__(self, samples_S: Samples, stream: np.random.Generator) -> Samples:
        """Return `samples_S` encoded and decoded at a rate drawn from `stream`."""
        quantizers = int(stream.choice([16, 30, 46]))
        for model in (self.encoder, self.generator):
            model.allocate_tensors()
            model.reset_all_variables()
        (ei, eo), (gi, go) = (
            (m.get_input_details()[0]["index"], m.get_output_details()[0]["index"])
            for m in (self.encoder, self.generator)
        )
        pieces = []
        for start in range(0, len(samples_S) - 319, 320):
            self.encoder.set_tensor(ei, samples_S[None, start : start + 320])
            self.encoder.invoke()
            frame = self.encoder.get_tensor(eo)
            codes = np.asarray(self.encode(input_frames=frame, num_quantizers=np.array(quantizers, "i4"))["output_0"])
            index = np.full((46, 1, 1), -1, "i4")
            index[:quantizers, 0, 0] = codes.reshape(-1)[:quantizers]
            self.generator.set_tensor(
                gi, self.decode(encoding_indices=index)["output_0"].reshape(1, 1, 64).astype("f4")
            )
            self.generator.invoke()
            pieces.append(self.generator.get_tensor(go)[0].copy())
        return np.clip(np.concatenate(pieces), -1, 1).astype(np.float32)


def world(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """WORLD analysis and synthesis, envelope coded by few cepstral coefficients, pitch sometimes smoothed or moved."""
    import pyworld

    x = samples_S.astype(np.float64)
    f0, times = pyworld.dio(x, RATE_HZ)
    f0 = pyworld.stonemask(x, f0, times, RATE_HZ)
    envelope = pyworld.cheaptrick(x, f0, times, RATE_HZ)
    aperiodicity = pyworld.d4c(x, f0, times, RATE_HZ)
    if stream.random() < 0.7:
        size = (envelope.shape[1] - 1) * 2
        coded = pyworld.code_spectral_envelope(envelope, RATE_HZ, int(stream.choice([24, 40, 60, 80])))
        envelope = pyworld.decode_spectral_envelope(coded, RATE_HZ, size)
    if stream.random() < 0.5:
        f0 = np.where(f0 > 0, f0 * 2 ** (stream.normal() * 0.15), 0)
    return pyworld.synthesize(f0, envelope, aperiodicity, RATE_HZ)[: len(x)].astype(np.float32)


def mel_matrix(num_bands: int, fft_size: int, low_hz: float = 0.0, high_hz: float = 8000.0) -> npt.NDArray[np.float64]:
    """Triangular mel filters (bands, bins), area-normalised."""
    mels = np.linspace(2595 * np.log10(1 + low_hz / 700), 2595 * np.log10(1 + high_hz / 700), num_bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.arange(fft_size // 2 + 1) * RATE_HZ / fft_size
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    return np.asarray(filters * (2 / (edges[2:] - edges[:-2]))[:, None])


def _spectrum(samples_S: npt.NDArray[np.float64], size: int, hop: int) -> npt.NDArray[np.complex128]:
    return np.asarray(stft(samples_S, nperseg=size, noverlap=size - hop)[2])


def _wave(spectrum: npt.NDArray[np.complex128], size: int, hop: int, length: int) -> npt.NDArray[np.float64]:
    wave = istft(spectrum, nperseg=size, noverlap=size - hop)[1]
    return np.asarray(np.pad(wave, (0, max(length - len(wave), 0)))[:length])


def _griffin_lim(
    magnitude: npt.NDArray[np.float64], size: int, hop: int, length: int, rounds: int, stream: np.random.Generator
) -> npt.NDArray[np.float64]:
    spectrum = magnitude * np.exp(2j * np.pi * stream.random(magnitude.shape))
    previous = np.zeros_like(spectrum)
    for _ in range(rounds):  # fast variant: Perraudin et al. 2013
        again = _spectrum(_wave(spectrum, size, hop, length), size, hop)[:, : magnitude.shape[1]]
        step = again + 0.99 * (again - previous)
        previous, spectrum = again, magnitude * np.exp(1j * np.angle(step))
    return _wave(spectrum, size, hop, length)


def mel_griffin_lim(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Through a mel spectrogram of 64 to 128 bands and back by Griffin-Lim."""
    size = int(stream.choice([800, 1024]))
    hop, bands = size // 4, int(stream.choice([64, 80, 100, 128]))
    x = samples_S.astype(np.float64)
    magnitude = np.abs(_spectrum(x, size, hop))
    filters = mel_matrix(bands, size)
    guess = np.clip(np.linalg.pinv(filters) @ (filters @ magnitude), 1e-7, None)
    return _griffin_lim(guess, size, hop, len(x), int(stream.integers(16, 40)), stream).astype(np.float32)


def upper_phase(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Keep the magnitudes; above a frequency drawn from 0.5 to 4 kHz the phase comes from Griffin-Lim."""
    size, hop = 1024, 256
    x = samples_S.astype(np.float64)
    spectrum = _spectrum(x, size, hop)
    rebuilt = _spectrum(_griffin_lim(np.abs(spectrum), size, hop, len(x), 12, stream), size, hop)
    first = int(stream.uniform(500, 4000) / RATE_HZ * size)
    count = min(spectrum.shape[1], rebuilt.shape[1])
    spectrum[first:, :count] = np.abs(spectrum[first:, :count]) * np.exp(1j * np.angle(rebuilt[first:, :count]))
    return _wave(spectrum, size, hop, len(x)).astype(np.float32)


def smoothed_detail(samples_S: Samples, stream: np.random.Generator) -> Samples:
    """Replace the magnitudes by their mel-smoothed copy and keep the phase: the detail of a decoder that averages."""
    size, hop = 1024, 256
    x = samples_S.astype(np.float64)
    spectrum = _spectrum(x, size, hop)
    filters = mel_matrix(int(stream.choice([40, 64, 80])), size)
    magnitude = np.abs(spectrum)
    guess = np.clip(np.linalg.pinv(filters) @ (filters @ magnitude), 1e-7, None)
    share = stream.uniform(0.5, 1.0)
    blended = magnitude ** (1 - share) * guess**share
    return _wave(spectrum / (magnitude + 1e-9) * blended, size, hop, len(x)).astype(np.float32)


def copiers(lyra_folder: Path) -> dict[str, Copier]:
    """The ways to say speech again, by name."""
    return {
        "lyra": Lyra(lyra_folder),
        "world": world,
        "griffin_lim": mel_griffin_lim,
        "upper_phase": upper_phase,
        "smoothed": smoothed_detail,
    }
