"""Training: stages, freezing, losses, batches, frozen-feature reuse, checkpoints, the checklist before."""

from veridical.training.distributed import is_first_process
from veridical.training.loop import StageSummary, TrainSummary, train
from veridical.training.preflight import Check, preflight
from veridical.training.recipe import Recipe, read_recipe
from veridical.training.run import Run

__all__ = [
    "Check",
    "Recipe",
    "Run",
    "StageSummary",
    "TrainSummary",
    "is_first_process",
    "preflight",
    "read_recipe",
    "train",
]
