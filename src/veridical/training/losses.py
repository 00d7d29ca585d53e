"""Losses. Every term is a mean over the clips (or videos) that it applies to, and zero where there are none;
`masked_mean` makes it a mean over all processes.

Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, in the binary form with targets s and 1 - s.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from veridical.training.distributed import masked_mean
from veridical.training.recipe import LossSettings

# B clips, V videos, T frames, D features


@dataclass(frozen=True)
class LossTerms:
    """The parts of one step's loss; `total` is what is minimised."""

    total: Tensor
    segment: Tensor
    video: Tensor
    temporal: Tensor


def smoothed_bce(logit_B: Tensor, label_B: Tensor, applies_B: Tensor, smoothing: float) -> Tensor:
    """Binary cross-entropy against targets `smoothing` and `1 - smoothing`, over the clips where `applies_B`.

    Args:
        logit_B: Raw logits.
        label_B: 0 or 1; any number where it does not apply.
        applies_B: bool.
        smoothing: In [0, 0.5).
    """
    target_B = torch.where(label_B > 0.5, 1 - smoothing, smoothing).to(logit_B.dtype)
    loss_B = F.binary_cross_entropy_with_logits(logit_B, target_B, reduction="none")
    return masked_mean(loss_B, applies_B)


def video_means(values_B: Tensor, video_B: Tensor, applies_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean per video (V,) over the clips that apply, and how many there were (V,).

    Args:
        values_B: One number per clip.
        video_B: Number of the video of each clip, 0 to V - 1.
        applies_B: bool.
    """
    num_videos = int(video_B.max()) + 1
    weights_B = applies_B.to(values_B.dtype)
    sums_V = torch.zeros(num_videos, dtype=values_B.dtype, device=values_B.device).index_add(
        0, video_B, values_B * weights_B
    )
    counts_V = torch.zeros_like(sums_V).index_add(0, video_B, weights_B)
    return sums_V / counts_V.clamp_min(1), counts_V


def temporal_variance(embeddings_BTD: Tensor, applies_B: Tensor) -> Tensor:
    """Variance over time of the L2-normalised frame embeddings, summed over features: 0 (still) to 1, mean over clips."""
    unit_BTD = F.normalize(embeddings_BTD, dim=-1)
    variance_B = unit_BTD.var(dim=1, unbiased=False).sum(-1)
    return masked_mean(variance_B, applies_B)


def collapse_monitor(embeddings_BTD: Tensor) -> Tensor:
    """Spread between clips of the mean unit embedding, 0 to 1; near 0 the temporal term has flattened everything."""
    means_BD = F.normalize(embeddings_BTD, dim=-1).mean(1)
    return means_BD.var(dim=0, unbiased=False).sum()


def total_loss(
    logit_B: Tensor,
    label_B: Tensor,
    applies_B: Tensor,
    video_B: Tensor,
    embeddings_BTD: Tensor,
    has_video_B: Tensor,
    settings: LossSettings,
    all_losses: bool,
) -> LossTerms:
    """Put the terms together.

    Args:
        logit_B: The logit of the stage's objective.
        label_B: The label it learns.
        applies_B: Clips with a known label and something to judge.
        video_B: Number of each clip's video within the batch.
        embeddings_BTD: Frame embeddings before pooling.
        has_video_B: Clips whose picture is not masked.
        settings: Weights and smoothing.
        all_losses: False leaves the segment term alone.
    """
    segment = smoothed_bce(logit_B, label_B, applies_B, settings.smoothing)
    zero = torch.zeros((), device=logit_B.device)
    if not all_losses:
        return LossTerms(settings.segment * segment, segment, zero, zero)
    logit_V, counts_V = video_means(logit_B, video_B, applies_B)
    forged_V, _ = video_means(label_B.to(logit_B.dtype), video_B, applies_B)
    video = smoothed_bce(logit_V, forged_V > 0, counts_V > 0, settings.smoothing)
    temporal = temporal_variance(embeddings_BTD, has_video_B)
    total = settings.segment * segment + settings.video * video + settings.temporal * temporal
    return LossTerms(total, segment, video, temporal)
