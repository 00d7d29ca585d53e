"""Mouth, blinks and head: what phonemes demand of the lips, what stress does to head and brows, and the ranges of all."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.puppets.espeak import Phoneme
from veridical.puppets.motion import Temperament, perform
from veridical.puppets.visemes import mouth_track

CALM = Temperament(head=1.0, articulation=1.0, blinks_per_minute=17, smile=0.1)
TIMES_S = np.arange(0, 1.0, 0.01)


def _say(*symbols: str, each_s: float = 0.15) -> list[Phoneme]:
    return [Phoneme(symbol, 0.1 + k * each_s, 0.1 + (k + 1) * each_s, False) for k, symbol in enumerate(symbols)]


def _at(track: np.ndarray, position: int, each_s: float = 0.15) -> float:
    return float(track[round((0.1 + (position + 0.5) * each_s) / 0.01)])


def test_lips_close_for_m_between_open_vowels() -> None:
    track = mouth_track(_say("a", "m", "a"), TIMES_S)
    assert _at(track.press, 1) > 0.8 > 0.2 > _at(track.press, 0)
    assert _at(track.jaw, 1) < 0.25 < 0.55 < _at(track.jaw, 0)


def test_vowels_round_and_spread() -> None:
    track = mouth_track(_say("u:", "t", "i:"), TIMES_S)
    assert _at(track.spread, 0) < -0.5
    assert _at(track.spread, 2) > 0.4


def test_teeth_touch_the_lip_for_f() -> None:
    assert _at(mouth_track(_say("a", "f", "a"), TIMES_S).tuck, 1) > 0.7


@pytest.mark.parametrize(("symbol", "channel"), [("m", "press"), ("f", "tuck")])
def test_fast_speech_still_closes_the_lips(symbol: str, channel: str) -> None:
    track = mouth_track(_say("a", symbol, "a", each_s=0.08), TIMES_S)
    assert _at(getattr(track, channel), 1, 0.08) > 0.8


def test_coarticulation_depends_on_the_neighbours() -> None:
    rounded, spread = (mouth_track(_say(vowel, "t", vowel, each_s=0.08), TIMES_S).spread for vowel in ("u:", "i:"))
    assert _at(spread, 1, 0.08) - _at(rounded, 1, 0.08) > 0.3


def test_the_mouth_rests_in_pauses_and_without_speech() -> None:
    assert _at(mouth_track(_say("a", "_:", "_"), TIMES_S).jaw, 2) < 0.1
    silent = mouth_track([], TIMES_S)
    assert np.allclose(silent.jaw, 0)


def test_unknown_phonemes_are_a_neutral_mouth() -> None:
    assert 0.2 < _at(mouth_track(_say("Q!", "Q!"), TIMES_S).jaw, 0) < 0.6


def test_performance_stays_in_range_and_moves() -> None:
    acted = [perform(_say("a", "m", "i:"), 250, 25, CALM, seed) for seed in range(8)]
    assert [len(performance) for performance in acted] == [250] * 8
    yaw, pitch, blink = (np.stack([getattr(item, name) for item in acted]) for name in ("yaw", "pitch", "blink"))
    assert np.abs(yaw).max() < 0.5
    assert np.abs(pitch).max() < 0.4
    assert yaw.std(axis=1).min() > 0.01, "the head keeps still"
    assert blink.max(axis=1).min() > 0.7, "ten seconds without a blink"
    assert blink.max() <= 1
    assert (blink == 0).mean(axis=1).min() > 0.6, "the eyes are open most of the time"
    count = (np.diff((blink > 0.5).astype(int), axis=1) == 1).sum()
    assert 12 <= count <= 35, "17 blinks a minute are 23 in 80 seconds"


def test_gaze_wanders_within_its_range() -> None:
    gaze = np.stack([perform([], 250, 25, CALM, seed).gaze for seed in range(8)])
    assert np.abs(gaze).max() == 1, "eight times ten seconds hold a glance to the side"
    assert gaze.std(axis=1).min() > 0.02


@pytest.mark.parametrize("seed", range(3))
def test_a_stressed_vowel_raises_the_brows_and_nods(seed: int) -> None:
    plain, stressed = (
        perform([Phoneme("a", 4.9, 5.1, is_stressed)], 250, 25, CALM, seed) for is_stressed in (False, True)
    )
    for name, least in (("brow", 0.2), ("pitch", 0.01)):
        added = getattr(stressed, name) - getattr(plain, name)
        assert abs(int(added.argmax()) - 124) <= 2
        assert added.max() > least
        assert np.abs(added[:100]).max() == 0


def test_performance_is_a_function_of_its_seed() -> None:
    first, again, other = (perform(_say("a"), 50, 25, CALM, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.yaw, again.yaw)
    assert np.array_equal(first.gaze, again.gaze)
    assert not np.array_equal(first.yaw, other.yaw)


def test_head_moves_smoothly() -> None:
    acted = perform([], 250, 25, Temperament(1.4, 1.0, 17, 0.0), 3)
    assert np.abs(np.diff(acted.yaw)).max() < 0.08
