"""Speech: phoneme times, exact length, the same every time, and an error that helps without the speech package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.puppets import espeak
from veridical.puppets.espeak import EspeakVoice, speak
from veridical.puppets.speech import HIGH_VARIANTS, LOW_VARIANTS, Voice, in_room, sample_voice, say, script
from veridical.randomness import stream

VOICE = EspeakVoice("en-us", "f2", 50, 50, 160)


def test_the_same_text_sounds_the_same_whatever_was_said_before() -> None:
    first, rate_hz, phonemes = speak("My vision of thirteen judges.", VOICE)
    speak("Something else.", EspeakVoice("en-gb-x-rp", "m3", 30, 60, 180))
    second, _, again = speak("My vision of thirteen judges.", VOICE)
    assert np.array_equal(first, second)
    assert phonemes == again
    assert rate_hz == 22_050
    assert np.abs(first).max() > 0.05


def test_phonemes_follow_each_other_and_have_the_right_symbols() -> None:
    samples, rate_hz, phonemes = speak("My map.", VOICE)
    symbols = [item.symbol for item in phonemes]
    assert symbols.count("m") == 2
    assert "p" in symbols
    assert any(item.stressed for item in phonemes)
    for before, after in itertools.pairwise(phonemes):
        assert before.start_s < before.end_s <= after.start_s + 1e-9
    assert phonemes[-1].end_s <= len(samples) / rate_hz + 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_speech_has_exactly_the_length_asked_for(seed: int) -> None:
    voice = sample_voice(seed, "ab"[seed % 2], low=bool(seed % 3))
    speech = say(voice, 1.36, seed)
    assert speech.samples.shape == (21_760,)
    assert speech.samples.dtype == np.float32
    assert np.abs(speech.samples).max() <= 1.06
    level_db = 20 * np.log10(np.sqrt(np.mean(speech.samples**2)))
    assert abs(level_db - voice.level_db) < 1.5
    assert 5 < len(speech.phonemes) < 40
    assert all(item.start_s < 1.36 for item in speech.phonemes)


def test_another_seed_says_something_else() -> None:
    voice = sample_voice(0, "a", low=True)
    assert not np.array_equal(say(voice, 1.0, 1).samples, say(voice, 1.0, 2).samples)
    assert np.array_equal(say(voice, 1.0, 1).samples, say(voice, 1.0, 1).samples)


def test_lead_is_silent_but_for_the_room() -> None:
    speech = say(sample_voice(3, "a", low=False), 2.0, 5, lead_s=0.5)
    before, after = speech.samples[: int(0.48 * 16_000)], speech.samples[8000:]
    assert speech.phonemes[0].start_s >= 0.5
    assert 0 < np.sqrt(np.mean(before**2)) < 0.1 * np.sqrt(np.mean(after**2))


def test_room_keeps_silence_finite_and_quiet() -> None:
    voice = sample_voice(3, "a", low=False)
    quiet = in_room(np.zeros(16_000, np.float32), voice, 1)
    assert np.isfinite(quiet).all()
    assert 1e-6 < np.abs(quiet).max() < 0.05


@pytest.mark.parametrize("variant", [*LOW_VARIANTS, *HIGH_VARIANTS])
def test_every_voice_variant_exists_and_repeats_itself(variant: str) -> None:
    samples, again = (speak("Hello there, my friend.", EspeakVoice("en-us", variant, 50, 50, 160))[0] for _ in range(2))
    assert np.sqrt(np.mean(samples**2)) > 0.005
    assert np.array_equal(samples, again)


def test_unknown_voice_says_so() -> None:
    with pytest.raises(UsageError, match="no voice 'xx-nowhere"):
        speak("Hello.", EspeakVoice("xx-nowhere", "f2", 50, 50, 160))


def test_without_the_speech_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "veridical\[demo\]"'):
        speak("Hello.", VOICE)


def test_scripts_are_long_enough_and_vary() -> None:
    texts = {script(stream(seed, "text"), 30) for seed in range(20)}
    assert len(texts) == 20
    assert all(len(text.split()) >= 30 for text in texts)
    assert all(text[0].isupper() and text[-1] in ".?" for text in texts)


def test_voices_differ_between_identities() -> None:
    voices: set[Voice] = {sample_voice(seed, "a", low=True) for seed in range(10)}
    assert len(voices) == 10
