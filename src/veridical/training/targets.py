"""What is known of the clips of a batch, and what a stage may learn from each.

A clip's label speaks of picture and sound together. Where one of them is hidden (modality dropout, no usable sound), the label of
what is left takes its place: a fake whose forged voice is hidden shows a genuine face, and calling that face fake would teach to
see what is not there. Where neither modality is forged by itself (a genuine voice over a genuine face that it does not belong
to), half of the clip holds no evidence either way, and the clip is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from veridical.models import Features
from veridical.training.recipe import Objective

# B clips


@dataclass(frozen=True)
class ClipFacts:
    """What is known of B clips; every field is (B,). Labels are in [0, 1], NaN where unknown."""

    label: Tensor
    visual: Tensor
    audio: Tensor
    usable_sound: Tensor
    """bool; False where the clip has no sound that could be hidden."""
    video: Tensor
    """Number of each clip's video within the batch."""
    weight: Tensor
    """Weight in the segment term, 1 on average."""
    mixed: Tensor
    """bool; True where a clip holds parts of another one: it is then no longer of one video."""


def clip_facts(rows: pd.DataFrame, class_weights: tuple[float, float], device: torch.device) -> ClipFacts:
    """Return what the data say of the clips of a batch.

    Args:
        rows: A row per clip: video_id, usable_sound, target, and the three labels.
        class_weights: Of real and of fake clips.
        device: Where the tensors go.
    """

    def column(name: str) -> Tensor:
        return torch.tensor(rows[name].astype("Float32").to_numpy(np.float32, na_value=np.nan), device=device)

    return ClipFacts(
        label=column("label"),
        visual=column("visual_label"),
        audio=column("audio_label"),
        usable_sound=torch.tensor(rows["usable_sound"].to_numpy(bool), device=device),
        video=torch.tensor(pd.factorize(rows["video_id"])[0], device=device),
        weight=torch.where(column("target") > 0.5, class_weights[1], class_weights[0]),
        mixed=torch.zeros(len(rows), dtype=torch.bool, device=device),
    )


def target_of(facts: ClipFacts, features: Features, objective: Objective) -> Tensor:
    """Return what a stage learns from each clip (B,), NaN where nothing."""
    nothing = torch.full_like(facts.label, float("nan"))
    if objective == "video":
        return torch.where(features.has_video, facts.visual, nothing)
    if objective == "audio":
        return torch.where(features.has_audio, facts.audio, nothing)
    return seen_label(facts, features)


def seen_label(facts: ClipFacts, features: Features) -> Tensor:
    """Return the label of what is not hidden (B,), NaN where it is unknown or holds no evidence.

    Where the label of what is left is unknown, the clip's own serves if it is real, or if nothing was taken away that it had.
    """
    whole_B = features.has_video & features.has_audio
    own_B = torch.where(features.has_video, facts.visual, facts.audio)
    hidden_B = ~features.has_video | (facts.usable_sound & ~features.has_audio)
    fallback_B = torch.where(hidden_B & (facts.label > 0), float("nan"), facts.label)
    part_B = torch.where(own_B.isnan(), fallback_B, own_B)
    only_together_B = facts.label > torch.maximum(facts.visual, facts.audio)
    return torch.where(whole_B, facts.label, torch.where(only_together_B, float("nan"), part_B))
