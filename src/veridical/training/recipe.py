"""The recipe: every setting of a training run, one frozen model; its YAML form is kept in the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import model_validator

from veridical.clips import FLOW_STATISTICS
from veridical.errors import UsageError, unknown_name
from veridical.evaluation import EvaluationSettings
from veridical.inputs import Augmentation, InputSettings
from veridical.metrics import Aggregation
from veridical.models import ModelSettings
from veridical.settings import Settings, parse_settings, read_yaml, with_overrides
from veridical.training.batches import BatchSettings
from veridical.training.data import DataSettings
from veridical.training.distributed import RuntimeSettings
from veridical.training.mixing import MixingSettings
from veridical.training.objectives import OBJECTIVES
from veridical.training.optimiser import OptimiserSettings
from veridical.training.parts import Part
from veridical.training.selection import EarlyStopping
from veridical.training.stages import STRATEGY_STAGES, PretrainingSettings, StageSettings
from veridical.training.terms import LossSettings

MAX_SYNC_SHIFT_S = 0.01
"""Largest time shift of the audio in augmentation that leaves lips and speech in step: a quarter of a mouth crop."""


class Recipe(Settings):
    """A whole training run. The defaults are the strategy's."""

    name: str = "contract-v1"
    seed: int = 0
    data: DataSettings = DataSettings()
    inputs: InputSettings = InputSettings()
    model: ModelSettings = ModelSettings()
    aggregation: Aggregation = Aggregation()
    augmentation: Augmentation = Augmentation()
    losses: LossSettings = LossSettings()
    mixing: MixingSettings = MixingSettings()
    batches: BatchSettings = BatchSettings()
    start_from: Path | None = None
    """A run, or its model folder, whose weights to start from wherever name and shape agree; None starts afresh."""
    pretraining: PretrainingSettings = PretrainingSettings()
    stages: tuple[StageSettings, ...] = STRATEGY_STAGES
    optimiser: OptimiserSettings = OptimiserSettings()
    early_stopping: EarlyStopping = EarlyStopping()
    runtime: RuntimeSettings = RuntimeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    """How `veridical evaluate` judges the run, unless told otherwise there; nothing of it changes the training."""

    @property
    def uses_audio(self) -> bool:
        """Whether the model has an audio encoder."""
        return self.model.audio.kind != "none"

    @property
    def schedule(self) -> tuple[StageSettings, ...]:
        """All stages in order, those of pretraining first."""
        return (*self.pretraining.stages, *self.stages)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [stage.name for stage in self.schedule]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"stages need distinct names and at least one stage, got {names}")
        if self.stages[-1].objective != "joint":
            raise ValueError("the last stage must be a joint one: its logit is the model's verdict")
        self._derive()
        if self.losses.sync and self.model.lip_sync is None:
            raise ValueError("losses.sync needs model.lip_sync")
        if self.model.lip_sync is not None and self.augmentation.audio.shift_s > MAX_SYNC_SHIFT_S:
            raise ValueError(
                f"augmentation.audio.shift_s: at most {MAX_SYNC_SHIFT_S:g} with model.lip_sync, whose cue a shift destroys"
            )
        for stage in self.schedule:
            for problem in self._problems(stage):
                raise ValueError(f"stage {stage.name}: {problem}")
        return self

    def _derive(self) -> None:
        """Fill in the settings that follow from others; refuse other values for them."""
        for name, (source, value_of) in DERIVED.items():
            *parents, field = name.split(".")
            value, owner = value_of(self), reduce(getattr, parents, self)
            if field in owner.model_fields_set and getattr(owner, field) != value:
                raise ValueError(
                    f"{name} follows from {source}: expected {value}, found {getattr(owner, field)}; leave it out or "
                    f"change {source}"
                )
            first, *rest = parents
            changed = _with_value(getattr(self, first), [*rest, field], value)
            object.__setattr__(self, first, changed)  # the recipe is frozen, and this is still its validation

    def _problems(self, stage: StageSettings) -> Iterator[str]:
        """Yield what is wrong with a stage."""
        parts, reached = stage.parts, OBJECTIVES[stage.objective].parts
        if not stage.train:
            yield "train names no part"
        for part in parts:
            if part not in reached:
                yield f"{part} cannot learn from {stage.objective} alone"
        if not self.losses.segment and not (stage.all_losses and self.losses.video):
            yield "no term of the loss tells real from fake; set losses.segment above 0"
        yield from self._part_problems(parts)
        if "frame_head" in parts and not (self.losses.frame and stage.all_losses):
            cure = "give the stage all_losses" if self.losses.frame else "set losses.frame above 0"
            yield f"frame_head would learn nothing: {cure}, or leave it out of train"
        for opening in stage.openings:
            if opening.epoch is not None and opening.epoch >= stage.epochs:
                yield f"an opening at epoch {opening.epoch} of {stage.epochs} never takes place"
            if opening.plateau is not None and opening.plateau > self.early_stopping.patience:
                yield f"early stopping ends the stage before an opening after {opening.plateau} epochs"

    def _part_problems(self, parts: Sequence[Part]) -> Iterator[str]:
        """Yield why the parts that a stage opens do not go together, or with the model."""
        if len(set(parts)) != len(parts):
            yield f"a part is opened twice: {list(parts)}"
        if {"video_late", "video_backbone"} <= set(parts):
            yield "video_late is a part of video_backbone"
        if "video_late" in parts and not self.model.video.late_blocks:
            yield "video_late needs model.video.late_blocks of 1 or more"
        for part, present in (("frame_head", self.model.frame_head), ("lip_sync", self.model.lip_sync is not None)):
            if part in parts and not present:
                yield f"the model has no {part}"


DERIVED: dict[str, tuple[str, Callable[[Recipe], object]]] = {
    "inputs.mouths": ("model.lip_sync", lambda recipe: recipe.model.lip_sync is not None),
    "model.video.input_size": ("inputs.frame_size", lambda recipe: recipe.inputs.frame_size),
    "model.audio.window_s": ("inputs.window_s", lambda recipe: recipe.inputs.window_s),
    "model.flow_statistics": ("inputs.flow", lambda recipe: len(FLOW_STATISTICS) if recipe.inputs.flow else 0),
    "model.frame_head": ("losses.frame", lambda recipe: recipe.losses.frame > 0 or recipe.model.frame_head),
}
"""Setting → the setting that it follows from, and how; nobody needs to set these."""


def _with_value(settings: Settings, path: Sequence[str], value: object) -> Settings:
    """Return settings with the value at a path inside them replaced."""
    field, *rest = path
    inner = _with_value(getattr(settings, field), rest, value) if rest else value
    return settings.model_copy(update={field: inner})


def packaged_recipes() -> dict[str, Path]:
    """Return the recipes that the package carries: name → file."""
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from YAML, with `a.b=c` changes.

    A recipe that begins with `extends: NAME` states only its differences from another one: mappings are merged, and so are
    stages where `stages` is a mapping from names to changes (null leaves a stage out); everything else is replaced.

    Args:
        source: A YAML file, or the name of a recipe that the package carries.
        overrides: Changes.

    Raises:
        UsageError: naming the file and the field that is wrong.
    """
    path = _recipe_path(source, Path())
    return parse_settings(Recipe, with_overrides(_extended(path, ()), overrides), str(path), overrides)


def _recipe_path(source: str | Path, beside: Path) -> Path:
    path = beside / source
    if path.is_file():  # a folder of that name hides no recipe
        return path
    if str(source) not in packaged_recipes():
        raise UsageError(f"{path}: no such file; {unknown_name('recipe', str(source), packaged_recipes())}")
    return packaged_recipes()[str(source)]


def _extended(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Read a recipe file on top of the one that it extends."""
    if path.resolve() in seen:
        raise UsageError(f"{path}: extends itself, through {' and '.join(other.name for other in seen)}")
    values = read_yaml(path)
    base = values.pop("extends", None)
    if base is None:
        return values
    inherited = _extended(_recipe_path(str(base), path.parent), (*seen, path.resolve()))
    stages = inherited.get("stages")
    if isinstance(stages, list) and isinstance(values.get("stages"), dict):
        values["stages"] = _changed_stages(stages, values["stages"], path)
    return _merged(inherited, values)


def _changed_stages(stages: list[dict[str, Any]], changes: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the stages of the extended recipe with changes by name; those changed to null are left out."""
    names = [stage["name"] for stage in stages]
    for name in changes:
        if name not in names:
            raise UsageError(f"{path}: stages: {unknown_name('stage', name, names)}")
    kept = [stage for stage in stages if changes.get(stage["name"], {}) is not None]
    return [_merged(stage, changes.get(stage["name"], {})) for stage in kept]


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the base with changes; mappings are merged, everything else (lists too) is replaced."""
    both = {
        name: _merged(base[name], value) if isinstance(base.get(name), dict) and isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return {**base, **both}
