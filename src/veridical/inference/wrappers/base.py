"""What a foreign detector must offer, and the settings that say how its pictures and its output are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.special import logsumexp

from veridical.clips import Clip
from veridical.metrics import logit_of
from veridical.settings import Settings

Floats = npt.NDArray[np.float64]
PROBABILITY_TOLERANCE = 0.02
"""How far from 1 the probabilities of all classes may add up: half precision is allowed for."""
_REDUCTIONS: dict[str, Callable[[Floats], np.floating]] = {"mean": np.mean, "max": np.max, "median": np.median}


class ClipDetector(Protocol):
    """Anything that judges one clip."""

    def score(self, clip: Clip) -> float | None:
        """Return a logit, higher = more fake; None where the clip cannot be judged (it is counted)."""
        ...


class FrameSettings(Settings):
    """From the faces of a clip to what a network looks at."""

    takes: Literal["frame", "clip"]
    """`frame`: one picture at a time; `clip`: all pictures of a clip together."""
    frames_to_clip: Literal["mean", "max", "median"] = "mean"
    """How the logits of a clip's frames become the clip's logit, when it takes one frame at a time."""
    num_frames: int | None = Field(default=None, ge=1)
    """Pictures that a network of clips wants; those of the clip are repeated or left out evenly. None: as they are."""
    middle_share: float = Field(default=1.0, gt=0, le=1)
    """Side of the middle of the stored crop that is used; 1 keeps the store's whole margin around the face."""

    def frames(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """Return (T, H, W, 3) RGB, cut to the middle, T as the network wants it."""
        side = clip.frames.shape[1]
        edge = round(side * (1 - self.middle_share) / 2)
        chosen: npt.NDArray[np.uint8] = clip.frames[:, edge : side - edge, edge : side - edge]
        if self.takes == "frame" or self.num_frames is None:
            return chosen
        places = (np.arange(self.num_frames) + 0.5) * len(chosen) / self.num_frames
        return np.take(chosen, places.astype(np.int64), axis=0)

    def clip_logit(self, logits: Floats) -> float:
        """Return one logit from those of the frames (T,), or of the clip (1,)."""
        return float(_REDUCTIONS[self.frames_to_clip](logits))


class OutputSettings(Settings):
    """What the numbers that come out mean."""

    output_kind: Literal["logit", "probability", "class_logits", "class_probabilities"]
    """One number a picture (`logit`, `probability`), or one for each class (before or after softmax)."""
    higher_is: Literal["fake", "real"] | None = None
    """For one number: what a higher value means."""
    fake_index: int | None = Field(default=None, ge=0)
    """For one number a class: which of them is the fakes', counted from 0."""

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
            output: (n,) or (n, 1) for one number, (n, C) for one a class.

        Raises:
            ValueError: when the output has another shape than was said, or is said to be a probability and is none.
        """
        table = output.reshape(len(output), -1)
        if self.output_kind.endswith(("probability", "probabilities")) and not ((table >= 0) & (table <= 1)).all():
            raise ValueError(f"said to give probabilities, gives {table.min():g} to {table.max():g}")
        if self.fake_index is None:
            if table.shape[1] != 1:
                raise ValueError(f"said to give one number, gives {table.shape[1]}; see output_kind class_logits")
            values = logit_of(table[:, 0]) if self.output_kind == "probability" else table[:, 0]
            return values if self.higher_is == "fake" else -values
        if not self.fake_index < table.shape[1] > 1:
            raise ValueError(
                f"fake_index {self.fake_index} needs more classes than the {table.shape[1]} that are given"
            )
        if self.output_kind == "class_probabilities":
            if np.abs(table.sum(axis=1) - 1).max() > PROBABILITY_TOLERANCE:
                raise ValueError(
                    f"said to give class_probabilities, gives sums of {table.sum(axis=1).min():.3g}, not 1"
                )
            return logit_of(table[:, self.fake_index])
        others = np.delete(table, self.fake_index, axis=1)
        return np.asarray(table[:, self.fake_index] - logsumexp(others, axis=1))


def resized(frames: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Return (T, size, size, 3) pictures."""
    if frames.shape[1] == size:
        return frames
    how = cv2.INTER_AREA if size < frames.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (size, size), interpolation=how) for frame in frames]).astype(np.uint8)
