"""What is known of the clips of a batch, and what a stage may learn from each.

A clip's label speaks of picture and sound together. Where one of them is hidden (modality dropout, no usable sound), the label of
what is left takes its place: a fake whose forged voice is hidden shows a genuine face, and calling that face fake would teach to
see what is not there. Where neither modality is forged by itself (a genuine voice over a genuine face that it does not belong
to), half of the clip holds no evidence either way, and the clip is left out.

A corpus that does not say which modality of its fakes is forged (DFDC) has no label for half a fake, though it has one for half a
real video. Nothing of it is hidden: otherwise only real videos would be, and a missing modality would come to mean real.
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
    says_which: Tensor
    """bool; False where the corpus does not say which modality of its fakes is forged."""
    video: Tensor
    """Number of each clip's video within the batch."""
    weight: Tensor
    """Weight in the segment term, 1 on average."""
    mixed: Tensor
    """bool; True where a clip holds parts of another one: it is then no longer of one video."""


def labels_of(rows: pd.DataFrame, class_weights: tuple[float, float], usable_sound_B: Tensor) -> ClipFacts:
    """Return what the data say of the clips of a batch.

    Args:
        rows: A row per clip: video_id, says_which, target, and the three labels.
        class_weights: Of real and of fake clips.
        usable_sound_B: Which clips have sound that the model can hear.
    """
    device = usable_sound_B.device

    def column(name: str) -> Tensor:
        return torch.tensor(rows[name].astype("Float32").to_numpy(np.float32, na_value=np.nan), device=device)

    return ClipFacts(
        label=column("label"),
        visual=column("visual_label"),
        audio=column("audio_label"),
        usable_sound=usable_sound_B,
        says_which=torch.tensor(rows["says_which"].to_numpy(bool), device=device),
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

    Where the label of what is left is unknown, the clip's own serves if nothing was taken away that the clip had.
    """
    whole_B = features.has_video & features.has_audio
    own_B = torch.where(features.has_video, facts.visual, facts.audio)
    hidden_B = ~features.has_video | (facts.usable_sound & ~features.has_audio)
    fallback_B = torch.where(hidden_B, float("nan"), facts.label)
    part_B = torch.where(own_B.isnan(), fallback_B, own_B)
    only_together_B = facts.label > torch.maximum(facts.visual, facts.audio)
    return torch.where(whole_B, facts.label, torch.where(only_together_B, float("nan"), part_B))


def says_which(clips: pd.DataFrame) -> pd.Series:
    """Return for each clip whether most fakes of its dataset have a label for picture and sound apart (bool).

    Args:
        clips: A row per clip: dataset, and the three labels.
    """
    known = clips["visual_label"].notna() & clips["audio_label"].notna()
    shares = known[(clips["label"] == 1).fillna(False).astype(bool)].groupby(clips["dataset"]).mean()
    return clips["dataset"].map(shares).fillna(0.0) > 0.5
