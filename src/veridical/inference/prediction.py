"""Predictions for many files: which files are meant, one result per file, and what the probabilities rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical import progress
from veridical.corpora import VIDEO_SUFFIXES, Notes, list_files
from veridical.errors import UsageError, VeridicalError
from veridical.inference.detector import Detector, Prediction


@dataclass(frozen=True)
class Unpredicted:
    """A file without a prediction."""

    path: Path
    status: str
    """The ledger's status, for counting: `unreadable`, `no_face`, `too_short` …"""
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return path, status and reason as JSON holds them."""
        return {"path": str(self.path), "status": self.status, "reason": self.reason}


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """Return the named files, and the videos below the named folders; each once.

    Raises:
        UsageError: when a path does not exist, or a folder holds no video.
    """
    named = list(paths)
    missing = [str(path) for path in named if not path.exists()]
    if missing:
        raise UsageError(f"no such video file: {', '.join(missing)}")
    videos: list[Path] = []
    notes = Notes()
    for path in named:
        inside = [path / name for name in list_files(path, notes=notes)] if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path}: is a folder without videos; looked for: {' '.join(sorted(VIDEO_SUFFIXES))}")
        videos += inside
    for notice in notes.notices:
        progress.say(f"warning: {notice.line}")
    return list(dict.fromkeys(videos))


def predict_files(detector: Detector, videos: Sequence[Path]) -> list[Prediction | Unpredicted]:
    """Predict every file; one that cannot be predicted has its reason instead."""
    return [_predict(detector, path) for path in progress.track(videos, "predict", unit="video")]


def _predict(detector: Detector, path: Path) -> Prediction | Unpredicted:
    try:
        return detector.predict(path)
    except VeridicalError as error:
        return Unpredicted(path, getattr(error, "status", "unreadable"), str(error))


def describe_calibration(detector: Detector) -> str:
    """Return in one or two sentences what the probabilities of a detector rest on."""
    if detector.is_chance:
        return (
            f"No verdicts: the detector cannot be told from chance ({detector.facts.worth}). Train it on more videos of more "
            "people. Video head and audio head: raw logits, positive = more likely fake."
        )
    calibration = detector.calibration
    if calibration is None:
        return "The model is not calibrated: no probabilities."
    worth = f" What that is worth: {detector.facts.worth}." if detector.facts.worth is not None else ""
    threshold = calibration.p_fake(detector.facts.operating_points["eer"])
    return (
        f"p(fake) is calibrated on {calibration.num_videos} validation videos of the model's own corpus, with equal error "
        f"rates at {threshold:.2f}; on other material it may be far off.{worth} Video head and audio head: raw logits, "
        "positive = more likely fake."
    )
