"""The recipe: every setting of a training run, one frozen model; its YAML form is kept in the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from veridical.clips import FLOW_STATISTICS
from veridical.devices import Precision
from veridical.errors import UsageError, unknown_name
from veridical.inputs import Augmentation, InputSettings
from veridical.machine import num_cores
from veridical.models import ModelSettings
from veridical.settings import Settings, parse_settings, read_yaml, with_overrides

Part = Literal[
    "video_backbone", "video_late", "temporal", "video_head", "frame_head",
    "audio", "audio_projection", "audio_head", "fusion", "lip_sync", "head",
]  # fmt: skip
Objective = Literal["video", "audio", "joint"]
Decay = Annotated[float, Field(ge=0, lt=1)]
REACHED: dict[Objective, frozenset[Part]] = {
    "video": frozenset(("video_backbone", "video_late", "temporal", "video_head", "frame_head")),
    "audio": frozenset(("audio", "audio_projection", "audio_head")),
}
"""What a stage of one modality reaches; no other part would learn."""


class DataSettings(Settings):
    """What to learn from."""

    store: Path | None = None
    """The clip store that `veridical prepare` wrote."""
    more_stores: tuple[Path, ...] = ()
    """Further stores to learn from beside it, prepared alike (another corpus, another compression); no video may be in two."""
    manifest: Path | None = None
    """Labels and splits; the copy inside the store when not given."""
    accept_leaks: tuple[str, ...] = ()
    """Properties that are known to tell the classes apart and are accepted; see `veridical audit`."""
    clips_per_video: int | None = Field(None, ge=1)
    """Use at most this many windows of each training video, evenly spread; None uses all."""


class LossSettings(Settings):
    """L = segment · BCE + video · BCE of the video's logit + temporal · variance of frame embeddings, and what is added to it.

    A term of weight 0 is left out. All but the first belong to stages with `all_losses`.
    """

    smoothing: float = Field(0.05, ge=0, lt=0.5)
    """Targets become exactly this for real and one minus this for fake."""
    segment: float = Field(1.0, ge=0)
    """Weight of the cross-entropy of each clip."""
    segment_form: Literal["bce", "focal"] = "bce"
    """`focal` weighs down clips that are already right, which counters overconfidence."""
    focal_gamma: float = Field(2.0, ge=0)
    """With `focal`: 0 is plain cross-entropy, larger looks at the hard clips more."""
    video: float = Field(0.1, ge=0)
    """Weight of the cross-entropy of each video's aggregated logit."""
    video_pooling: Literal["mean", "top_k"] = "mean"
    """How a video's clips become one logit; `top_k` suits partial fakes, whose clips are mostly genuine."""
    top_k: int = Field(2, ge=1)
    """With `top_k`: the mean of this many largest logits of a video's clips in the batch."""
    temporal: float = Field(0.1, ge=0)
    """Weight of the variance of frame embeddings inside a clip."""
    temporal_form: Literal["symmetric", "class_conditional"] = "symmetric"
    """`symmetric` stills both classes alike; `class_conditional` stills real faces and asks forged ones for `temporal_margin`."""
    temporal_margin: float = Field(0.2, ge=0, le=1)
    """With `class_conditional`: variance from which a forged face costs nothing."""
    disagreement: float = Field(0.0, ge=0)
    """Weight of the disagreement of the picture's and the sound's verdicts, where their labels agree."""
    disagreement_form: Literal["l1", "entropy"] = "l1"
    """`l1`: difference of the two probabilities; `entropy`: entropy of their mean above their mean entropy."""
    frame: float = Field(0.0, ge=0)
    """Weight of the cross-entropy of each frame against a pseudo-label; needs `model.frame_head`."""
    frame_labels: Literal["hard", "soft"] = "hard"
    """`hard`: a frame has its clip's label, smoothed; `soft`: the two numbers of `soft_labels`."""
    soft_labels: tuple[float, float] = (0.05, 0.8)
    """With `soft`: targets of the frames of real and of forged faces."""
    sync: float = Field(0.0, ge=0)
    """Weight of telling the right from the shifted sound in genuine clips; needs `model.lip_sync`."""


class MixingSettings(Settings):
    """Mixing of two clips of a batch in what the frozen encoders give; labels are mixed alike, per modality."""

    mixup: float = Field(0.0, ge=0, le=1)
    """Share of batches whose clips are blended with others."""
    cutmix: float = Field(0.0, ge=0, le=1)
    """Share of batches whose clips get a stretch of time, picture and sound, from others."""
    alpha: float = Field(0.4, gt=0)
    """Shares are drawn from Beta(alpha, alpha): small keeps mostly one of the two."""

    @model_validator(mode="after")
    def _shares(self) -> MixingSettings:
        if self.mixup + self.cutmix > 1:
            raise ValueError("mixing.mixup and mixing.cutmix are shares of the batches: together at most 1")
        return self


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
    class_weights: bool = False
    """Without `balanced`: clips weigh in the segment term inversely to the share of their class."""
    hard_examples: float = Field(0.0, ge=0, lt=1)
    """Share of the places that go to videos in proportion to their loss in the epoch before, instead of all alike."""

    @model_validator(mode="after")
    def _consistent(self) -> BatchSettings:
        if self.pairs and not self.balanced:
            raise ValueError("pairs go with balanced=true: without balance every video is drawn once")
        if self.class_weights and self.balanced:
            raise ValueError("class_weights go with balanced=false: balanced batches hold half of each class already")
        return self


class Opening(Settings):
    """Parts that open in the course of a stage, at an epoch or when validation no longer improves."""

    train: tuple[Part, ...]
    """What opens."""
    lr: float = Field(gt=0)
    """Its learning rate when it opens; from there a cosine to the stage's `final_lr`, or to this where that is lower."""
    epoch: int | None = Field(None, ge=1)
    """Open before this epoch of the stage, counted from 0 (0 would be `train` of the stage)."""
    plateau: int | None = Field(None, ge=1)
    """Open after so many epochs without an improvement of validation AUC that counts; early stopping begins to count anew."""

    @model_validator(mode="after")
    def _one_reason(self) -> Opening:
        if (self.epoch is None) == (self.plateau is None):
            raise ValueError("an opening needs either epoch or plateau")
        return self


class StageSettings(Settings):
    """One stage of training."""

    name: str
    objective: Objective
    """Which logit learns which label: video learns visual_label, audio learns audio_label, joint learns label."""
    train: tuple[Part, ...]
    """The parts that are open; `audio` and `video_late` are the late blocks of the encoders (`model.audio.trainable_blocks`,
    `model.video.late_blocks`), `video_backbone` is all of it."""
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    """Learning rate at the start."""
    final_lr: float = Field(0.0, ge=0)
    """Learning rate at the end of the cosine."""
    all_losses: bool = False
    """True adds all other terms of `losses`; False is the segment term alone."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability that a clip with both modalities loses one of them (either alike)."""
    openings: tuple[Opening, ...] = ()
    """Parts that open later: gradual unfreezing, or the late backbone blocks once validation stops rising."""


class PretrainingSettings(Settings):
    """Each modality by itself, encoders open, before the stages. 0 epochs: left out."""

    video_epochs: int = Field(0, ge=0)
    """Late blocks of the image backbone, temporal encoder and video head learn visual_label."""
    audio_epochs: int = Field(0, ge=0)
    """Late blocks of the speech encoder, projection and audio head learn audio_label."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at the start; a cosine to 0."""

    @property
    def stages(self) -> tuple[StageSettings, ...]:
        """The stages that this makes."""
        video: tuple[Part, ...] = ("video_late", "temporal", "video_head")
        audio: tuple[Part, ...] = ("audio", "audio_projection", "audio_head")
        made: list[StageSettings] = []
        if self.video_epochs:
            made.append(_plain_stage("pretrain-video", "video", video, self.video_epochs, self.lr))
        if self.audio_epochs:
            made.append(_plain_stage("pretrain-audio", "audio", audio, self.audio_epochs, self.lr))
        return tuple(made)


def _plain_stage(name: str, objective: Objective, train: tuple[Part, ...], epochs: int, lr: float) -> StageSettings:
    return StageSettings(name=name, objective=objective, train=train, epochs=epochs, lr=lr)


class OptimiserSettings(Settings):
    """AdamW."""

    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 leaves gradients as they are."""


class EarlyStopping(Settings):
    """When to stop a stage; the best weights are restored."""

    patience: int = Field(3, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = Field(0.002, ge=0)
    """Improvement of validation AUC that counts for patience."""
    min_loss_drop: float = Field(0.01, ge=0, lt=1)
    """In an epoch whose AUC equals the best, validation loss must fall by this share to count: learning goes on at AUC 1."""
    stop_run_below: float = Field(0.0, ge=0, le=1)
    """A stage whose best validation AUC is lower ends the run; 0 never does."""


class RuntimeSettings(Settings):
    """How it runs; nothing here changes what is learned beyond floating point."""

    also_called: ClassVar[Mapping[str, str]] = {"device": "accelerator", "gpu": "accelerator", "gpus": "devices"}

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What to compute on; `auto` takes a GPU where there is one."""
    devices: int = Field(1, ge=1)
    """Processes on this machine, a device each; under torchrun or SLURM what these say counts."""
    nodes: int = Field(1, ge=1)
    """Machines; under torchrun or SLURM what these say counts."""
    precision: Precision = "32-true"
    """Of products, in training, validation and kept features alike; `auto` takes `bf16-mixed` where the hardware has it."""
    reuse_features: bool = True
    """Run frozen parts once per clip and view and keep the result on disk; ignored where they are not frozen."""
    score_batch: int = Field(32, ge=1)
    """Clips per batch when nothing is learned."""
    threads: int | None = Field(None, ge=1)
    """Threads for computing; None uses all cores."""
    save_every_s: float = Field(60.0, gt=0)
    """Seconds between two states to resume from; one is also kept after each stage and when the run is interrupted."""
    save_every_steps: int | None = Field(None, ge=1)
    """Keep a state after so many batches besides."""

    @property
    def num_threads(self) -> int:
        """Threads for computing, at least 1."""
        return self.threads or num_cores()


MAX_SYNC_SHIFT_S = 0.01
"""Largest time shift of the sound in augmentation that leaves lips and sound in step: a quarter of a mouth crop."""

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
    model: ModelSettings = ModelSettings()
    augmentation: Augmentation = Augmentation()
    losses: LossSettings = LossSettings()
    mixing: MixingSettings = MixingSettings()
    batches: BatchSettings = BatchSettings()
    start_from: Path | None = None
    """A run, or its model folder, whose weights to begin with wherever name and shape agree; None begins anew."""
    pretraining: PretrainingSettings = PretrainingSettings()
    stages: tuple[StageSettings, ...] = STRATEGY_STAGES
    optimiser: OptimiserSettings = OptimiserSettings()
    early_stopping: EarlyStopping = EarlyStopping()
    runtime: RuntimeSettings = RuntimeSettings()

    @property
    def hears(self) -> bool:
        """Whether the model has a speech encoder."""
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
            raise ValueError("the last stage must be a joint one: its logit is what the model says")
        if self.model.video.input_size != self.inputs.frame_size:
            raise ValueError("model.video.input_size and inputs.frame_size must agree")
        if self.model.audio.window_s != self.inputs.window_s:
            raise ValueError("model.audio.window_s and inputs.window_s must agree")
        self._check_branches()
        for stage in self.schedule:
            self._check_stage(stage)
        return self

    def _check_branches(self) -> None:
        model, losses = self.model, self.losses
        if self.inputs.flow != (model.flow_statistics > 0):
            raise ValueError(f"model.flow_statistics={len(FLOW_STATISTICS)} and inputs.flow=true go together")
        if self.inputs.flow and model.flow_statistics != len(FLOW_STATISTICS):
            raise ValueError(f"model.flow_statistics: a store keeps {len(FLOW_STATISTICS)}")
        if self.inputs.mouths != (model.lip_sync is not None):
            raise ValueError("model.lip_sync and inputs.mouths=true go together")
        if losses.sync and model.lip_sync is None:
            raise ValueError("losses.sync needs model.lip_sync")
        if losses.frame and not model.frame_head:
            raise ValueError("losses.frame needs model.frame_head=true")
        audio = self.augmentation.audio
        if model.lip_sync is not None and audio.shift_s > MAX_SYNC_SHIFT_S:
            raise ValueError(
                f"augmentation.audio.shift_s: at most {MAX_SYNC_SHIFT_S:g} with model.lip_sync: it destroys what that looks at"
            )

    def _check_stage(self, stage: StageSettings) -> None:
        opened = [part for parts in (stage.train, *(opening.train for opening in stage.openings)) for part in parts]
        unreached = [part for part in opened if part not in REACHED.get(stage.objective, opened)]
        if unreached or not stage.train:
            what = f"{unreached[0]} cannot learn from {stage.objective} alone" if unreached else "train names no part"
            raise ValueError(f"stage {stage.name}: {what}")
        if not self.losses.segment and not (stage.all_losses and self.losses.video):
            raise ValueError(
                f"stage {stage.name}: no term of the loss tells real from fake; set losses.segment above 0"
            )
        if len(set(opened)) != len(opened):
            raise ValueError(f"stage {stage.name}: a part is opened twice: {opened}")
        if {"video_late", "video_backbone"} <= set(opened):
            raise ValueError(f"stage {stage.name}: video_late is a part of video_backbone")
        if "video_late" in opened and not self.model.video.late_blocks:
            raise ValueError(f"stage {stage.name}: video_late needs model.video.late_blocks of 1 or more")
        for part, there in (("frame_head", self.model.frame_head), ("lip_sync", self.model.lip_sync is not None)):
            if part in opened and not there:
                raise ValueError(f"stage {stage.name}: the model has no {part}")
        for opening in stage.openings:
            if opening.epoch is not None and opening.epoch >= stage.epochs:
                raise ValueError(
                    f"stage {stage.name}: an opening at epoch {opening.epoch} of {stage.epochs} never comes"
                )
            if opening.plateau is not None and opening.plateau > self.early_stopping.patience:
                raise ValueError(
                    f"stage {stage.name}: early stopping comes before an opening after {opening.plateau} epochs"
                )


def packaged_recipes() -> dict[str, Path]:
    """Return the recipes that the package carries: name → file."""
    folder = Path(__file__).parent.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from YAML, with `a.b=c` changes.

    A recipe may begin with `extends: NAME`: it then says only what differs from another one.

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
    if path.exists():
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
    return _merged(_extended(_recipe_path(str(base), path.parent), (*seen, path.resolve())), values)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the base with changes; mappings are merged, everything else (lists too) is replaced."""
    both = {
        name: _merged(base[name], value) if isinstance(base.get(name), dict) and isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return {**base, **both}
