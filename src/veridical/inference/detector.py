"""From a video file to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from veridical.clips import Clip
from veridical.devices import pick_device
from veridical.inference.bundle import Bundle, load_bundle
from veridical.inference.judging import judge
from veridical.inputs import clip_inputs
from veridical.preparation import Tools, extract_clips


@dataclass(frozen=True)
class ClipScore:
    """One window of a video."""

    start_s: float
    logit: float
    """Raw joint logit, higher = more fake."""
    p_fake: float | None
    """Calibrated probability; None when the model is not calibrated."""
    video_logit: float
    """Picture alone."""
    audio_logit: float | None
    """Sound alone; None without usable speech."""


@dataclass(frozen=True)
class Prediction:
    """What a detector says of a video."""

    path: Path
    logit: float
    """Mean joint logit of all windows."""
    p_fake: float | None
    """Calibrated probability that anything about the video is forged."""
    video_logit: float
    audio_logit: float | None
    clips: tuple[ClipScore, ...]
    num_dropped_windows: int
    """Windows that could not be judged because the face was not found in them."""


class LoadedDetector:
    """A detector ready to judge files. Make one with `load_detector`."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._tools: Tools | None = None

    def score_clips(self, clips: Sequence[Clip]) -> list[ClipScore]:
        """Judge clips, in order."""
        inputs = clip_inputs(clips, self.bundle.facts.inputs)
        found = judge(self.bundle, inputs, ("joint", "video_head", "audio_head"))
        rows = zip(clips, found["joint"], found["video_head"], found["audio_head"], strict=True)
        return [
            ClipScore(clip.start_s, float(joint), self._probability(joint), float(video), _number(audio))
            for clip, joint, video, audio in rows
        ]

    def predict(self, path: str | Path) -> Prediction:
        """Judge a video file.

        Args:
            path: Any file that can be decoded, with a face in it, at least one window long.

        Raises:
            UnusableVideoError: with a status and a reason, when nothing in it can be judged.
        """
        path = Path(path)
        settings = self.bundle.facts.preparation.with_contents(self.bundle.facts.inputs.contents)
        if self._tools is None:
            self._tools = Tools(settings)
        found = extract_clips(path, path.name, settings, self._tools)
        scores = [score for i in range(0, len(found.clips), 16) for score in self.score_clips(found.clips[i : i + 16])]
        logit = float(np.mean([score.logit for score in scores]))
        heard = [score.audio_logit for score in scores if score.audio_logit is not None]
        return Prediction(
            path=path,
            logit=logit,
            p_fake=self._probability(logit),
            video_logit=float(np.mean([score.video_logit for score in scores])),
            audio_logit=float(np.mean(heard)) if heard else None,
            clips=tuple(scores),
            num_dropped_windows=found.num_dropped_windows,
        )

    def _probability(self, logit: float) -> float | None:
        calibration = self.bundle.facts.calibration
        return None if calibration is None else float(expit(logit / calibration.temperature))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def load_detector(path: str | Path, device: str = "auto") -> LoadedDetector:
    """Load a trained detector, or an ensemble, from a run or its `model` folder.

    Args:
        path: The folder.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one.

    Raises:
        ArtefactError: when there is none, or it is damaged.
        UsageError: when this machine does not have the device.
    """
    return LoadedDetector(load_bundle(Path(path)).to(pick_device(device)))
