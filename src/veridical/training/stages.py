"""What a stage opens, which logit it trains on which label, and how its learning rate falls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veridical.models import DetectorModel, DetectorOutput, Features, set_trainable
from veridical.training.recipe import Objective, Part, StageSettings


@dataclass(frozen=True)
class OpenGroup:
    """Parameters that learn at one rate."""

    parameters: list[nn.Parameter]
    lr: float
    """When it opens."""
    final_lr: float
    """At the end of the stage."""
    first_epoch: int
    """Epoch of the stage in which it opened."""

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of a step of the stage: a half cosine from the group's opening to the end of the stage."""
        first = self.first_epoch * steps_per_epoch
        return cosine_lr(self.lr, self.final_lr, step - first, epochs * steps_per_epoch - first)


def open_parts(detector: DetectorModel, stage: StageSettings, opened: Mapping[int, int]) -> list[OpenGroup]:
    """Freeze everything, open the stage's parts, and return what learns.

    Args:
        detector: Will be changed.
        stage: What opens, at which rates.
        opened: Those of the stage's `openings` that have come: number → epoch.
    """
    set_trainable(detector, False)
    wanted = [(stage.train, stage.lr, stage.final_lr, 0)]
    for number, epoch in opened.items():
        opening = stage.openings[number]
        wanted.append((opening.train, opening.lr, min(stage.final_lr, opening.lr), epoch))
    groups = []
    for parts, lr, final_lr, epoch in wanted:
        modules = [module for part in parts for module in part_modules(detector, part)]
        for module in modules:
            set_trainable(module, True)
        groups.append(OpenGroup([weight for module in modules for weight in module.parameters()], lr, final_lr, epoch))
    return groups


def learning_weights(detector: DetectorModel, stage: StageSettings) -> dict[str, Tensor]:
    """Return copies of the tensors that a stage changes, or may change once its openings have come, by name, off the device."""
    parts = [*stage.train, *(part for opening in stage.openings for part in opening.train)]
    mine = {id(weight) for part in parts for module in part_modules(detector, part) for weight in module.parameters()}
    return {
        name: weight.detach().to("cpu", copy=True) for name, weight in detector.named_parameters() if id(weight) in mine
    }


def part_modules(detector: DetectorModel, part: Part) -> list[nn.Module]:
    """Return the modules of a part; `audio` and `video_late` are late blocks."""
    if part == "audio":
        return list(detector.audio.blocks[detector.audio.cut :])
    if part == "video_late":
        return detector.video.late_blocks()
    named: dict[str, nn.Module | None] = {
        "video_backbone": detector.video.backbone,
        "temporal": detector.temporal,
        "video_head": detector.video_head,
        "frame_head": detector.frame_head,
        "audio_projection": detector.audio_projection,
        "audio_head": detector.audio_head,
        "fusion": detector.fusion,
        "lip_sync": detector.lip_sync,
        "head": detector.head,
    }
    module = named[part]
    assert module is not None, f"{part}: a recipe that opens it without having it is refused"
    return [module]


def objective_logit(output: DetectorOutput, objective: Objective) -> Tensor:
    """Return the logit (B,) that a stage trains."""
    return {"video": output.video_logit, "audio": output.audio_logit, "joint": output.logit}[objective]


def drop_modalities(features: Features, probability: float, allowed_B: Tensor) -> Features:
    """Hide picture or sound, either alike, of clips that have both and are `allowed`; never both."""
    if probability == 0:
        return features
    drawn_B = torch.rand(len(features.has_audio), device=features.has_audio.device)
    both_B = features.has_video & features.has_audio & allowed_B
    return features.masked(video=both_B & (drawn_B < probability / 2), audio=both_B & (drawn_B > 1 - probability / 2))


def cosine_lr(lr: float, final_lr: float, step: int, num_steps: int) -> float:
    """Return the learning rate of a step (0 to num_steps - 1): a half cosine from `lr` to `final_lr`.

    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """
    share = step / max(1, num_steps - 1)
    return final_lr + (lr - final_lr) * 0.5 * (1 + math.cos(math.pi * share))
