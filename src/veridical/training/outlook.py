"""Whether a plan fits the data and the machine: time, memory and disk of each stage, from a few measured steps."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from veridical.devices import autocast
from veridical.models import DetectorModel, Features, set_modes
from veridical.training.batches import epoch_batches
from veridical.training.data import TrainingData
from veridical.training.distributed import own_device
from veridical.training.features import CHUNK, DirectFeatures
from veridical.training.objectives import OBJECTIVES
from veridical.training.parts import open_parts
from veridical.training.recipe import Recipe
from veridical.training.stages import StageSettings
from veridical.training.targets import clip_facts
from veridical.training.terms import batch_loss

STEPS = 2
"""Steps measured for each stage, after one that warms up; the fastest counts."""
ENCODED = 2 * CHUNK
"""Clips encoded, in two threads where there are as many, to measure what the features of one cost."""
STATE_COPIES = 4
"""A run keeps, to resume from, its weights, the best ones, and two moments of each."""


@dataclass(frozen=True)
class StageCost:
    """What a stage takes at most: early stopping may end it sooner."""

    name: str
    epochs: int
    batches: int
    """Per epoch."""
    num_features: int
    """Clips (times views) whose features it adds to the cache."""
    seconds: float
    memory: int
    """Bytes at the peak of a step: of the GPU, else of the whole process."""
    disk: int
    """Bytes of cached features and weights that it adds."""


@dataclass(frozen=True)
class Room:
    """What the machine has, in bytes."""

    memory: int
    disk: int
    """Free where the features are cached, beside the store."""


def room(recipe: Recipe, data: TrainingData) -> Room:
    """Return the memory of the device that trains, and the free disk beside the store."""
    device = own_device(recipe.runtime.accelerator)
    memory = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else _machine_memory()
    return Room(memory, shutil.disk_usage(data.store.path.parent).free)


def _machine_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or what a container grants."""
    bytes_there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no container, or "max"
        return min(bytes_there, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return bytes_there


def stage_costs(recipe: Recipe, data: TrainingData) -> list[StageCost]:
    """Measure a few steps of each stage, with random weights on real clips, and extrapolate to all of its epochs.

    Raises:
        UsageError: when data and recipe do not fit.
        RuntimeError: when a step needs more memory than there is.
    """
    device = own_device(recipe.runtime.accelerator)
    torch.set_num_threads(recipe.runtime.num_threads)
    model = DetectorModel(recipe.model, load_weights=False).to(device)
    source = DirectFeatures(model, data.store, recipe)
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    cached: dict[int | None, set[int]] = {}
    costs: list[StageCost] = []
    per_clip_s, per_clip_bytes = 0.0, 0
    for stage in recipe.schedule:
        train, val = (data.for_objective(stage.objective, split, recipe.uses_audio) for split in ("train", "val"))
        batches = epoch_batches(train, recipe.batches, recipe.seed, stage.name, 0)
        if not costs:
            per_clip_s, per_clip_bytes = _cost_of_features(source, batches[0][:ENCODED])
        open_parts(model, stage, dict.fromkeys(range(len(stage.openings)), 0))
        direct = not recipe.runtime.reuse_features or any(p.requires_grad for p in model.video.parameters())
        step_s, memory = _cost_of_step(model, source, stage, train, batches[0], direct)
        added = 0
        if not direct:
            views = range(min(recipe.augmentation.views, stage.epochs))
            wanted: dict[int | None, set[int]] = {view: set(train["row"]) for view in views}
            wanted[None] = set(val["row"])
            added = sum(len(rows - cached.get(view, set())) for view, rows in wanted.items())
            cached = {view: cached.get(view, set()) | wanted.get(view, set()) for view in {*cached, *wanted}}
        validation_s = len(val) * (per_clip_s if direct else step_s / len(batches[0]))
        seconds = stage.epochs * (len(batches) * step_s + validation_s) + added * per_clip_s
        disk = added * per_clip_bytes + weights * (1 if costs else 1 + STATE_COPIES)
        costs.append(StageCost(stage.name, stage.epochs, len(batches), added, seconds, memory, disk))
    return costs


def _cost_of_features(
    source: DirectFeatures, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> tuple[float, int]:
    """Return the seconds and bytes that the features of one clip take."""
    with torch.no_grad():
        source.batch(rows[:1], 0)
        began = time.perf_counter()
        features = source.batch(rows, 0)
        size = sum(part.cpu().nbytes for part in features if part is not None)
    return (time.perf_counter() - began) / len(rows), size // len(rows)


def _cost_of_step(
    model: DetectorModel,
    source: DirectFeatures,
    stage: StageSettings,
    clips: pd.DataFrame,
    rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    direct: bool,
) -> tuple[float, int]:
    """Return the seconds of one step of a stage, and the bytes of memory at its peak."""
    recipe, objective, device = source.recipe, OBJECTIVES[stage.objective], model.video.mean.device
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-9)
    table = clips.set_index("row").loc[rows]
    kept: Features | None = None
    if not direct:
        with torch.no_grad():
            few = source.batch(rows[:ENCODED], 0)
        again = torch.arange(len(rows), device=device) % min(ENCODED, len(rows))
        kept = Features(*(None if part is None else part[again] for part in few))  # type: ignore[arg-type]
    _reset_peak(device)
    set_modes(model, training=True)
    taken = []
    for _ in range(1 + STEPS):
        began = time.perf_counter()
        features = kept if kept is not None else source.batch(rows, 0, objective.modality)
        with autocast(device, recipe.runtime.precision):
            output = model(features, follow=objective.trains_heads, only=objective.modality)
            facts = clip_facts(table, (1.0, 1.0), features.has_audio)
            loss = batch_loss(output, features, facts, stage, recipe.losses, recipe.aggregation)
        torch.autograd.backward(loss.to_minimise)
        optimiser.step()
        optimiser.zero_grad()
        loss.to_minimise.item()  # waits for the device
        taken.append(time.perf_counter() - began)
    return min(taken[1:]), _peak(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # Linux alone can; elsewhere the peak is that of the process so far
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
