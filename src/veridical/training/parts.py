"""Parts of the model that a stage opens, and how their learning rates fall. Everything else stays frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from veridical.models import DetectorModel, set_trainable

if TYPE_CHECKING:
    from veridical.training.stages import StageSettings

Part = Literal[
    "video_backbone", "video_late", "temporal", "video_head", "frame_head",
    "audio", "audio_projection", "audio_head", "fusion", "lip_sync", "head",
]  # fmt: skip

PARTS: dict[Part, Callable[[DetectorModel], list[nn.Module | None]]] = {
    "video_backbone": lambda model: [model.video.backbone],
    "video_late": lambda model: [*model.video.late_blocks()],
    "temporal": lambda model: [model.temporal],
    "video_head": lambda model: [model.video_head],
    "frame_head": lambda model: [model.frame_head],
    "audio": lambda model: [*model.audio.blocks[model.audio.cut :]],
    "audio_projection": lambda model: [model.audio_projection],
    "audio_head": lambda model: [model.audio_head],
    "fusion": lambda model: [model.fusion],
    "lip_sync": lambda model: [model.lip_sync],
    "head": lambda model: [model.head],
}
"""Part → its modules; `audio` and `video_late` are the late blocks of the encoders."""


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


def open_parts(model: DetectorModel, stage: StageSettings, opened: Mapping[int, int]) -> list[OpenGroup]:
    """Freeze everything, open the stage's parts, and return the groups of parameters that learn.

    Args:
        model: Changed in place.
        stage: Which parts open, at which rates.
        opened: Those of the stage's `openings` that have taken place: number → epoch.
    """
    set_trainable(model, False)
    wanted = [(stage.train, stage.lr, stage.final_lr, 0)]
    for number, epoch in opened.items():
        opening = stage.openings[number]
        wanted.append((opening.train, opening.lr, min(stage.final_lr, opening.lr), epoch))
    groups = []
    for parts, lr, final_lr, epoch in wanted:
        modules = _modules(model, parts)
        for module in modules:
            set_trainable(module, True)
        groups.append(OpenGroup([weight for module in modules for weight in module.parameters()], lr, final_lr, epoch))
    return groups


def learning_weights(model: DetectorModel, stage: StageSettings) -> dict[str, Tensor]:
    """Return copies on the CPU, by name, of all tensors that a stage trains, those of later openings included."""
    mine = {id(weight) for module in _modules(model, stage.parts) for weight in module.parameters()}
    return {
        name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters() if id(weight) in mine
    }


def _modules(model: DetectorModel, parts: tuple[Part, ...]) -> list[nn.Module]:
    modules = [module for part in parts for module in PARTS[part](model)]
    assert None not in modules, "a recipe that trains a part which its model lacks is refused"
    return [module for module in modules if module is not None]


def cosine_lr(lr: float, final_lr: float, step: int, num_steps: int) -> float:
    """Return the learning rate of a step (0 to num_steps - 1): a half cosine from `lr` to `final_lr`.

    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """
    share = step / max(1, num_steps - 1)
    return final_lr + (lr - final_lr) * 0.5 * (1 + math.cos(math.pi * share))
