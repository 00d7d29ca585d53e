"""Speech synthesis with phoneme times, by the espeak-ng library that the optional package `espeakng_loader` bundles.

espeak-ng keeps hidden state between calls (vocal flutter) and draws breath noise from a generator seeded by the clock, so the
same sentence differs from call to call. Loading the library again for every utterance (5 ms) and seeding its generator makes
speech a pure function of text and voice.

espeak-ng is GPL-3.0: it is an optional extra, loaded at run time, and nothing else depends on it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from veridical.errors import UsageError
from veridical.media import FULL_SCALE

_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_CHARACTERS_UTF8 = 1
_EVENT_END = 0
_EVENT_PHONEME = 7
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_lock = threading.Lock()


@dataclass(frozen=True)
class EspeakVoice:
    """The voice settings of espeak-ng."""

    language: str
    """Language or accent, for example `en-us`."""
    variant: str
    """Voice variant, for example `f2` or `m3`."""
    pitch: int
    """Base pitch, 0 to 99; 50 is the variant's own."""
    pitch_range: int
    """Liveliness of the intonation, 0 to 99."""
    rate_wpm: int
    """Words a minute, 80 to 300."""


@dataclass(frozen=True)
class Phoneme:
    """One phoneme with its start and end."""

    symbol: str
    """espeak-ng's mnemonic without stress marks; `_` is a pause."""
    start_s: float
    end_s: float
    stressed: bool


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speech_available() -> bool:
    """Return whether the optional speech package is installed."""
    return importlib.util.find_spec("espeakng_loader") is not None


def require_speech() -> None:
    """Raise an error that says what to install if the optional speech package is missing."""
    if not speech_available():
        raise UsageError(
            'puppets need the package espeakng_loader for their voices; run: pip install "veridical[demo]"'
        )


def speak(text: str, voice: EspeakVoice) -> tuple[npt.NDArray[np.float32], int, list[Phoneme]]:
    """Synthesise a text.

    Args:
        text: English text; punctuation makes the pauses.
        voice: The voice settings.

    Returns:
        Samples (S,) float32 in [-1, 1], their rate in Hz, and the phonemes in order of time, without gaps.

    Raises:
        UsageError: if the speech package is missing, or espeak-ng refuses the voice or the text.
    """
    require_speech()
    loader = importlib.import_module("espeakng_loader")
    with _lock, _loaded(str(loader.get_library_path())) as library:
        return _utter(library, Path(loader.get_data_path()), text, voice)


def _utter(
    library: Any, data: Path, text: str, voice: EspeakVoice
) -> tuple[npt.NDArray[np.float32], int, list[Phoneme]]:
    rate_hz = int(library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _PHONEME_EVENTS))
    if rate_hz <= 0:
        raise UsageError(f"espeak-ng does not start with the data in {data}; reinstall espeakng_loader")
    chunks: list[npt.NDArray[np.int16]] = []
    marks: list[tuple[float, str]] = []
    callback = _collector(chunks, marks)
    library.espeak_SetSynthCallback(callback)
    name = f"{voice.language}+{voice.variant}"
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise UsageError(f"espeak-ng has no voice {name!r}; valid: a language and a variant, for example en-us+f2")
    library.espeak_SetParameter(_PARAMETER_RATE, voice.rate_wpm, 0)
    library.espeak_SetParameter(_PARAMETER_PITCH, voice.pitch, 0)
    library.espeak_SetParameter(_PARAMETER_RANGE, voice.pitch_range, 0)
    if hasattr(library, "espeak_ng_SetRandSeed"):
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    buffer = text.encode() + b"\0"
    failed = library.espeak_Synth(buffer, ctypes.c_size_t(len(buffer)), 0, 1, 0, _CHARACTERS_UTF8, None, None)
    if failed or not chunks:
        raise UsageError(f"espeak-ng produced no sound for the text {text[:40]!r}; give it words to say")
    samples = np.concatenate(chunks).astype(np.float32) / FULL_SCALE
    return samples, rate_hz, _phonemes(marks, len(samples) / rate_hz)


def _collector(chunks: list[npt.NDArray[np.int16]], marks: list[tuple[float, str]]) -> Any:
    def collect(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                marks.append((events[index].audio_position / 1000.0, bytes(events[index].id.text).decode("latin-1")))
            index += 1
        return 0

    return _Callback(collect)


def _phonemes(marks: list[tuple[float, str]], duration_s: float) -> list[Phoneme]:
    ends = [start_s for start_s, _ in marks[1:]] + [duration_s]
    phonemes = []
    for (start_s, mark), end_s in zip(marks, ends, strict=True):
        if end_s > start_s:
            symbol = mark.lstrip("',%=")
            phonemes.append(Phoneme(symbol or "_", start_s, end_s, mark.startswith("'")))
    return phonemes


@contextmanager
def _loaded(path: str) -> Generator[ctypes.CDLL]:
    """Load the library and unload it afterwards, so that the next load starts from its initial state."""
    linker = ctypes.CDLL(None)
    linker.dlopen.argtypes, linker.dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    linker.dlclose.argtypes = (ctypes.c_void_p,)
    handle = linker.dlopen(os.fsencode(path), os.RTLD_NOW)
    if handle is None:
        raise UsageError(f"{path}: cannot be loaded; reinstall espeakng_loader")
    library = ctypes.CDLL(path, handle=handle)
    try:
        yield library
    finally:
        library.espeak_Terminate()
        linker.dlclose(handle)
