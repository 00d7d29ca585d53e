"""Loss functions on tensors; `terms.py` applies them to what the model returns for a batch.

Each is a mean over the clips (or videos) that it applies to, and zero where there are none; `masked_mean` makes it a mean over
all processes. Labels are numbers in [0, 1]: 0 real, 1 fake, between them for clips that were mixed.

Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, in the binary form with targets s and 1 - s. Focal loss: Lin et al. 2017,
arXiv:1708.02002, in the form for soft targets of Li et al. 2020, arXiv:2006.04388. Entropy of disagreement: the Jensen-Shannon
divergence (Lin 1991). Learning to find the right shift among others of the same clip: van den Oord et al. 2018, arXiv:1807.03748.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from veridical.metrics import Aggregation
from veridical.training.distributed import masked_mean, num_processes, sum_over_processes

SMALLEST_SPREAD = 1e-6
"""Variance of unit embeddings below which they count as equal, so that rounding is no movement."""

# B clips, V videos, T frames, D features, L time shifts


def smoothed(label: Tensor, smoothing: float) -> Tensor:
    """Return smoothed targets: `smoothing` for label 0, one minus that for 1, linear between."""
    return smoothing + (1 - 2 * smoothing) * label


def smoothed_bce(logit_B: Tensor, label_B: Tensor, weights_B: Tensor, smoothing: float) -> Tensor:
    """Binary cross-entropy against targets `smoothing` and `1 - smoothing`.

    Args:
        logit_B: Raw logits.
        label_B: In [0, 1]; any finite number where it does not apply.
        weights_B: bool, or weights; 0 leaves a clip out.
        smoothing: In [0, 0.5).
    """
    target_B = smoothed(label_B.to(logit_B.dtype), smoothing)
    return masked_mean(F.binary_cross_entropy_with_logits(logit_B, target_B, reduction="none"), weights_B)


def focal_loss(logit_B: Tensor, label_B: Tensor, weights_B: Tensor, smoothing: float, gamma: float) -> Tensor:
    """Cross-entropy times |target - p|^gamma: clips that are right already count less. Arguments as in `smoothed_bce`."""
    target_B = smoothed(label_B.to(logit_B.dtype), smoothing)
    cross_entropy_B = F.binary_cross_entropy_with_logits(logit_B, target_B, reduction="none")
    wrong_B = (target_B - logit_B.sigmoid()).abs()
    return masked_mean(wrong_B**gamma * cross_entropy_B, weights_B)


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


def aggregated_clips(aggregation: Aggregation, logit_B: Tensor, video_B: Tensor, applies_B: Tensor) -> Tensor:
    """Return (B,) bool: the clips whose mean is their video's logit under the aggregation rule, among those that apply."""
    if aggregation.rule == "mean":
        return applies_B
    logits = torch.where(applies_B, logit_B.detach().double(), float("nan")).cpu().numpy()
    return torch.from_numpy(aggregation.selected(logits, video_B.cpu().numpy())).to(logit_B.device)


def video_loss(
    logit_B: Tensor,
    label_B: Tensor,
    video_B: Tensor,
    applies_B: Tensor,
    smoothing: float,
    aggregation: Aggregation,
) -> Tensor:
    """Smoothed cross-entropy of each video's logit, aggregated from its clips. A video is fake if one of its clips here is."""
    forged_V, counts_V = video_means(label_B.to(logit_B.dtype), video_B, applies_B)
    logit_V, _ = video_means(logit_B, video_B, aggregated_clips(aggregation, logit_B, video_B, applies_B))
    return smoothed_bce(logit_V, forged_V > 0, counts_V > 0, smoothing)


def _spreads(embeddings_BTD: Tensor, applies_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far the frames of each clip lie from the clip's mean (B,), and from the mean of all frames (B,).

    Squared distances of L2-normalised embeddings, mean over frames. The mean of all frames is taken over all processes, without
    gradient: a variance has none through its mean.
    """
    unit_BTD = F.normalize(embeddings_BTD, dim=-1)
    clip_BD = unit_BTD.mean(1)
    applying_BD = clip_BD.detach() * applies_B[:, None].to(unit_BTD.dtype)
    sums = torch.cat([applying_BD.sum(0), applies_B.sum()[None].to(unit_BTD.dtype)])
    sums = sum_over_processes(sums)
    centre_D = sums[:-1] / sums[-1].clamp_min(1)
    within_B = (unit_BTD - clip_BD[:, None]).square().sum(-1).mean(1)
    return within_B, within_B + (clip_BD - centre_D).square().sum(-1)


def _share_of_total(part_B: Tensor, total_B: Tensor, applies_B: Tensor) -> Tensor:
    """Return the mean of a part over the mean of the total; with several processes their results have the right mean."""
    part, total = masked_mean(part_B, applies_B), masked_mean(total_B, applies_B)
    means = sum_over_processes(torch.stack([part.detach(), total.detach()])) / num_processes()
    whole = means[1].clamp_min(SMALLEST_SPREAD)
    share = means[0] / whole
    return share + (part - part.detach() - share * (total - total.detach())) / whole


def temporal_variance(embeddings_BTD: Tensor, applies_B: Tensor) -> Tensor:
    """Variance of the frame embeddings inside clips, as a share of that over all frames of the batch, whatever the label.

    0: every clip is still; 1: clips differ by nothing but the movement inside them. The variance by itself says little: frames of
    a second are alike and all embeddings point about one way, so it is nearly 0 from the start, and embeddings that collapse onto
    one point make it 0. The share does not depend on the common direction, and a collapse does not lower it.
    """
    within_B, total_B = _spreads(embeddings_BTD, applies_B)
    return _share_of_total(within_B, total_B, applies_B)


def conditional_variance(embeddings_BTD: Tensor, label_B: Tensor, applies_B: Tensor, margin: float) -> Tensor:
    """The same share for real clips, and the shortfall of fake ones from `margin`: only real faces are to be still."""
    within_B, total_B = _spreads(embeddings_BTD, applies_B)
    fake_B = label_B.to(within_B.dtype)
    whole = (sum_over_processes(masked_mean(total_B.detach(), applies_B)) / num_processes()).clamp_min(SMALLEST_SPREAD)
    short_B = fake_B * (within_B.detach() < margin * whole)  # fakes too still: each costs the margin minus its share
    signed_B = (1 - fake_B - short_B) * within_B
    return _share_of_total(signed_B, total_B, applies_B) + margin * masked_mean(short_B, applies_B)


def disagreement_l1(video_logit_B: Tensor, audio_logit_B: Tensor, applies_B: Tensor) -> Tensor:
    """Distance of the two heads' probabilities, 0 to 1."""
    return masked_mean((video_logit_B.sigmoid() - audio_logit_B.sigmoid()).abs(), applies_B)


def disagreement_entropy(video_logit_B: Tensor, audio_logit_B: Tensor, applies_B: Tensor) -> Tensor:
    """Jensen-Shannon divergence of the two heads' probabilities, in nats: 0 (alike) to ln 2."""
    mean_B = (video_logit_B.sigmoid() + audio_logit_B.sigmoid()) / 2
    lowest = torch.finfo(mean_B.dtype).eps
    apart_B = _entropy_of_logit(torch.logit(mean_B, lowest))
    return masked_mean(apart_B - (_entropy_of_logit(video_logit_B) + _entropy_of_logit(audio_logit_B)) / 2, applies_B)


def _entropy_of_logit(logit: Tensor) -> Tensor:
    """Entropy in nats of a Bernoulli variable: its cross-entropy against itself, which stays finite for any logit."""
    return F.softplus(logit) - logit * logit.sigmoid()


def frame_loss(frame_logit_BT: Tensor, target_B: Tensor, applies_B: Tensor) -> Tensor:
    """Cross-entropy of every frame against its clip's pseudo-label in [0, 1], mean over frames and clips."""
    target_BT = target_B.to(frame_logit_BT.dtype)[:, None].expand_as(frame_logit_BT)
    loss_BT = F.binary_cross_entropy_with_logits(frame_logit_BT, target_BT, reduction="none")
    return masked_mean(loss_BT.mean(1), applies_B)


def sync_loss(profile_BL: Tensor, applies_B: Tensor) -> Tensor:
    """Cross-entropy of picking the unshifted audio, the middle of the profile, among its time shifts."""
    middle = torch.full((len(profile_BL),), profile_BL.shape[1] // 2, device=profile_BL.device)
    return masked_mean(F.cross_entropy(profile_BL, middle, reduction="none"), applies_B)


def collapse_monitor(embeddings_BTD: Tensor) -> Tensor:
    """Return the spread between clips of their mean unit embedding, 0 to 1; near 0 the embeddings have collapsed."""
    means_BD = F.normalize(embeddings_BTD, dim=-1).mean(1)
    return means_BD.var(dim=0, unbiased=False).sum()
