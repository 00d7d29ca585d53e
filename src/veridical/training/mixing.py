"""Regularisation on the features of a batch: modality dropout, and mixing of clips and their labels, per modality.

Mixup (Zhang et al. 2018, arXiv:1710.09412; of features: Verma et al. 2019, arXiv:1806.05236) blends two clips. CutMix (Yun et al.
2019, arXiv:1905.04899) is done in time, as for videos (Yun et al. 2020, arXiv:2012.03457): a rectangle pasted into a genuine face
would be a forgery labelled genuine. Both modalities get the same stretch, so that lips and speech stay in step.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field, model_validator
from torch import Tensor

from veridical.models import Features
from veridical.settings import Settings
from veridical.training.targets import ClipFacts

# B clips

MIXED = ("video", "audio", "flow", "mouths", "mel")


class MixingSettings(Settings):
    """Mixing of two clips of a batch in their frozen features; labels are mixed alike, per modality."""

    mixup: float = Field(0.0, ge=0, le=1)
    """Share of batches whose clips are blended with others."""
    cutmix: float = Field(0.0, ge=0, le=1)
    """Share of batches whose clips get a stretch of time, video and audio, from others."""
    alpha: float = Field(0.4, gt=0)
    """Proportions are drawn from Beta(alpha, alpha): a small value keeps mostly one of the two clips."""

    @model_validator(mode="after")
    def _shares(self) -> MixingSettings:
        if self.mixup + self.cutmix > 1:
            raise ValueError("mixing.mixup and mixing.cutmix are shares of the batches: together at most 1")
        return self


def drop_modalities(features: Features, probability: float, allowed_B: Tensor) -> Features:
    """Mask video or audio, with equal probability, of clips that have both and are `allowed`; never both."""
    if probability == 0:
        return features
    drawn_B = torch.rand(len(features.has_audio), device=features.has_audio.device)
    both_B = features.has_video & features.has_audio & allowed_B
    return features.masked(video=both_B & (drawn_B < probability / 2), audio=both_B & (drawn_B > 1 - probability / 2))


def mixed(features: Features, facts: ClipFacts, settings: MixingSettings) -> tuple[Features, ClipFacts]:
    """Mix the clips of a batch with others of it, or leave them as they are, by a draw from torch's generator.

    Two clips are mixed only if both have audio or neither has.
    """
    if not settings.mixup and not settings.cutmix:
        return features, facts
    drawn = torch.rand(()).item()
    if drawn >= settings.mixup + settings.cutmix:
        return features, facts
    other_B = torch.randperm(len(facts.label), device=facts.label.device)
    alike_B = (features.has_audio == features.has_audio[other_B]) & (
        other_B != torch.arange(len(other_B), device=other_B.device)
    )
    share = torch.distributions.Beta(settings.alpha, settings.alpha).sample().item()
    if drawn < settings.mixup:
        changed = _blended(features, other_B, share)
    else:
        changed, share = _spliced(features, other_B, share)
    kept = {name: _where(alike_B, getattr(changed, name), getattr(features, name)) for name in MIXED}
    labels = {
        name: torch.where(alike_B, _blend(value, value[other_B], share), value)
        for name, value in (("label", facts.label), ("visual", facts.visual), ("audio", facts.audio))
    }
    return features._replace(**kept), replace(facts, mixed=alike_B, **labels)  # type: ignore[arg-type]


def _blend(mine: Tensor, theirs: Tensor, share: float) -> Tensor:
    return (1 - share) * mine + share * theirs


def _where(picked_B: Tensor, new: Tensor | None, old: Tensor | None) -> Tensor | None:
    if new is None or old is None:
        return None
    return torch.where(picked_B.view(-1, *[1] * (old.ndim - 1)), new, old)


def _blended(features: Features, other_B: Tensor, share: float) -> Features:
    """Return clips blended with a share of others; the inputs of the lip-sync branch are those of the larger share."""
    theirs = share >= 0.5
    return features._replace(
        video=_blend(features.video, features.video[other_B], share),
        audio=_blend(features.audio, features.audio[other_B], share),
        flow=None if features.flow is None else _blend(features.flow, features.flow[other_B], share),
        mouths=features.mouths[other_B] if theirs and features.mouths is not None else features.mouths,
        mel=features.mel[other_B] if theirs and features.mel is not None else features.mel,
    )


def _spliced(features: Features, other_B: Tensor, share: float) -> tuple[Features, float]:
    """Return clips with a stretch of whole frames from others, and the share of time that it takes."""
    num_frames = features.video.shape[1] or features.audio.shape[1]
    length = min(max(round(share * num_frames), 1), num_frames)
    first = int(torch.randint(num_frames - length + 1, ()))

    def splice(value: Tensor | None) -> Tensor | None:
        if value is None or not value.shape[1]:
            return value
        steps = value.shape[1]
        result = value.clone()
        start, end = (round(edge * steps / num_frames) for edge in (first, first + length))
        result[:, start:end] = value[other_B, start:end]
        return result

    parts = {name: splice(getattr(features, name)) for name in MIXED}
    return features._replace(**parts), length / num_frames  # type: ignore[arg-type]
