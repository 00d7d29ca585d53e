"""Mouth shapes from phonemes, with coarticulation by dominance functions (Cohen & Massaro 1993).

Each phoneme pulls the mouth towards a target with a dominance that decays with distance in time; the mouth at any time is the
average of all targets weighted by their dominance. Bilabials (p b m) and labiodentals (f v) dominate the channels that they
need and leave the others to the neighbouring vowels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veridical.puppets.espeak import Phoneme

CHANNELS = ("jaw", "spread", "press", "tuck", "tongue", "upper")
"""jaw: 0 closed to 1 wide open; spread: -1 rounded to 1 spread; the others 0 to 1. press: lips pressed together; tuck: lower lip
under the upper teeth; tongue: visible behind the teeth; upper: upper lip raised."""


@dataclass(frozen=True)
class _Target:
    jaw: float = 0.25
    spread: float = 0.0
    press: float = 0.0
    tuck: float = 0.0
    tongue: float = 0.0
    upper: float = 0.1
    strength: float = 1.0
    """Dominance on all channels."""
    firm: tuple[str, ...] = ()
    """Channels whose target must be reached."""
    reach_s: float = 0.07
    """Time beyond the phoneme in which the dominance falls to 1/e²."""


_REST = _Target(jaw=0.02, upper=0.0, strength=0.7, reach_s=0.09)
_LIPS = _Target(jaw=0.06, press=1.0, upper=0.0, strength=0.7, firm=("jaw", "press"), reach_s=0.05)
_LIP_TEETH = _Target(jaw=0.14, tuck=1.0, upper=0.35, strength=0.7, firm=("jaw", "tuck"), reach_s=0.05)
_TONGUE_TIP = _Target(jaw=0.13, spread=0.1, tongue=0.7, upper=0.15, strength=0.5, reach_s=0.05)
_DENTAL = _Target(jaw=0.18, spread=0.1, tongue=1.0, upper=0.15, strength=0.6, reach_s=0.05)
_SIBILANT = _Target(jaw=0.07, spread=0.35, upper=0.3, strength=0.7, reach_s=0.055)
_SHIBILANT = _Target(jaw=0.1, spread=-0.6, upper=0.35, strength=0.7, firm=("spread",), reach_s=0.06)
_BACK = _Target(jaw=0.2, strength=0.45, reach_s=0.05)
_LIQUID_R = _Target(jaw=0.2, spread=-0.45, strength=0.5)
_GLIDE_W = _Target(jaw=0.16, spread=-1.0, strength=0.8, firm=("spread",))
_OPEN = _Target(jaw=0.95, spread=0.1, upper=0.3, strength=1.3)
_OPEN_BACK = _Target(jaw=0.85, spread=-0.3, upper=0.15, strength=1.3)
_MID_FRONT = _Target(jaw=0.62, spread=0.5, upper=0.3, strength=1.2)
_MID = _Target(jaw=0.42, strength=0.8)
_CLOSE_FRONT = _Target(jaw=0.36, spread=0.9, upper=0.25, strength=1.0)
_NEAR_FRONT = _Target(jaw=0.42, spread=0.45, upper=0.2, strength=0.9)
_MID_BACK = _Target(jaw=0.58, spread=-0.75, strength=1.2)
_CLOSE_BACK = _Target(jaw=0.28, spread=-1.0, strength=1.1)

_TARGETS: dict[str, tuple[_Target, ...]] = {
    "p": (_LIPS,), "b": (_LIPS,), "m": (_LIPS,), "f": (_LIP_TEETH,), "v": (_LIP_TEETH,), "T": (_DENTAL,),
    "D": (_DENTAL,), "t": (_TONGUE_TIP,), "d": (_TONGUE_TIP,), "n": (_TONGUE_TIP,), "l": (_DENTAL,),
    "s": (_SIBILANT,), "z": (_SIBILANT,), "S": (_SHIBILANT,), "Z": (_SHIBILANT,), "tS": (_SHIBILANT,),
    "dZ": (_SHIBILANT,), "k": (_BACK,), "g": (_BACK,), "N": (_BACK,), "h": (_BACK,), "x": (_BACK,), "?": (_BACK,),
    "r": (_LIQUID_R,), "w": (_GLIDE_W,), "j": (_CLOSE_FRONT,), "a": (_OPEN,), "A": (_OPEN_BACK,),
    "aI": (_OPEN, _CLOSE_FRONT), "aU": (_OPEN, _CLOSE_BACK), "0": (_OPEN_BACK,), "V": (_OPEN,), "O": (_MID_BACK,),
    "OI": (_MID_BACK, _CLOSE_FRONT), "oU": (_MID_BACK, _CLOSE_BACK), "o": (_MID_BACK,), "E": (_MID_FRONT,),
    "e": (_MID_FRONT,), "eI": (_MID_FRONT, _CLOSE_FRONT), "I": (_NEAR_FRONT,), "i": (_CLOSE_FRONT,), "@": (_MID,),
    "3": (_LIQUID_R, _MID), "U": (_CLOSE_BACK,), "u": (_CLOSE_BACK,), "_": (_REST,), "y": (_CLOSE_BACK,),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class MouthTrack:
    """Mouth shape per frame: each field is the channel of that name in `CHANNELS`, (N,) float32."""

    jaw: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    press: npt.NDArray[np.float32]
    tuck: npt.NDArray[np.float32]
    tongue: npt.NDArray[np.float32]
    upper: npt.NDArray[np.float32]


def mouth_track(phonemes: Sequence[Phoneme], times_s: npt.NDArray[np.float64], effort: float = 1.0) -> MouthTrack:
    """Return the shape of the mouth at the given times.

    Args:
        phonemes: In order of time.
        times_s: (N,) times of the frames.
        effort: How clearly the speaker articulates: .6 mumbled to 1.3 exaggerated.
    """
    held_targets = [held for phoneme in phonemes for held in _held_targets(phoneme)]
    total = np.full((len(CHANNELS), len(times_s)), 0.02)
    value = np.zeros_like(total)
    for target, start_s, end_s, openness in held_targets:
        distance_s = np.maximum(np.maximum(start_s - times_s, times_s - end_s), 0.0)
        inside = np.abs(times_s - (start_s + end_s) / 2) / max(end_s - start_s, 0.02)
        dominance = target.strength * np.exp(-distance_s / target.reach_s * 2.0 - 0.5 * np.minimum(inside, 0.5))
        for row, channel in enumerate(CHANNELS):
            weight = dominance * (5.0 if channel in target.firm else 1.0)
            total[row] += weight
            value[row] += weight * getattr(target, channel) * (openness if channel == "jaw" else 1.0)
    tracks = value / total
    tracks[0] *= effort
    tracks[1] *= effort
    return MouthTrack(*(np.clip(row, -1.2, 1.2).astype(np.float32) for row in tracks))


def _held_targets(phoneme: Phoneme) -> list[tuple[_Target, float, float, float]]:
    """Return the targets of a phoneme, from when to when each is held, and the opening of the jaw (wider under stress)."""
    openness = 1.15 if phoneme.stressed else 0.8
    targets = _targets(phoneme.symbol)
    share_s = (phoneme.end_s - phoneme.start_s) / len(targets)
    held = []
    for index, target in enumerate(targets):
        start_s = phoneme.start_s + index * share_s
        held.append((target, start_s + 0.2 * share_s, start_s + 0.8 * share_s, openness))
    return held


def _targets(symbol: str) -> tuple[_Target, ...]:
    """Return the targets of the mnemonic's longest known prefix; a neutral mouth if there is none."""
    for length in range(min(len(symbol), 2), 0, -1):
        if symbol[:length] in _TARGETS:
            return _TARGETS[symbol[:length]]
    return (_MID,)
