"""Training: stages, freezing, losses, batches, frozen-feature reuse, checkpoints."""

from veridical.training.loop import StageSummary, TrainSummary, train
from veridical.training.recipe import Recipe, read_recipe
from veridical.training.run import Run

__all__ = ["Recipe", "Run", "StageSummary", "TrainSummary", "read_recipe", "train"]
