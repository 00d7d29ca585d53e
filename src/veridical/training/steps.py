"""What one batch teaches: the terms of the loss from what the detector says of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from veridical.models import DetectorOutput, Features, Modality
from veridical.training.losses import (
    DISAGREEMENTS,
    collapse_monitor,
    conditional_variance,
    focal_loss,
    frame_loss,
    smoothed,
    smoothed_bce,
    sync_loss,
    temporal_variance,
    video_loss,
)
from veridical.training.recipe import LossSettings, Objective, StageSettings
from veridical.training.stages import objective_logit
from veridical.training.targets import ClipFacts, target_of

ONLY: dict[Objective, Modality | None] = {"video": "video", "audio": "audio", "joint": None}
"""The one modality that a stage of the objective needs."""


@dataclass(frozen=True)
class Learned:
    """The loss of a batch."""

    to_learn: Tensor
    """What is differentiated."""
    terms: dict[str, Tensor]
    """What is to be written down, each without its weight; `loss` is their weighted sum without `heads`."""
    hardness: Tensor
    """(B,) cross-entropy of each clip, without gradient; 0 where nothing is learned from it."""


def batch_loss(
    output: DetectorOutput, features: Features, facts: ClipFacts, stage: StageSettings, losses: LossSettings
) -> Learned:
    """Put the loss of a batch together.

    Args:
        output: What the detector says of B clips.
        features: What it was given.
        facts: What is known of them.
        stage: Which logit learns, and whether from all terms.
        losses: Weights and forms.
    """
    target_B = target_of(facts, features, stage.objective)
    learns_B, target_B = ~target_B.isnan(), target_B.nan_to_num()
    logit_B = objective_logit(output, stage.objective)
    weights_B = facts.weight * learns_B
    segment = smoothed_bce(logit_B, target_B, weights_B, losses.smoothing)
    if losses.segment_form == "focal":
        segment = focal_loss(logit_B, target_B, weights_B, losses.smoothing, losses.focal_gamma)
    terms = {"segment": (losses.segment, segment)}
    if stage.all_losses:
        terms |= _further_terms(output, features, facts, stage, losses, target_B, learns_B)
    total = torch.stack([weight * term for weight, term in terms.values()]).sum()
    values = {"loss": total, **{name: term for name, (_, term) in terms.items()}}
    if output.frame_embeddings.numel():
        values["spread"] = collapse_monitor(output.frame_embeddings)
    to_learn = total
    if stage.objective == "joint":
        values["heads"] = following_loss(output, features, facts, losses.smoothing)
        to_learn = total + values["heads"]
    each_B = F.binary_cross_entropy_with_logits(logit_B.detach().float(), target_B, reduction="none") * learns_B
    return Learned(to_learn, {name: value.detach() for name, value in values.items()}, each_B)


def _further_terms(
    output: DetectorOutput,
    features: Features,
    facts: ClipFacts,
    stage: StageSettings,
    losses: LossSettings,
    target_B: Tensor,
    learns_B: Tensor,
) -> dict[str, tuple[float, Tensor]]:
    """Return what is added to the segment term: weight and value of each term whose weight is not 0."""
    logit_B = objective_logit(output, stage.objective)
    whole_B = learns_B & ~facts.mixed & (features.has_video if stage.objective != "audio" else features.has_audio)
    if stage.objective == "joint":
        whole_B = whole_B & (features.has_audio | ~facts.usable_sound)
    has_picture = bool(output.frame_embeddings.numel())
    visual_B = facts.visual.nan_to_num()
    knows_B = features.has_video & ~facts.visual.isnan()
    terms: dict[str, tuple[float, Tensor]] = {}
    if losses.video:
        top_k = losses.top_k if losses.video_pooling == "top_k" else None
        video = video_loss(logit_B, target_B, facts.video, whole_B, losses.smoothing, top_k)
        terms["video"] = losses.video, video
    if losses.temporal and has_picture:
        still = temporal_variance(output.frame_embeddings, features.has_video)
        if losses.temporal_form == "class_conditional":
            still = conditional_variance(output.frame_embeddings, visual_B, knows_B, losses.temporal_margin)
        terms["temporal"] = losses.temporal, still
    if losses.frame and output.frame_logits is not None:
        low, high = losses.soft_labels
        soft_B = (
            low + (high - low) * visual_B if losses.frame_labels == "soft" else smoothed(visual_B, losses.smoothing)
        )
        terms["frame"] = losses.frame, frame_loss(output.frame_logits, soft_B, knows_B)
    if losses.disagreement and output.verdicts is not None:
        agree_B = features.has_video & features.has_audio & (facts.visual == facts.audio)
        terms["disagreement"] = losses.disagreement, DISAGREEMENTS[losses.disagreement_form](*output.verdicts, agree_B)
    if losses.sync and output.sync_profile is not None:
        genuine_B = (facts.label == 0) & ~facts.mixed & features.has_video & features.has_audio
        terms["sync"] = losses.sync, sync_loss(output.sync_profile, genuine_B)
    return terms


def following_loss(output: DetectorOutput, features: Features, facts: ClipFacts, smoothing: float) -> Tensor:
    """Return the loss of the single-modality heads on detached features, each on its own modality's label.

    Its gradient reaches the heads' own weights only, and it is clipped apart: what the encoders learn is untouched by it.
    """
    picture = smoothed_bce(
        output.video_logit, facts.visual.nan_to_num(), features.has_video & ~facts.visual.isnan(), smoothing
    )
    sound = smoothed_bce(
        output.audio_logit, facts.audio.nan_to_num(), features.has_audio & ~facts.audio.isnan(), smoothing
    )
    return picture + sound
