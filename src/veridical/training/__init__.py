"""Training: recipes, objectives and losses, the loop, checkpoints, the checklist before, sweeps and ensembles after."""

from veridical.training.distributed import is_first_process
from veridical.training.features import FeatureSource, feature_source
from veridical.training.loop import StageSummary, TrainSummary, train
from veridical.training.preflight import Check, preflight
from veridical.training.recipe import Recipe, packaged_recipes, read_recipe
from veridical.training.run import Run
from veridical.training.sweeps import Choice, Trial, assignments_of, ensemble, parse_choice, sweep, tied_trials

__all__ = [
    "Check",
    "Choice",
    "FeatureSource",
    "Recipe",
    "Run",
    "StageSummary",
    "TrainSummary",
    "Trial",
    "assignments_of",
    "ensemble",
    "feature_source",
    "is_first_process",
    "packaged_recipes",
    "parse_choice",
    "preflight",
    "read_recipe",
    "sweep",
    "tied_trials",
    "train",
]
