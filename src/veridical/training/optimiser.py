"""The optimiser of a stretch of training in which the same parts are open, and one update of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from lightning_fabric import Fabric
from pydantic import Field
from torch import Tensor, nn

from veridical.models import DetectorModel, trainable_names
from veridical.settings import Settings
from veridical.training.parts import OpenGroup

Decay = Annotated[float, Field(ge=0, lt=1)]
SLOTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps of each weight."""
HALF_PRECISION = "16-mixed"
"""Precision in which a scaler enlarges the loss, and leaves out a step whose gradient overflows."""


class OptimiserSettings(Settings):
    """AdamW."""

    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""


@dataclass(frozen=True, eq=False)
class Learner:
    """The model and its optimiser, as Fabric wraps them."""

    fabric: Fabric
    model: Any
    wrapped: Any
    """The optimiser as Fabric wraps it."""
    optimiser: torch.optim.Optimizer
    groups: list[OpenGroup]
    clipped: tuple[list[nn.Parameter], ...]
    """Parameters whose gradients are clipped together: heads that learn in addition to the objective apart from all others."""
    limit: float
    half_precision: bool

    def set_rates(self, step: int, steps_per_epoch: int, epochs: int) -> None:
        """Set the learning rates of a step of the stage."""
        for group, opened in zip(self.wrapped.param_groups, self.groups, strict=True):
            group["lr"] = opened.lr_at(step, steps_per_epoch, epochs)

    def update(self, loss: Tensor) -> bool:
        """Change the weights by the gradient of a loss; where it is not finite change nothing and return False."""
        self.wrapped.zero_grad()
        self.fabric.backward(loss)
        self.fabric.strategy.precision.unscale_gradients(self.wrapped.optimizer)
        for parameters in self.clipped:
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.limit)
            if not self.half_precision and not torch.isfinite(norm):
                return False
        self.wrapped.step()
        return True


def start_learner(
    fabric: Fabric,
    model: DetectorModel,
    groups: list[OpenGroup],
    apart: list[nn.Parameter],
    settings: OptimiserSettings,
    precision: str,
    moments: Mapping[str, Tensor],
) -> Learner:
    """Make the optimiser of the open parameters.

    Args:
        fabric: Runs it.
        model: The detector model.
        groups: What learns, at which rates.
        apart: Parameters among them whose gradients are clipped apart from all others.
        settings: Of AdamW.
        precision: Of the run.
        moments: From `moments_of`, of an earlier optimiser; parameters without any start from zero.
    """
    half_precision = precision == HALF_PRECISION
    optimiser = torch.optim.AdamW(
        [{"params": group.parameters, "lr": group.lr} for group in groups],
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=not half_precision,  # a fused optimiser would unscale gradients that were unscaled for clipping
    )
    restore_moments(moments, model, optimiser)
    wrapped_model, wrapped = fabric.setup(model, optimiser)
    ids = {id(weight) for weight in apart}
    others = [weight for group in groups for weight in group.parameters if id(weight) not in ids]
    limit = settings.clip_norm or float("inf")
    return Learner(fabric, wrapped_model, wrapped, optimiser, groups, (others, apart), limit, half_precision)


def moments_of(model: DetectorModel, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of the optimiser by the names of the parameters: `<slot>:<name>`."""
    named = dict(model.named_parameters())
    return {
        f"{slot}:{name}": torch.as_tensor(value).detach().cpu().contiguous().clone()
        for name in trainable_names(model)
        for slot, value in optimiser.state.get(named[name], {}).items()
    }


def restore_moments(moments: Mapping[str, Tensor], model: DetectorModel, optimiser: torch.optim.Optimizer) -> None:
    """Put moments into an optimiser of the trainable parameters; those without any start from zero."""
    named = dict(model.named_parameters())
    for name in trainable_names(model):
        weight = named[name]
        slots = {slot: moments[f"{slot}:{name}"] for slot in SLOTS if f"{slot}:{name}" in moments}
        # A fused optimiser needs all of it on the device, and moments laid out in memory as their weight is.
        if slots:
            device = weight.device if optimiser.defaults["fused"] else "cpu"
            optimiser.state[weight] = {
                slot: tensor.to(device, copy=True) if slot == "step" else torch.empty_like(weight).copy_(tensor)
                for slot, tensor in slots.items()
            }
