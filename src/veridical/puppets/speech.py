"""What a puppet says and how the room sounds: synthesised speech of an exact length, with its phonemes, in a noisy room."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.signal
import soxr

from veridical.puppets.espeak import EspeakVoice, Phoneme, speak
from veridical.puppets.sentences import script
from veridical.randomness import stream

SAMPLE_RATE_HZ = 16_000
_LANGUAGES = {
    "a": ("en-us", "en-us-nyc", "en-029"),
    "b": ("en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
}
LOW_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Andy", "Lee", "Gene", "Mike", "max", "john")
HIGH_VARIANTS = ("f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "linda", "belinda", "steph", "anika")


@dataclass(frozen=True)
class Voice:
    """The voice of one identity and the room it is heard in."""

    engine: EspeakVoice
    vocal_tract: float
    """Formants and pitch are scaled by this (1 = as synthesised)."""
    tilt_db_per_octave: float
    """Spectral tilt above 500 Hz."""
    reverberation_s: float
    """Time in which the room's reverberation falls by 60 dB."""
    wet: float
    """Level of the reverberation relative to the direct sound, 0 to 1."""
    noise_db: float
    """Level of the room noise relative to the speech, in dB (negative)."""
    level_db: float
    """Level of the speech relative to full scale (root mean square over the clip), in dB."""


@dataclass(frozen=True)
class Pause:
    """A stretch in which the speaker says nothing."""

    start_s: float
    length_s: float


@dataclass(frozen=True, eq=False)
class Speech:
    """Speech of an exact length."""

    samples: npt.NDArray[np.float32]
    """(S,) mono, 16 kHz, in [-1, 1]."""
    phonemes: tuple[Phoneme, ...]
    """In time order; silence has none."""


def sample_voice(seed: int, family: str, low: bool) -> Voice:
    """Draw a voice.

    Args:
        seed: Decides everything.
        family: Rendering family, which has its own accents.
        low: True for the lower voices.
    """
    rng = stream(seed, "voice", family, low)
    variants = LOW_VARIANTS if low else HIGH_VARIANTS
    engine = EspeakVoice(
        language=str(rng.choice(_LANGUAGES[family])),
        variant=str(rng.choice(variants)),
        pitch=int(rng.integers(30, 66)),
        pitch_range=int(rng.integers(35, 80)),
        rate_wpm=int(rng.integers(140, 186)),
    )
    return Voice(
        engine=engine,
        vocal_tract=float(rng.uniform(0.92, 1.1)),
        tilt_db_per_octave=float(rng.uniform(-3.0, 1.0)),
        reverberation_s=float(rng.uniform(0.12, 0.45)),
        wet=float(rng.uniform(0.05, 0.25)),
        noise_db=float(rng.uniform(-42.0, -30.0)),
        level_db=float(rng.uniform(-25.0, -20.0)),
    )


def say(
    voice: Voice, duration_s: float, seed: int, *, lead_s: float | None = None, pause: Pause | None = None
) -> Speech:
    """Let a voice say random sentences for exactly this long.

    Args:
        voice: Who speaks, and where.
        duration_s: Length of the result; the talk is cut there.
        seed: Decides the words and the noise.
        lead_s: Silence before the first word; drawn between .05 and .35 s by default.
        pause: Where the speaker falls silent.
    """
    rng = stream(seed, "speech")
    lead_s = float(rng.uniform(0.05, 0.35)) if lead_s is None else lead_s
    words = int(duration_s * 5) + 8
    text = script(rng, words)
    dry, phonemes = dry_speech(voice, text)
    if pause is not None:
        dry, phonemes = _with_pause(dry, phonemes, pause)
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    start = round(lead_s * SAMPLE_RATE_HZ)
    track = np.zeros(num_samples, np.float32)
    length = min(len(dry), max(0, num_samples - start))
    track[start : start + length] = dry[:length]
    moved = [replace(item, start_s=item.start_s + lead_s, end_s=item.end_s + lead_s) for item in phonemes]
    return Speech(in_room(track, voice, seed), tuple(item for item in moved if item.start_s < duration_s))


def dry_speech(voice: Voice, text: str) -> tuple[npt.NDArray[np.float32], list[Phoneme]]:
    """Return the voice alone at 16 kHz, without room, and its phonemes."""
    samples, rate_hz, phonemes = speak(text, voice.engine)
    scale = voice.vocal_tract
    resampled = soxr.resample(samples, rate_hz * scale, SAMPLE_RATE_HZ, quality="HQ").astype(np.float32)
    moved = [replace(item, start_s=item.start_s / scale, end_s=item.end_s / scale) for item in phonemes]
    return tilted(resampled, voice.tilt_db_per_octave), moved


def _with_pause(
    dry: npt.NDArray[np.float32], phonemes: list[Phoneme], pause: Pause
) -> tuple[npt.NDArray[np.float32], list[Phoneme]]:
    """Move what follows the first boundary between phonemes after the start of the pause."""
    boundary_s = next((item.start_s for item in phonemes if item.start_s >= pause.start_s), None)
    if boundary_s is None:
        return dry, phonemes
    at = round(boundary_s * SAMPLE_RATE_HZ)
    gap = np.zeros(round(pause.length_s * SAMPLE_RATE_HZ), np.float32)
    before = [item for item in phonemes if item.start_s < boundary_s]
    rest = Phoneme("_:", boundary_s, boundary_s + pause.length_s, stressed=False)
    after = [
        replace(item, start_s=item.start_s + pause.length_s, end_s=item.end_s + pause.length_s)
        for item in phonemes
        if item.start_s >= boundary_s
    ]
    return np.concatenate([dry[:at], gap, dry[at:]]), [*before, rest, *after]


def in_room(dry: npt.NDArray[np.float32], voice: Voice, seed: int) -> npt.NDArray[np.float32]:
    """Add the reverberation and noise of the voice's room, and set the level. Silence keeps only the noise."""
    rng = stream(seed, "room")
    wet = scipy.signal.fftconvolve(dry, _impulse_response(voice.reverberation_s, rng))[: len(dry)]
    sound = dry + voice.wet * wet
    level = float(np.sqrt(np.mean(sound**2)))
    sound = sound * (10 ** (voice.level_db / 20) / level) if level > 1e-6 else sound
    noise = room_noise(len(dry), rng) * 10 ** ((voice.level_db + voice.noise_db) / 20)
    return np.asarray(np.tanh(0.95 * (sound + noise)) / 0.95, np.float32)


def room_noise(num_samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return steady room noise (S,), falling with frequency, with a root mean square of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(max(num_samples, 16)))
    frequency = np.fft.rfftfreq(max(num_samples, 16), 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 150.0) ** 1.5), max(num_samples, 16))[:num_samples]
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)


def tilted(samples: npt.NDArray[np.float32], db_per_octave: float) -> npt.NDArray[np.float32]:
    """Return the sound with its spectrum tilted above 500 Hz."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ), 500.0) / 500.0)
    return np.fft.irfft(spectrum * 10 ** (db_per_octave * octaves / 20), len(samples)).astype(np.float32)


def _impulse_response(reverberation_s: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    time_s = np.arange(int(reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3.0 * time_s / reverberation_s)
    tail[: int(0.004 * SAMPLE_RATE_HZ)] = 0.0
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)
