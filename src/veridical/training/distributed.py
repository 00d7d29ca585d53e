"""Several processes learn as one: every mean over clips is a mean over the clips of all processes.

Lightning Fabric's DDP averages gradients over processes. A term that is a mean over the clips it applies to must therefore be divided
by the average count per process, not by its own: then the averaged gradient, and the averaged value, are those of one process with the
whole batch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """Return how many processes learn together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of the values where they apply, 0 where none does.

    Args:
        values: (N,) a number per clip or video of this process.
        weights: (N,) bool, or weights of at least 0; 0 leaves a value out.

    With several processes the mean of the results over processes is the mean over all values; each has to call this equally often.
    """
    total = weights.detach().sum().float()
    count = num_processes()
    if count > 1:
        dist.all_reduce(total)
    share = torch.where(total > 0, total, torch.ones_like(total)) / count
    return (values * weights).sum() / share.to(values.dtype)


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    if num_processes() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values
