"""The training loop: stages, epochs, steps. Short on purpose; devices and mixed precision are Lightning Fabric's.

Reproducible: what a step sees and drops depends on (seed, stage, epoch, step) alone, so a run that was killed and resumed at an
epoch ends with the same weights as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch

from veridical import progress
from veridical.artefacts import read_json, write_json
from veridical.errors import DivergedError
from veridical.inference.bundle import load_weights, save_weights
from veridical.models import Detector, DetectorOutput, Features
from veridical.models.freezing import set_modes
from veridical.randomness import seed_from
from veridical.training.batches import Rows, count_paired, epoch_batches
from veridical.training.calibration import finish_model
from veridical.training.checkpoints import Progress, load_progress, restore_model, restore_optimiser, save_state
from veridical.training.data import TrainingData, load_data
from veridical.training.events import EventWriter
from veridical.training.features import DirectFeatures, FeatureSource, feature_source
from veridical.training.leaks import refuse_leaks
from veridical.training.losses import LossTerms, collapse_monitor, smoothed_bce, total_loss
from veridical.training.recipe import Recipe, StageSettings
from veridical.training.run import Run
from veridical.training.stages import cosine_lr, drop_modalities, objective_logit, open_parts
from veridical.training.validation import Validation, validate


@dataclass(frozen=True)
class StageSummary:
    """What a stage reached."""

    name: str
    epochs: int
    best_epoch: int
    best_auc: float
    """Video-level validation AUC of the stage's own logit."""


@dataclass(frozen=True)
class TrainSummary:
    """What a run reached."""

    run: Path
    stages: tuple[StageSummary, ...]
    history: tuple[dict[str, Any], ...]
    """A row per epoch, as in metrics.jsonl."""


def train(recipe: Recipe, run_path: Path, *, resume: bool = False) -> TrainSummary:
    """Train a detector: every stage of the recipe, best weights by validation AUC, calibration at the end.

    Args:
        recipe: All settings; `data.store` must be set.
        run_path: Folder of the run; must be new unless `resume`.
        resume: Continue a run that was interrupted; a finished run is left as it is.

    Raises:
        UsageError: when data and recipe do not fit (each stage is checked before the first one starts).
        LeakError: when something that is not content tells the classes apart in the training split.
        DivergedError: when a loss becomes NaN or infinite, with the batch named.
    """
    data, run = load_data(recipe.data, recipe.inputs), Run(Path(run_path))
    if not run.state_folder.exists():
        refuse_leaks(data, recipe.data.accept_leaks)
    stage_data = {
        stage.name: (data.for_objective(stage.objective, "train"), data.for_objective(stage.objective, "val"))
        for stage in recipe.stages
    }
    run.start(recipe, data.fingerprint, resume)
    return _Trainer(recipe, data, stage_data, run).fit()


class _Trainer:
    def __init__(
        self, recipe: Recipe, data: TrainingData, stage_data: dict[str, tuple[pd.DataFrame, pd.DataFrame]], run: Run
    ) -> None:
        torch.set_num_threads(recipe.runtime.num_threads)
        self.fabric = lightning.Fabric(
            accelerator=recipe.runtime.accelerator, devices=1, precision=recipe.runtime.precision
        )
        torch.manual_seed(seed_from(recipe.seed, "weights"))
        self.recipe, self.data, self.stage_data, self.run = recipe, data, stage_data, run
        self.progress = load_progress(run.state_folder) or Progress()
        self.detector = Detector(recipe.model).to(self.fabric.device)
        self.events = EventWriter(run.tensorboard_folder)

    def fit(self) -> TrainSummary:
        """Do what is left of the run."""
        if (self.run.state_folder / "progress.json").exists():
            restore_model(self.run.state_folder, self.detector)
        for number in range(self.progress.stage, len(self.recipe.stages)):
            self._stage(number, self.recipe.stages[number])
        if not self.run.model_folder.exists():
            finish_model(
                self.detector,
                feature_source(self.detector, self.data.store, self.recipe),
                self.stage_data[self.recipe.stages[-1].name][1],
                self.data,
                self.recipe,
                self.run,
            )
        self.events.close()
        return TrainSummary(self.run.path, tuple(self._summaries()), tuple(self.progress.history))

    def _summaries(self) -> Iterator[StageSummary]:
        for number, stage in enumerate(self.recipe.stages):
            yield StageSummary(**read_json(self.run.stage_folder(number, stage.name) / "stage.json"))

    def _stage(self, number: int, stage: StageSettings) -> None:
        """Train one stage from where it stands, and restore its best weights."""
        if self.recipe.batches.pairs:
            paired, fakes = count_paired(self.stage_data[stage.name][0])
            progress.say(
                f"stage {stage.name}: {paired} of {fakes} fakes are drawn beside the video they were made from"
            )
        parameters = open_parts(self.detector, stage)
        set_modes(self.detector, training=False)
        optimiser = torch.optim.AdamW(
            parameters, lr=stage.lr, betas=self.recipe.optimiser.betas, weight_decay=self.recipe.optimiser.weight_decay
        )
        if self.progress.epoch:
            restore_optimiser(self.run.state_folder, self.detector, optimiser)
        model, wrapped = self.fabric.setup(self.detector, optimiser)
        source = self._stage_source(stage)
        folder = self.run.stage_folder(number, stage.name)
        while self.progress.epoch < stage.epochs and self.progress.waited < self.recipe.early_stopping.patience:
            terms = self._epoch(model, wrapped, source, stage)
            self._judge(stage, source, terms, folder)
            save_state(self.run.state_folder, self.progress, self.detector, optimiser)
        load_weights(folder / "model.safetensors", self.detector)
        done = self.progress
        write_json(
            folder / "stage.json",
            {"name": stage.name, "epochs": done.epoch, "best_epoch": done.best_epoch, "best_auc": done.best_auc},
        )
        progress.say(
            f"stage {stage.name}: best validation AUC {done.best_auc:.3f} in epoch {done.best_epoch + 1} of {done.epoch}"
        )
        self.progress = done.next_stage()
        save_state(self.run.state_folder, self.progress, self.detector, None)

    def _stage_source(self, stage: StageSettings) -> FeatureSource:
        """Return where features come from; made for each stage, since what is kept belongs to the weights of that time."""
        if "video_backbone" in stage.train:
            return DirectFeatures(self.detector, self.data.store, self.recipe)
        return feature_source(self.detector, self.data.store, self.recipe)

    def _epoch(self, model: Any, optimiser: Any, source: FeatureSource, stage: StageSettings) -> dict[str, float]:
        """Train one epoch; return the mean of each loss term."""
        epoch = self.progress.epoch
        clips = self.stage_data[stage.name][0]
        view = epoch % self.recipe.augmentation.views
        batches = epoch_batches(clips, self.recipe.batches, self.recipe.seed, stage.name, epoch)
        source.announce(np.unique(np.concatenate(batches)), view)
        facts = clips.set_index("row")
        set_modes(self.detector, training=True)
        sums: dict[str, float] = {}
        with progress.task(f"stage {stage.name}, epoch {epoch + 1} of {stage.epochs}", len(batches), "batch") as task:
            for step, rows in enumerate(batches):
                for group in optimiser.param_groups:
                    group["lr"] = cosine_lr(stage, epoch * len(batches) + step, stage.epochs * len(batches))
                torch.manual_seed(seed_from(self.recipe.seed, "step", stage.name, epoch, step))
                values = self._step(model, optimiser, source, stage, facts.loc[rows], rows, view)
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value / len(batches)
                task.advance(1, loss=f"{values['loss']:.3f}")
        return sums

    def _step(
        self,
        model: Any,
        optimiser: Any,
        source: FeatureSource,
        stage: StageSettings,
        facts: pd.DataFrame,
        rows: Rows,
        view: int,
    ) -> dict[str, float]:
        """Learn from one batch."""
        features = drop_modalities(source.batch(rows, view), stage.modality_dropout)
        output = model(features, follow=stage.objective == "joint")
        terms = self._loss(output, features, facts, stage)
        to_learn = terms.total
        if stage.objective == "joint":
            to_learn = to_learn + following_loss(output, features, facts, self.recipe.losses.smoothing)
        if not torch.isfinite(to_learn):
            names = ", ".join(f"{row.video_id} at {row.start_s:g} s" for row in facts.itertuples())
            raise DivergedError(
                f"stage {stage.name}, epoch {self.progress.epoch + 1}: loss is not finite; batch: {names}"
            )
        optimiser.zero_grad()
        self.fabric.backward(to_learn)
        if self.recipe.optimiser.clip_norm > 0:
            self.fabric.clip_gradients(model, optimiser, max_norm=self.recipe.optimiser.clip_norm)
        optimiser.step()
        values = {"loss": terms.total, "segment": terms.segment, "video": terms.video, "temporal": terms.temporal}
        values["spread"] = collapse_monitor(output.frame_embeddings)
        return {name: value.detach().item() for name, value in values.items()}

    def _loss(self, output: DetectorOutput, features: Features, facts: pd.DataFrame, stage: StageSettings) -> LossTerms:
        device = self.fabric.device
        video = torch.tensor(pd.factorize(facts["video_id"])[0], device=device)
        target = torch.tensor(facts["target"].to_numpy(np.float32), device=device)
        applies = features.has_audio if stage.objective == "audio" else torch.ones_like(features.has_audio)
        logit = objective_logit(output, stage.objective)
        embeddings, has_video = output.frame_embeddings, features.has_video
        return total_loss(logit, target, applies, video, embeddings, has_video, self.recipe.losses, stage.all_losses)

    def _judge(self, stage: StageSettings, source: FeatureSource, terms: dict[str, float], folder: Path) -> None:
        """Validate, keep the best weights, count patience, and write the epoch down."""
        done = self.progress
        clips = self.stage_data[stage.name][1]
        found = validate(
            self.detector, source, clips, stage.objective, self.recipe.losses, self.recipe.runtime.score_batch
        )
        if (found.auc, -found.loss) > (done.best_auc, -done.best_loss):
            done.best_auc, done.best_loss, done.best_epoch = found.auc, found.loss, done.epoch
            folder.mkdir(parents=True, exist_ok=True)
            save_weights(folder / "model.safetensors", self.detector)
        if found.auc > done.reference_auc + self.recipe.early_stopping.min_delta:
            done.reference_auc, done.waited = found.auc, 0
        else:
            done.waited += 1
        row = _history_row(stage, done.epoch, terms, found)
        done.history.append(row)
        done.epoch += 1
        self.run.write_history(done.history)
        self.events.write(row, len(done.history))
        losses = f"loss {terms['loss']:.3f}, validation loss {found.loss:.3f}"
        each = ", ".join(f"{name} {auc:.2f}" for name, auc in found.auc_per_generator.items())
        progress.say(f"stage {stage.name}, epoch {done.epoch}: {losses}, AUC {found.auc:.3f} ({each})")


def following_loss(output: DetectorOutput, features: Features, facts: pd.DataFrame, smoothing: float) -> torch.Tensor:
    """Return the loss of the single-modality heads on detached features, each on its own modality's label.

    Its gradient reaches the heads' own weights only. It touches what the encoders learn in one way: it counts in the norm at
    which all gradients are clipped together.
    """
    device = output.logit.device
    total = torch.zeros((), device=device)
    for logit, label, has in (
        (output.video_logit, "visual_label", features.has_video),
        (output.audio_logit, "audio_label", features.has_audio),
    ):
        known = torch.tensor(facts[label].notna().to_numpy(), device=device)
        target = torch.tensor(facts[label].fillna(0).to_numpy(np.float32), device=device)
        total = total + smoothed_bce(logit, target, known & has, smoothing)
    return total


def _history_row(stage: StageSettings, epoch: int, terms: dict[str, float], found: Validation) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "epoch": epoch + 1,
        **{f"train_{name}": value for name, value in terms.items()},
        "val_loss": found.loss,
        "val_auc": found.auc,
        "val_auc_per_generator": found.auc_per_generator,
    }
