"""Several processes learn as one: every mean over clips is a mean over the clips of all processes.

Lightning Fabric's DDP averages gradients over processes. A term that is a mean over the clips it applies to must therefore be
divided by the average count per process, not by its own: then the averaged gradient, and the averaged value, are those of one
process with the whole batch. Batches are shared by video, so that a video's clips are with one process.
"""

from __future__ import annotations

import logging
import os
from typing import Any, TypeVar

import lightning
import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from veridical.devices import pick_device, resolve_precision
from veridical.errors import UsageError
from veridical.training.recipe import RuntimeSettings

ItemT = TypeVar("ItemT")


def num_processes() -> int:
    """Return how many processes learn together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_number() -> int:
    """Return the rank of this process; 0 without a process group."""
    return dist.get_rank() if num_processes() > 1 else 0


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of the values where they apply, 0 where none does.

    Args:
        values: (N,) a number per clip or video of this process.
        weights: (N,) bool, or weights of at least 0; 0 leaves a value out.

    With several processes the mean of the results is the mean over all values; each has to call this equally often.
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


def from_all_processes(values: list[ItemT]) -> list[ItemT]:
    """Return the values of all processes, in the order of their ranks."""
    if num_processes() == 1:
        return values
    found: list[list[ItemT]] = [[] for _ in range(num_processes())]
    dist.all_gather_object(found, values)
    return [value for part in found for value in part]


def start_fabric(settings: RuntimeSettings) -> lightning.Fabric:
    """Start the processes that the settings, torchrun or SLURM ask for, and return what runs in each."""
    device = pick_device(settings.accelerator)  # what is not here is refused in one line
    devices, nodes = _layout(settings)
    strategy: Any = DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto"
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it tells the precision at every start
    fabric = lightning.Fabric(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=nodes,
        precision=resolve_precision(settings.precision, device),  # type: ignore[arg-type]  # never `auto`
        strategy=strategy,
    )
    fabric.launch()
    return fabric


def _layout(settings: RuntimeSettings) -> tuple[int, int]:
    """Return processes per machine, and machines."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    if os.environ.get("SLURM_JOB_NAME", "bash") not in ("bash", "interactive") and "SLURM_NTASKS" in os.environ:
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return settings.devices, settings.nodes


def is_first_process() -> bool:
    """Return whether this is the process that speaks for all; known before the processes have found each other."""
    return not any(int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def share_of_batch(rows: npt.NDArray[np.int64], clips: int) -> npt.NDArray[np.int64]:
    """Return this process's clips of a batch in which every `clips` neighbours are one video: whole videos.

    Raises:
        UsageError: when there are more processes than videos.
    """
    count = num_processes()
    videos = rows.reshape(-1, clips)
    if len(videos) < count:
        raise UsageError(
            f"batches.videos={len(videos)} cannot be shared by {count} processes; raise it to a multiple of {count}"
        )
    return videos[process_number() :: count].reshape(-1)
