"""Training in several processes as in one: every mean over clips is a mean over the clips of all processes.

Lightning Fabric's DDP averages gradients over processes. A term that is a mean over the clips it applies to must therefore be
divided by the average count per process, not by its own: then the averaged gradient, and the averaged value, are those of one
process with the whole batch. Batches are split by video, so that a video's clips stay together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.strategies.ddp import DDPStrategy
from pydantic import Field
from torch import Tensor

from veridical.devices import Precision, pick_device, resolve_precision
from veridical.errors import UsageError
from veridical.settings import Settings

ItemT = TypeVar("ItemT")


class RuntimeSettings(Settings):
    """How training runs; nothing here changes what is learned, apart from rounding."""

    also_called: ClassVar[Mapping[str, str]] = {"device": "accelerator", "gpu": "accelerator", "gpus": "devices"}

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on; `auto` takes a GPU if there is one."""
    devices: int = Field(1, ge=1)
    """Processes on this machine, each with its own device; torchrun and SLURM override it."""
    nodes: int = Field(1, ge=1)
    """Machines; torchrun and SLURM override it."""
    precision: Precision = "32-true"
    """Precision of matrix products in training, validation and features; `auto` is `bf16-mixed` if the hardware supports it."""
    reuse_features: bool = True
    """Compute the features of frozen parts once per clip and view and cache them on disk; parts that learn are not cached."""
    score_batch: int = Field(32, ge=1)
    """Clips per batch in validation."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; None uses all cores."""
    save_every_s: float = Field(60.0, gt=0)
    """Seconds between saved states to resume from; one is also saved after each stage and on interruption."""
    save_every_steps: int | None = Field(None, ge=1)
    """Also save a state after this many batches."""

    @property
    def num_threads(self) -> int:
        """CPU threads, at least 1."""
        return self.threads or os.cpu_count() or 1


def num_processes() -> int:
    """Return how many processes train together; 1 without a process group."""
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
    parts: list[list[ItemT]] = [[] for _ in range(num_processes())]
    dist.all_gather_object(parts, values)
    return [value for part in parts for value in part]


def start_fabric(settings: RuntimeSettings, events: Path) -> Fabric:
    """Start the processes that the settings, torchrun or SLURM ask for, and return what runs in each.

    Args:
        settings: Devices, nodes, precision.
        events: Folder for TensorBoard events; made when the first figure is logged.
    """
    device = own_device(settings.accelerator)  # a missing device is refused in one line
    devices, nodes = _layout(settings)
    strategy: Any = DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would report the precision at every start
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=nodes,
        precision=resolve_precision(settings.precision, device),  # type: ignore[arg-type]  # never `auto`
        strategy=strategy,
        loggers=TensorBoardLogger(events.parent, name=events.name, version=""),
    )
    fabric.launch()
    return fabric


def own_device(accelerator: str) -> torch.device:
    """Return the device of this process: each on a machine has its own, and touches no other, not even to ask what it can do.

    Raises:
        UsageError: when this machine does not have it.
    """
    kind = pick_device("auto").type if accelerator == "auto" else accelerator
    if kind != "cuda":
        return pick_device(kind)
    number = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    visible = number < torch.cuda.device_count()  # a cluster may show each process its own one only
    return pick_device(f"cuda:{number if visible else 0}")


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
    """Return whether this is the process with rank 0; works before the process group exists."""
    return not any(int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def share_of_batch(rows: npt.NDArray[np.int64], clips: int) -> npt.NDArray[np.int64]:
    """Return this process's share of a batch in which each run of `clips` rows is one video: whole videos.

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
