"""Labels of the clips of a batch, and which label applies to a clip of which a part is masked.

A clip's label is about video and audio together. Where one of them is masked (modality dropout, no usable audio), the label of
the other takes its place: a fake whose forged voice is masked shows a genuine face, and calling that face fake would teach the
model to see what is not there. Where neither modality is forged by itself (a genuine voice over a genuine face that it does not
belong to), half of the clip holds no evidence either way, and the clip is left out.

Where a corpus does not label the modalities of its fakes apart (DFDC), half of a fake has no label although half of a real video
has one. None of its clips is masked: otherwise only real ones would be, and a missing modality would come to mean real.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from veridical.models import Features

# B clips


@dataclass(frozen=True)
class ClipFacts:
    """Labels and further facts of B clips; every field is (B,). Labels are in [0, 1], NaN where unknown."""

    label: Tensor
    visual: Tensor
    audio: Tensor
    usable_audio: Tensor
    """bool; False where the clip has no audio that could be masked."""
    modalities_labelled: Tensor
    """bool; False where the corpus does not label the modalities of its fakes apart."""
    video: Tensor
    """Number of each clip's video within the batch."""
    weight: Tensor
    """Weight in the segment term, 1 on average."""
    mixed: Tensor
    """bool; True where a clip holds parts of another one and so no longer belongs to one video."""


def clip_facts(rows: pd.DataFrame, class_weights: tuple[float, float], usable_audio_B: Tensor) -> ClipFacts:
    """Return the facts of the clips of a batch.

    Args:
        rows: A row per clip: video_id, modalities_labelled, target, and the three labels.
        class_weights: Of real and of fake clips.
        usable_audio_B: Which clips have audio that the model can use.
    """
    device = usable_audio_B.device

    def column(name: str) -> Tensor:
        return torch.tensor(rows[name].astype("Float32").to_numpy(np.float32, na_value=np.nan), device=device)

    return ClipFacts(
        label=column("label"),
        visual=column("visual_label"),
        audio=column("audio_label"),
        usable_audio=usable_audio_B,
        modalities_labelled=torch.tensor(rows["modalities_labelled"].to_numpy(bool), device=device),
        video=torch.tensor(pd.factorize(rows["video_id"])[0], device=device),
        weight=torch.where(column("target") > 0.5, class_weights[1], class_weights[0]),
        mixed=torch.zeros(len(rows), dtype=torch.bool, device=device),
    )


def visible_label(facts: ClipFacts, features: Features) -> Tensor:
    """Return the label of the modalities that are not masked (B,), NaN where it is unknown or they hold no evidence.

    Where the label of the remaining modality is unknown, the clip's own serves if nothing that the clip had was masked.
    """
    whole_B = features.has_video & features.has_audio
    own_B = torch.where(features.has_video, facts.visual, facts.audio)
    hidden_B = ~features.has_video | (facts.usable_audio & ~features.has_audio)
    fallback_B = torch.where(hidden_B, float("nan"), facts.label)
    part_B = torch.where(own_B.isnan(), fallback_B, own_B)
    only_together_B = facts.label > torch.maximum(facts.visual, facts.audio)
    return torch.where(whole_B, facts.label, torch.where(only_together_B, float("nan"), part_B))


def modalities_labelled(clips: pd.DataFrame) -> pd.Series:
    """Return for each clip whether most fakes of its dataset have a visual and an audio label (bool).

    Args:
        clips: A row per clip: dataset, and the three labels.
    """
    known = clips["visual_label"].notna() & clips["audio_label"].notna()
    shares = known[(clips["label"] == 1).fillna(False).astype(bool)].groupby(clips["dataset"]).mean()
    return clips["dataset"].map(shares).fillna(0.0) > 0.5
