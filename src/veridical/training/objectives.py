"""Objectives: which logit a stage trains, on which label, from which clips, and which parts of the model learn from it.

A further objective is one more entry in `OBJECTIVES` and in `ObjectiveName`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from torch import Tensor

from veridical.models import DetectorOutput, Features, Modality
from veridical.training.parts import Part
from veridical.training.targets import ClipFacts, visible_label

# B clips

ObjectiveName = Literal["video", "audio", "joint"]


@dataclass(frozen=True)
class Objective:
    """What a stage trains."""

    label: str
    """Column of the clips that holds the target."""
    modality: Modality | None
    """The one modality that is needed; None needs both."""
    condition: str
    """Condition under which its logit is scored."""
    parts: frozenset[Part]
    """Parts of the model that its gradient reaches."""
    logit: Callable[[DetectorOutput], Tensor]
    """Its logit (B,)."""
    target: Callable[[ClipFacts, Features], Tensor]
    """The target of each clip (B,), NaN where there is nothing to learn."""
    whole: Callable[[ClipFacts, Features], Tensor]
    """bool (B,): clips of which nothing is masked that bears on the label."""
    usable: Callable[[pd.DataFrame, bool], pd.DataFrame]
    """Clips to learn from, with the label to use, given whether the model has an audio encoder."""

    @property
    def trains_heads(self) -> bool:
        """Whether the single-modality heads learn as well, on detached features, to keep step with the encoders."""
        return self.modality is None


def _joint_label(clips: pd.DataFrame, uses_audio: bool) -> pd.DataFrame:
    """A genuine face with a forged voice is real to a model without an audio encoder."""
    return clips if uses_audio else clips.assign(label=clips["visual_label"].fillna(clips["label"]))


OBJECTIVES: dict[ObjectiveName, Objective] = {
    "video": Objective(
        label="visual_label",
        modality="video",
        condition="video_head",
        parts=frozenset(("video_backbone", "video_late", "temporal", "video_head", "frame_head")),
        logit=lambda output: output.video_logit,
        target=lambda facts, features: torch.where(features.has_video, facts.visual, float("nan")),
        whole=lambda facts, features: features.has_video,
        usable=lambda clips, uses_audio: clips,
    ),
    "audio": Objective(
        label="audio_label",
        modality="audio",
        condition="audio_head",
        parts=frozenset(("audio", "audio_projection", "audio_head")),
        logit=lambda output: output.audio_logit,
        target=lambda facts, features: torch.where(features.has_audio, facts.audio, float("nan")),
        whole=lambda facts, features: features.has_audio,
        usable=lambda clips, uses_audio: clips[clips["usable_audio"]],
    ),
    "joint": Objective(
        label="label",
        modality=None,
        condition="joint",
        parts=frozenset(get_args(Part)),
        logit=lambda output: output.logit,
        target=visible_label,
        whole=lambda facts, features: features.has_video & (features.has_audio | ~facts.usable_audio),
        usable=_joint_label,
    ),
}
