"""The recipe: every setting of a training run, one frozen model; its YAML form is kept in the run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from veridical.clips.augment import Augmentation
from veridical.clips.inputs import InputSettings
from veridical.errors import UsageError
from veridical.models import DetectorSettings
from veridical.settings import Settings, parse_settings, read_yaml, with_overrides

Part = Literal["video_backbone", "temporal", "video_head", "audio", "audio_projection", "audio_head", "fusion", "head"]
Objective = Literal["video", "audio", "joint"]


class DataSettings(Settings):
    """What to learn from."""

    store: Path | None = None
    """The clip store that `veridical prepare` wrote."""
    manifest: Path | None = None
    """Labels and splits; the copy inside the store when not given."""
    accept_leaks: tuple[str, ...] = ()
    """Properties that are known to tell the classes apart and are accepted; see `veridical audit`."""
    clips_per_video: int | None = None
    """Use at most this many windows of each training video, evenly spread; None uses all."""


class LossSettings(Settings):
    """L = segment · BCE + video · BCE of the video's mean logit + temporal · variance of frame embeddings."""

    smoothing: float = Field(0.05, ge=0, lt=0.5)
    """Targets become exactly this for real and one minus this for fake."""
    segment: float = 1.0
    video: float = 0.1
    temporal: float = 0.1


class BatchSettings(Settings):
    """How batches are drawn: half of the videos real, half fake, the fakes spread evenly over generators."""

    videos: int = Field(8, ge=2)
    """Videos per batch."""
    clips: int = Field(4, ge=1)
    """Clips of each; 8 x 4 is the strategy's batch of 32."""
    balanced: bool = True
    """False draws every video once per epoch, whatever its label."""
    pairs: bool = False
    """With `balanced`: beside each fake the real video that it was made from, where that is known, so that person, room and
    voice tell nothing about the label."""

    @model_validator(mode="after")
    def _pairs_need_balance(self) -> BatchSettings:
        if self.pairs and not self.balanced:
            raise ValueError("pairs go with balanced=true: without balance every video is drawn once")
        return self


class StageSettings(Settings):
    """One stage of training."""

    name: str
    objective: Objective
    """Which logit learns which label: video learns visual_label, audio learns audio_label, joint learns label."""
    train: tuple[Part, ...]
    """The parts that are open; `audio` opens its late blocks only."""
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    """Learning rate at the start."""
    final_lr: float = Field(0.0, ge=0)
    """Learning rate at the end of the cosine."""
    all_losses: bool = False
    """True adds the video-level and temporal terms; False is plain smoothed BCE."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability that a clip with both modalities loses one of them (either alike)."""


class OptimiserSettings(Settings):
    """AdamW."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Largest norm of the gradient."""


class EarlyStopping(Settings):
    """When to stop a stage; the best weights are restored."""

    patience: int = Field(3, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = 0.002
    """Improvement of validation AUC that counts for patience."""


class RuntimeSettings(Settings):
    """How it runs; nothing here changes what is learned beyond floating point."""

    accelerator: str = "auto"
    """`cpu`, `cuda`, `mps`, or `auto`."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    reuse_features: bool = True
    """Run frozen parts once per clip and view and keep the result on disk; ignored where they are not frozen."""
    score_batch: int = 32
    """Clips per batch when nothing is learned."""
    threads: int | None = None
    """Threads for computing; None uses all cores."""

    @property
    def num_threads(self) -> int:
        """Threads for computing, at least 1."""
        return self.threads or os.cpu_count() or 1


STRATEGY_STAGES = (
    StageSettings(name="video", objective="video", train=("temporal", "video_head"), epochs=5, lr=1e-3),
    StageSettings(
        name="audio", objective="audio", train=("audio", "audio_projection", "audio_head"), epochs=5, lr=1e-4
    ),
    StageSettings(
        name="joint",
        objective="joint",
        train=("temporal", "video_head", "audio", "audio_projection", "audio_head", "fusion", "head"),
        epochs=10,
        lr=1e-4,
        final_lr=1e-5,
        all_losses=True,
        modality_dropout=0.2,
    ),
)


class Recipe(Settings):
    """A whole training run. The defaults are the strategy's."""

    name: str = "contract-v1"
    seed: int = 0
    data: DataSettings = DataSettings()
    inputs: InputSettings = InputSettings()
    model: DetectorSettings = DetectorSettings()
    augmentation: Augmentation = Augmentation()
    losses: LossSettings = LossSettings()
    batches: BatchSettings = BatchSettings()
    stages: tuple[StageSettings, ...] = STRATEGY_STAGES
    optimiser: OptimiserSettings = OptimiserSettings()
    early_stopping: EarlyStopping = EarlyStopping()
    runtime: RuntimeSettings = RuntimeSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"stages need distinct names and at least one stage, got {names}")
        if self.stages[-1].objective != "joint":
            raise ValueError("the last stage must be a joint one: its logit is what the model says")
        if self.model.video.input_size != self.inputs.frame_size:
            raise ValueError("model.video.input_size and inputs.frame_size must agree")
        if self.model.audio.window_s != self.inputs.window_s:
            raise ValueError("model.audio.window_s and inputs.window_s must agree")
        return self


def packaged_recipes() -> dict[str, Path]:
    """Return the recipes that the package carries: name → file."""
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from YAML, with `a.b=c` changes.

    Args:
        source: A YAML file, or the name of a recipe that the package carries.
        overrides: Changes.

    Raises:
        UsageError: naming the file and the field that is wrong.
    """
    path = Path(source)
    if not path.exists() and str(source) in packaged_recipes():
        path = packaged_recipes()[str(source)]
    elif not path.exists():
        raise UsageError(f"recipe {str(source)!r}: no such file, and not one of {', '.join(packaged_recipes())}")
    return parse_settings(Recipe, with_overrides(read_yaml(path), overrides), str(path))
