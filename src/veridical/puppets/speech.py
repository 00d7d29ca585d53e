"""What a puppet says and how the room sounds: random sentences as speech of an exact length, in a noisy room, with phonemes.

The sentences come from a small grammar of our own, so that no text is taken from a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.signal
import soxr

from veridical.puppets.espeak import EspeakVoice, Phoneme, speak
from veridical.randomness import stream

SAMPLE_RATE_HZ = 16_000
_LANGUAGES = {
    "a": ("en-us", "en-us-nyc", "en-029"),
    "b": ("en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
}
_PEOPLE = ("my neighbour", "the baker", "our teacher", "a young pilot", "the old gardener", "my sister", "the mayor",
           "a famous painter", "the bus driver", "our doctor", "my best friend", "the woman at the market")  # fmt: skip
_VERBS = ("bought", "found", "painted", "repaired", "forgot", "borrowed", "photographed", "moved", "described",
          "noticed", "wrapped", "hid", "brought home", "gave away")  # fmt: skip
_OBJECTS = ("a wooden boat", "five blue chairs", "the broken window", "a very large map", "some fresh bread",
            "two heavy boxes", "a small green bottle", "the missing key", "an old piano", "a basket of plums",
            "the wrong umbrella", "a beautiful white vase", "four pairs of shoes")  # fmt: skip
_PLACES = ("near the harbour", "behind the church", "at the railway station", "on the way to work", "in the village",
           "above the workshop", "by the frozen river", "under the bridge", "in front of the museum")  # fmt: skip
_TIMES = ("yesterday morning", "last February", "before breakfast", "on Monday", "a few weeks ago", "this evening",
          "every other summer", "shortly after five", "at half past eight")  # fmt: skip
_OPENINGS = ("Well,", "You know,", "Honestly,", "As far as I remember,", "Believe me,", "To be fair,", "In the end,")
_REMARKS = ("nobody was surprised", "we laughed about it for hours", "that was probably a mistake",
            "it made everybody happy", "the weather was awful", "I would do it again", "it took much too long",
            "the phone never stopped ringing", "people still talk about it", "we have to move on")  # fmt: skip
_QUESTIONS = ("What would you have done?", "How could that happen?", "Why did no one wait for them?",
              "Have you ever heard of such a thing?", "Who told you about it?")  # fmt: skip
LOW_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Andy", "Lee", "Gene", "Mike", "max", "john")
HIGH_VARIANTS = ("f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "linda", "belinda", "steph", "anika")


@dataclass(frozen=True)
class Voice:
    """The voice of one person, and the room in which it is heard."""

    engine: EspeakVoice
    vocal_tract: float
    """Scale of formants and pitch; 1 is as synthesised."""
    tilt_db_per_octave: float
    """Spectral tilt above 500 Hz."""
    reverberation_s: float
    """Reverberation time (RT60) of the room."""
    wet: float
    """Level of the reverberation relative to the direct sound, 0 to 1."""
    noise_db: float
    """Level of the room noise relative to the speech, in dB (negative)."""
    level_db: float
    """RMS level of the speech over the clip, in dB relative to full scale."""


@dataclass(frozen=True)
class Pause:
    """A span of time in which the speaker says nothing."""

    start_s: float
    length_s: float


@dataclass(frozen=True, eq=False)
class Speech:
    """Speech of an exact length."""

    samples: npt.NDArray[np.float32]
    """(S,) mono, 16 kHz, in [-1, 1]."""
    phonemes: tuple[Phoneme, ...]
    """In order of time; silence has none."""


def sample_voice(seed: int, family: str, low: bool) -> Voice:
    """Draw a random voice.

    Args:
        seed: Determines everything.
        family: Rendering family, which has its own accents.
        low: Whether to draw from the lower voices.
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
    """Synthesise random sentences in a voice, of an exact length.

    Args:
        voice: Who speaks, and in which room.
        duration_s: Length of the result; the speech is cut there.
        seed: Determines the words and the noise.
        lead_s: Silence before the first word; drawn between .05 and .35 s by default.
        pause: When the speaker falls silent.
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
    """Return the voice at 16 kHz without the acoustics of the room, and its phonemes."""
    samples, rate_hz, phonemes = speak(text, voice.engine)
    scale = voice.vocal_tract
    resampled = soxr.resample(samples, rate_hz * scale, SAMPLE_RATE_HZ, quality="HQ").astype(np.float32)
    moved = [replace(item, start_s=item.start_s / scale, end_s=item.end_s / scale) for item in phonemes]
    return tilted(resampled, voice.tilt_db_per_octave), moved


def _sentence(rng: np.random.Generator) -> str:
    """Return one English sentence of 4 to 20 words from a small grammar."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    kind = rng.random()
    story = f"{pick(_PEOPLE)} {pick(_VERBS)} {pick(_OBJECTS)} {pick(_PLACES)}"
    if kind < 0.12:
        return pick(_QUESTIONS)
    if kind < 0.35:
        text = f"{pick(_OPENINGS)} {pick(_REMARKS)}"
    elif kind < 0.6:
        text = f"{pick(_TIMES)} {story}"
    elif kind < 0.8:
        text = f"{story}, and {pick(_REMARKS)}"
    else:
        text = f"{pick(_OPENINGS)} {story} {pick(_TIMES)}"
    return f"{text[0].upper()}{text[1:]}."


def script(rng: np.random.Generator, num_words: int) -> str:
    """Return random sentences with at least this many words in total."""
    sentences: list[str] = []
    while sum(len(text.split()) for text in sentences) < num_words:
        sentences.append(_sentence(rng))
    return " ".join(sentences)


def _with_pause(
    dry: npt.NDArray[np.float32], phonemes: list[Phoneme], pause: Pause
) -> tuple[npt.NDArray[np.float32], list[Phoneme]]:
    """Insert silence at the first phoneme boundary after the start of the pause."""
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
    """Add the reverberation and noise of the voice's room and set the level; silence becomes room noise alone."""
    rng = stream(seed, "room")
    wet = scipy.signal.fftconvolve(dry, _impulse_response(voice.reverberation_s, rng))[: len(dry)]
    speech = dry + voice.wet * wet
    level = rms(speech)
    speech = speech * (10 ** (voice.level_db / 20) / level) if level > 1e-6 else speech
    noise = room_noise(len(dry), rng) * 10 ** ((voice.level_db + voice.noise_db) / 20)
    return np.asarray(np.tanh(0.95 * (speech + noise)) / 0.95, np.float32)


def room_noise(num_samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return stationary room noise (S,), falling with frequency, with an RMS level of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(max(num_samples, 16)))
    frequency = np.fft.rfftfreq(max(num_samples, 16), 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 150.0) ** 1.5), max(num_samples, 16))[:num_samples]
    return noise / max(rms(noise), 1e-9)


def rms(samples: npt.NDArray[np.floating]) -> float:
    """Return the root mean square of the samples."""
    return float(np.sqrt(np.mean(samples**2)))


def tilted(samples: npt.NDArray[np.float32], db_per_octave: float) -> npt.NDArray[np.float32]:
    """Return the samples with their spectrum tilted above 500 Hz."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ), 500.0) / 500.0)
    return np.fft.irfft(spectrum * 10 ** (db_per_octave * octaves / 20), len(samples)).astype(np.float32)


def _impulse_response(reverberation_s: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    time_s = np.arange(int(reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3.0 * time_s / reverberation_s)
    tail[: int(0.004 * SAMPLE_RATE_HZ)] = 0.0
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)
