"""The loss of a batch: a weighted sum of terms, each a function of what the model returns for the batch.

A further term is a function here, a line in `TERMS`, and a weight of the same name in `LossSettings`; a further form of a term
is a line in the dict of its forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from veridical.metrics import Aggregation
from veridical.models import DetectorOutput, Features
from veridical.settings import Settings
from veridical.training.losses import (
    collapse_monitor,
    conditional_variance,
    disagreement_entropy,
    disagreement_l1,
    focal_loss,
    frame_loss,
    smoothed,
    smoothed_bce,
    sync_loss,
    temporal_variance,
    video_loss,
)
from veridical.training.objectives import OBJECTIVES, Objective
from veridical.training.stages import StageSettings
from veridical.training.targets import ClipFacts

# B clips


class LossSettings(Settings):
    """L = segment · BCE of each clip + video · BCE of each video + temporal · variance of frame embeddings + optional terms.

    A term of weight 0 is left out. All but the first belong to stages with `all_losses`.
    """

    also_called: ClassVar[Mapping[str, str]] = {
        "video_pooling": "aggregation.rule (of the recipe)",
        "top_k": "aggregation.top_k (of the recipe)",
    }

    smoothing: float = Field(0.05, ge=0, lt=0.5)
    """Targets become exactly this for real and one minus this for fake."""
    segment: float = Field(1.0, ge=0)
    """Weight of the cross-entropy of each clip."""
    segment_form: Literal["bce", "focal"] = "bce"
    """`focal` gives less weight to clips that are already right, which counters overconfidence."""
    focal_gamma: float = Field(2.0, ge=0)
    """With `focal`: 0 is plain cross-entropy; larger values concentrate on hard clips."""
    video: float = Field(0.1, ge=0)
    """Weight of the cross-entropy of each video's logit, pooled by the recipe's `aggregation`."""
    temporal: float = Field(0.1, ge=0)
    """Weight of the variance of frame embeddings inside clips, as a share of their variance over the batch."""
    temporal_form: Literal["symmetric", "class_conditional"] = "symmetric"
    """`symmetric` pushes both classes to be still; `class_conditional` only real faces, and fake ones up to `temporal_margin`."""
    temporal_margin: float = Field(0.2, ge=0, le=1)
    """With `class_conditional`: share of the variance from which a fake face costs nothing."""
    disagreement: float = Field(0.0, ge=0)
    """Weight of the disagreement between the two heads, where their labels agree."""
    disagreement_form: Literal["l1", "entropy"] = "l1"
    """`l1`: difference of the two probabilities; `entropy`: their Jensen-Shannon divergence."""
    frame: float = Field(0.0, ge=0)
    """Weight of the cross-entropy of each frame against a pseudo-label; above 0 the model gets a frame head."""
    frame_labels: Literal["hard", "soft"] = "hard"
    """`hard`: a frame has its clip's label, smoothed; `soft`: the two targets of `soft_labels`."""
    soft_labels: tuple[float, float] = (0.05, 0.8)
    """With `soft`: targets of the frames of real and of fake faces."""
    sync: float = Field(0.0, ge=0)
    """Weight of telling unshifted from shifted audio in genuine clips; needs `model.lip_sync`."""


@dataclass(frozen=True)
class LossInputs:
    """All that a term may look at; every property is (B,)."""

    output: DetectorOutput
    features: Features
    facts: ClipFacts
    objective: Objective
    settings: LossSettings
    aggregation: Aggregation

    @cached_property
    def logit(self) -> Tensor:
        """The logit that the stage trains."""
        return self.objective.logit(self.output)

    @cached_property
    def _target_or_nan(self) -> Tensor:
        return self.objective.target(self.facts, self.features)

    @property
    def learns(self) -> Tensor:
        """bool; False where a clip has no target."""
        return ~self._target_or_nan.isnan()

    @property
    def target(self) -> Tensor:
        """The target of each clip, 0 where it has none."""
        return self._target_or_nan.nan_to_num()

    @property
    def visual(self) -> Tensor:
        """The visual label, 0 where it is unknown."""
        return self.facts.visual.nan_to_num()

    @property
    def has_visual_label(self) -> Tensor:
        """bool; clips whose video is there and labelled."""
        return self.features.has_video & ~self.facts.visual.isnan()


SEGMENT_FORMS: dict[str, Callable[[Tensor, Tensor, Tensor, LossSettings], Tensor]] = {
    "bce": lambda logit, target, weights, given: smoothed_bce(logit, target, weights, given.smoothing),
    "focal": lambda logit, target, weights, given: focal_loss(
        logit, target, weights, given.smoothing, given.focal_gamma
    ),
}
TEMPORAL_FORMS: dict[str, Callable[[LossInputs], Tensor]] = {
    "symmetric": lambda given: temporal_variance(given.output.frame_embeddings, given.features.has_video),
    "class_conditional": lambda given: conditional_variance(
        given.output.frame_embeddings, given.visual, given.has_visual_label, given.settings.temporal_margin
    ),
}
FRAME_LABELS: dict[str, Callable[[Tensor, LossSettings], Tensor]] = {
    "hard": lambda label, given: smoothed(label, given.smoothing),
    "soft": lambda label, given: given.soft_labels[0] + (given.soft_labels[1] - given.soft_labels[0]) * label,
}
DISAGREEMENT_FORMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "l1": disagreement_l1,
    "entropy": disagreement_entropy,
}


def _segment(given: LossInputs) -> Tensor:
    weights_B = given.facts.weight * given.learns
    return SEGMENT_FORMS[given.settings.segment_form](given.logit, given.target, weights_B, given.settings)


def _video(given: LossInputs) -> Tensor:
    whole_B = given.learns & ~given.facts.mixed & given.objective.whole(given.facts, given.features)
    smoothing = given.settings.smoothing
    return video_loss(given.logit, given.target, given.facts.video, whole_B, smoothing, given.aggregation)


def _temporal(given: LossInputs) -> Tensor | None:
    has_frames = given.output.frame_embeddings.numel() > 0
    return TEMPORAL_FORMS[given.settings.temporal_form](given) if has_frames else None


def _frame(given: LossInputs) -> Tensor | None:
    if given.output.frame_logits is None:
        return None
    target_B = FRAME_LABELS[given.settings.frame_labels](given.visual, given.settings)
    return frame_loss(given.output.frame_logits, target_B, given.has_visual_label)


def _disagreement(given: LossInputs) -> Tensor | None:
    if given.output.head_logits is None:
        return None
    alike_B = given.features.has_video & given.features.has_audio & (given.facts.visual == given.facts.audio)
    return DISAGREEMENT_FORMS[given.settings.disagreement_form](*given.output.head_logits, alike_B)


def _sync(given: LossInputs) -> Tensor | None:
    if given.output.sync_profile is None:
        return None
    genuine_B = (given.facts.label == 0) & ~given.facts.mixed & given.features.has_video & given.features.has_audio
    return sync_loss(given.output.sync_profile, genuine_B)


TERMS: dict[str, Callable[[LossInputs], Tensor | None]] = {
    "segment": _segment,
    "video": _video,
    "temporal": _temporal,
    "frame": _frame,
    "disagreement": _disagreement,
    "sync": _sync,
}
"""Name, also of the weight in `LossSettings` → the term; it is None where the model's output lacks what the term needs."""


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a batch."""

    to_minimise: Tensor
    """The scalar that is differentiated."""
    terms: dict[str, Tensor]
    """What is logged, each term without its weight; `loss` is their weighted sum, `heads` not included."""
    hardness: Tensor
    """(B,) cross-entropy of each clip, without gradient; 0 where it has no target."""


def batch_loss(
    output: DetectorOutput,
    features: Features,
    facts: ClipFacts,
    stage: StageSettings,
    losses: LossSettings,
    aggregation: Aggregation,
) -> BatchLoss:
    """Compute the loss of a batch.

    Args:
        output: Of the model, for B clips.
        features: What the model was given.
        facts: Labels of the clips.
        stage: Its objective, and whether all terms apply.
        losses: Weights and forms.
        aggregation: How a video's clips become its logit.
    """
    objective = OBJECTIVES[stage.objective]
    given = LossInputs(output, features, facts, objective, losses, aggregation)
    weights = {name: getattr(losses, name) for name in TERMS}
    wanted = [name for name in TERMS if (weights[name] and stage.all_losses) or name == "segment"]
    values = {name: term for name in wanted if (term := TERMS[name](given)) is not None}
    total = torch.stack([weights[name] * term for name, term in values.items()]).sum()
    logged = {"loss": total, **values}
    if output.frame_embeddings.numel():
        logged["spread"] = collapse_monitor(output.frame_embeddings)
    to_minimise = total
    if objective.trains_heads:
        logged["heads"] = heads_loss(output, features, facts, losses.smoothing)
        to_minimise = total + logged["heads"]
    logit_B = given.logit.detach().float()
    hardness_B = F.binary_cross_entropy_with_logits(logit_B, given.target, reduction="none") * given.learns
    return BatchLoss(to_minimise, {name: value.detach() for name, value in logged.items()}, hardness_B)


def loss_shares(terms: Mapping[str, float], losses: LossSettings) -> dict[str, float]:
    """Return the share of each weighted term in the loss, from the logged means of an epoch; empty where the loss is 0."""
    whole = terms["loss"]
    return {name: getattr(losses, name) * terms[name] / whole for name in TERMS if name in terms} if whole else {}


def heads_loss(output: DetectorOutput, features: Features, facts: ClipFacts, smoothing: float) -> Tensor:
    """Return the loss of the single-modality heads on detached features, each on the label of its modality.

    Its gradient reaches only the heads' own weights and is clipped apart: the encoders learn nothing from it.
    """
    labelled_B = features.has_video & ~facts.visual.isnan(), features.has_audio & ~facts.audio.isnan()
    video = smoothed_bce(output.video_logit, facts.visual.nan_to_num(), labelled_B[0], smoothing)
    audio = smoothed_bce(output.audio_logit, facts.audio.nan_to_num(), labelled_B[1], smoothing)
    return video + audio
