"""Settings of the stages of a training run: what each trains, for how long, at which rates."""

from __future__ import annotations

from pydantic import Field, model_validator

from veridical.settings import Settings
from veridical.training.objectives import ObjectiveName
from veridical.training.parts import Part


class Opening(Settings):
    """Parts that open in the course of a stage, at an epoch or when validation no longer improves."""

    train: tuple[Part, ...]
    """The parts that open."""
    lr: float = Field(gt=0)
    """Their learning rate when they open; from there a cosine to the stage's `final_lr`, or to this where that is lower."""
    epoch: int | None = Field(None, ge=1)
    """Open before this epoch of the stage, counted from 0 (parts open from the start belong in the stage's `train`)."""
    plateau: int | None = Field(None, ge=1)
    """Open after this many epochs without improvement of validation AUC; the patience of early stopping then starts again."""

    @model_validator(mode="after")
    def _one_reason(self) -> Opening:
        if (self.epoch is None) == (self.plateau is None):
            raise ValueError("an opening needs either epoch or plateau")
        return self

    @property
    def promise(self) -> str:
        """What it opens and when."""
        when = (
            f"at epoch {self.epoch + 1}"
            if self.epoch is not None
            else f"after {self.plateau} epochs without improvement"
        )
        return f"{', '.join(self.train)} {when}"

    def is_due(self, epoch: int, waited: int) -> bool:
        """Return whether it is time to open, in an epoch of the stage and after this many epochs without improvement."""
        return (self.epoch is not None and epoch >= self.epoch) or (self.plateau is not None and waited >= self.plateau)


class StageSettings(Settings):
    """One stage of training."""

    name: str
    objective: ObjectiveName
    """Which logit learns which label: video learns visual_label, audio learns audio_label, joint learns label."""
    train: tuple[Part, ...]
    """The parts that learn; `audio` and `video_late` are the late blocks of the encoders (`model.audio.trainable_blocks`,
    `model.video.late_blocks`), `video_backbone` is the whole image backbone."""
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    """Learning rate at the start."""
    final_lr: float = Field(0.0, ge=0)
    """Learning rate at the end of the cosine."""
    all_losses: bool = False
    """True adds all other terms of `losses`; False is the segment term alone."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability that a clip with both modalities has one of them masked, either with equal probability."""
    openings: tuple[Opening, ...] = ()
    """Parts that open later: gradual unfreezing, or the late backbone blocks once validation stops improving."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts that learn at some time in the stage."""
        return (*self.train, *(part for opening in self.openings for part in opening.train))


class PretrainingSettings(Settings):
    """Stages before the others that train each modality by itself with its encoder open. 0 epochs: left out."""

    video_epochs: int = Field(0, ge=0)
    """Late blocks of the image backbone, temporal encoder and video head learn visual_label."""
    audio_epochs: int = Field(0, ge=0)
    """Late blocks of the speech encoder, projection and audio head learn audio_label."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate at the start; a cosine to 0."""

    @property
    def stages(self) -> tuple[StageSettings, ...]:
        """The stages that these settings stand for."""
        parts: dict[ObjectiveName, tuple[Part, ...]] = {
            "video": ("video_late", "temporal", "video_head"),
            "audio": ("audio", "audio_projection", "audio_head"),
        }
        epochs = {"video": self.video_epochs, "audio": self.audio_epochs}
        return tuple(
            StageSettings(name=f"pretrain-{name}", objective=name, train=train, epochs=epochs[name], lr=self.lr)
            for name, train in parts.items()
            if epochs[name]
        )


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
"""The three stages of the training strategy."""
