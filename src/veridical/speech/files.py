"""Which recordings are meant, and one result for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from veridical import progress
from veridical.corpora import VIDEO_SUFFIXES, list_files
from veridical.errors import UsageError, VeridicalError
from veridical.inference import Unpredicted
from veridical.speech.detector import SpeechPrediction, SyntheticSpeechDetector

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".amr", ".wma", ".aif", ".aiff", ".caf", ".3ga"}
)
"""Names of sound files."""


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Return the named files, and the sound files and videos below the named folders; each once.

    Raises:
        UsageError: when a path does not exist, or a folder holds neither sound nor video.
    """
    named = list(paths)
    missing = [str(path) for path in named if not path.exists()]
    if missing:
        raise UsageError(f"no such file: {', '.join(missing)}")
    recordings: list[Path] = []
    for path in named:
        inside = [path]
        if path.is_dir():
            inside = [path / name for name in list_files(path, AUDIO_SUFFIXES | VIDEO_SUFFIXES)]
        if not inside:
            raise UsageError(f"{path}: is a folder without sound files or videos")
        recordings += inside
    return list(dict.fromkeys(recordings))


def predict_speech(
    detector: SyntheticSpeechDetector, recordings: Sequence[Path]
) -> list[SpeechPrediction | Unpredicted]:
    """Score the voice in every file; one that cannot be scored has its reason instead."""
    return [_predict(detector, path) for path in progress.track(recordings, "predict", unit="recording")]


def _predict(detector: SyntheticSpeechDetector, path: Path) -> SpeechPrediction | Unpredicted:
    try:
        return detector.predict(path)
    except VeridicalError as error:
        return Unpredicted(path, getattr(error, "status", "unreadable"), str(error))
