"""Foreign detectors behind the scorer protocol, and the settings that say what they take and what their output means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.special import logsumexp

from veridical.artefacts import Seen
from veridical.clips import Clip, ClipStore, Content
from veridical.errors import UsageError
from veridical.inference.conditions import Logits
from veridical.metrics import Aggregation, Calibration, logit_of
from veridical.settings import Settings

Floats = npt.NDArray[np.float64]
PROBABILITY_TOLERANCE = 0.02
"""How far from 1 the probabilities of all classes may add up, since half precision rounds."""
_REDUCTIONS: dict[str, Callable[[Floats], np.floating]] = {"mean": np.mean, "max": np.max, "median": np.median}


class ForeignScorer(ABC):
    """A detector that scores one clip at a time; its answers are checked."""

    conditions = ("joint",)
    calibration: Calibration | None = None
    contents: tuple[Content, ...] | None = None
    concurrent = False
    seen: Seen | None = None
    aggregation = Aggregation()

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def score(self, clip: Clip) -> object:
        """Return a logit, higher = more fake; None where the clip cannot be scored."""

    def check(self, store: ClipStore) -> None:  # noqa: B027 (a foreign detector may leave it out)
        """Take any store: what a foreign detector needs of a clip shows when it scores one."""

    def logits(self, clips: Sequence[Clip], conditions: Sequence[str] = conditions) -> Logits:
        """Return the logits (B,) of clips, NaN where there is none.

        Raises:
            UsageError: when the detector fails on a clip, or returns something else than a finite number or None.
        """
        for condition in conditions:
            if condition != "joint":
                raise UsageError(f"{self.name}: a foreign detector has one score (joint), none for {condition}")
        return {"joint": np.array([self._logit(clip) for clip in clips], dtype=np.float64)}

    def _logit(self, clip: Clip) -> float:
        where = f"{self.name}: clip of {clip.video_id!r} at {clip.start_s:g} s"
        try:
            answer: Any = self.score(clip)
        except Exception as error:
            raise UsageError(f"{where}: {type(error).__name__}: {error} (--debug shows where)") from error
        if answer is None:
            return np.nan
        try:
            value = np.nan if isinstance(answer, bool | str) else float(answer)
        except (TypeError, ValueError, RuntimeError):
            value = np.nan
        if not np.isfinite(value):
            raise UsageError(f"{where}: expected a finite number (a logit, higher = more fake) or None, got {answer!r}")
        return value


class FrameSettings(Settings):
    """How the frames of a clip are given to a network, and its scores put together."""

    takes: Literal["frame", "clip"]
    """`frame`: one frame at a time; `clip`: all frames of a clip together."""
    frames_to_clip: Literal["mean", "max", "median"] = "mean"
    """How the logits of a clip's frames become the clip's logit, when it takes one frame at a time."""
    num_frames: int | None = Field(default=None, ge=1)
    """Frames that a network of clips takes; those of the clip are repeated or dropped evenly. None: as they are."""
    middle_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the stored crop's side that is kept, around its middle; 1 keeps the whole margin around the face."""
    aggregation: Aggregation = Aggregation()
    """How the logits of a video's clips become the video's."""

    def frames(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """Return (T, H, W, 3) RGB, cropped to the middle, T as the network takes it."""
        side = clip.frames.shape[1]
        edge = round(side * (1 - self.middle_share) / 2)
        middle: npt.NDArray[np.uint8] = clip.frames[:, edge : side - edge, edge : side - edge]
        if self.takes == "frame" or self.num_frames is None:
            return middle
        positions = (np.arange(self.num_frames) + 0.5) * len(middle) / self.num_frames
        return np.take(middle, positions.astype(np.int64), axis=0)

    def clip_logit(self, logits: Floats) -> float:
        """Return one logit from those of the frames (T,), or of the clip (1,)."""
        return float(_REDUCTIONS[self.frames_to_clip](logits))


class DeclaredSettings(FrameSettings):
    """What a YAML file says of a detector; one class per kind, see `KINDS`."""

    kind: str

    def load(self, name: str, folder: Path) -> ForeignScorer:
        """Return the detector; relative paths start at the folder.

        Raises:
            UsageError: when the model cannot be loaded, or is not as declared.
        """
        raise NotImplementedError


class OutputSettings(Settings):
    """What the output of a network means."""

    output_kind: Literal["logit", "probability", "class_logits", "class_probabilities"]
    """One number per frame or clip (`logit`, `probability`), or one per class (before or after softmax)."""
    higher_is: Literal["fake", "real"] | None = None
    """For one number: what a higher value means."""
    fake_index: int | None = Field(default=None, ge=0)
    """For one number per class: index of the class of fakes, from 0."""

    @model_validator(mode="after")
    def _check_meaning(self) -> OutputSettings:
        if self.output_kind.startswith("class_"):
            if self.fake_index is None or self.higher_is is not None:
                raise ValueError(f"output_kind {self.output_kind} needs fake_index, and no higher_is")
        elif self.higher_is is None or self.fake_index is not None:
            raise ValueError(f"output_kind {self.output_kind} needs higher_is (fake or real), and no fake_index")
        return self

    def logits(self, output: Floats) -> Floats:
        """Return (n,) logits, higher = more fake.

        Args:
            output: (n,) or (n, 1) for one number, (n, C) for one per class.

        Raises:
            ValueError: when the output has another shape than declared, or is declared a probability and is none.
        """
        table = output.reshape(len(output), -1)
        if self.output_kind.endswith(("probability", "probabilities")) and not ((table >= 0) & (table <= 1)).all():
            raise ValueError(f"declared to give probabilities, gives {table.min():g} to {table.max():g}")
        if self.fake_index is None:
            if table.shape[1] != 1:
                raise ValueError(f"declared to give one number, gives {table.shape[1]}; see output_kind class_logits")
            values = logit_of(table[:, 0]) if self.output_kind == "probability" else table[:, 0]
            return values if self.higher_is == "fake" else -values
        if not self.fake_index < table.shape[1] > 1:
            raise ValueError(f"fake_index {self.fake_index} needs more classes than the {table.shape[1]} of the output")
        if self.output_kind == "class_probabilities":
            if np.abs(table.sum(axis=1) - 1).max() > PROBABILITY_TOLERANCE:
                raise ValueError(
                    f"declared to give class_probabilities, gives sums of {table.sum(axis=1).min():.3g}, not 1"
                )
            return logit_of(table[:, self.fake_index])
        others = np.delete(table, self.fake_index, axis=1)
        return np.asarray(table[:, self.fake_index] - logsumexp(others, axis=1))


def resized(frames: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Return the frames scaled to (T, size, size, 3)."""
    if frames.shape[1] == size:
        return frames
    method = cv2.INTER_AREA if size < frames.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (size, size), interpolation=method) for frame in frames]).astype(np.uint8)
