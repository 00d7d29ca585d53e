"""The training loop: stages, epochs, steps. Devices, processes and mixed precision are Lightning Fabric's.

Reproducible: what a step draws depends on (seed, stage, epoch, step) alone, and the state of a run can be saved between any two
steps, so a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn

from veridical import progress
from veridical.artefacts import atomic_path, read_json, write_json
from veridical.devices import resolve_precision, save_tensors
from veridical.errors import DivergedError, StageStoppedError
from veridical.inference import WEIGHTS_FILE
from veridical.models import DetectorModel, set_modes
from veridical.randomness import seed_from
from veridical.training.batches import Rows, class_weights, count_paired, epoch_batches
from veridical.training.calibration import finish_model
from veridical.training.checkpoints import Checkpoints, TrainingState, start_from
from veridical.training.data import TrainingData, load_data
from veridical.training.distributed import (
    from_all_processes,
    own_device,
    share_of_batch,
    start_fabric,
    sum_over_processes,
)
from veridical.training.features import FeatureSource, feature_source
from veridical.training.history import history_row, log_epoch, stage_table
from veridical.training.interruption import Interruption
from veridical.training.leaks import refuse_held_out, refuse_leaks, refuse_shared
from veridical.training.mixing import drop_modalities, mixed
from veridical.training.objectives import OBJECTIVES
from veridical.training.optimiser import Learner, start_learner
from veridical.training.parts import learning_weights, open_parts
from veridical.training.recipe import Recipe
from veridical.training.run import Run
from veridical.training.selection import decision
from veridical.training.stages import StageSettings
from veridical.training.targets import clip_facts
from veridical.training.terms import BatchLoss, batch_loss, loss_shares
from veridical.training.validation import Validation, validate

StageData = dict[str, tuple[pd.DataFrame, ...]]
"""Name of a stage → its clips for training and for validation."""


@dataclass(frozen=True)
class StageSummary:
    """What a stage reached."""

    name: str
    epochs: int
    best_epoch: int
    best_auc: float
    """Video-level validation AUC of the stage's own logit."""
    decision: str
    """`proceed`, `recalibrate` or `stop`."""
    unreached: tuple[str, ...] = ()
    """What the recipe promised and the stage never came to: openings of parts, because it ended before."""


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
        UsageError: when data and recipe do not fit (all stages are checked before the first one starts).
        LeakError: when splits share people or files, or something other than content separates the classes in training.
        DivergedError: when a loss or a gradient becomes NaN or infinite, naming the batch.
        StageStoppedError: when a stage stays below `early_stopping.stop_run_below`, or at chance with stages after it.
        KeyboardInterrupt: when asked to stop by Ctrl-C or SIGTERM; the run can be resumed.
    """
    run = Run(Path(run_path))
    recipe = _with_precision(recipe, run)
    fabric = start_fabric(recipe.runtime, run.tensorboard_folder)
    with nullcontext() if fabric.is_global_zero else progress.silently():
        return _train(fabric, recipe, run, resume)


def _with_precision(recipe: Recipe, run: Run) -> Recipe:
    """Return the recipe with `auto` resolved for this machine, or as it was where the run began: a run keeps one precision."""
    if recipe.runtime.precision != "auto":
        return recipe
    begun = run.recipe() if run.recipe_path.exists() else recipe
    precision = resolve_precision(begun.runtime.precision, own_device(recipe.runtime.accelerator))
    return recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"precision": precision})})


def _train(fabric: Fabric, recipe: Recipe, run: Run, resume: bool) -> TrainSummary:
    data = load_data(recipe.data, recipe.inputs)
    if fabric.is_global_zero:
        run.refuse_other(recipe, data.fingerprint, resume)
    if run.model_folder.exists():
        return _summary(run, recipe)
    if not run.state_folder.exists():
        refuse_held_out(data, recipe.data.accept_leaks)
        refuse_shared(data, recipe.data.accept_leaks)
        refuse_leaks(data, recipe.data.accept_leaks)
    stage_data = {
        stage.name: tuple(data.for_objective(stage.objective, split, recipe.uses_audio) for split in ("train", "val"))
        for stage in recipe.schedule
    }
    with ExitStack() as lock:
        begun = run.recipe_path.exists()
        if fabric.is_global_zero and begun:
            lock.enter_context(run.locked())
        # The model is built before the folder is made: a run whose weights are missing leaves nothing behind.
        trainer = _Trainer(fabric, recipe, data, stage_data, run)
        if fabric.is_global_zero and not begun:
            run.path.mkdir(parents=True, exist_ok=True)
            lock.enter_context(run.locked())
            run.refuse_other(recipe, data.fingerprint, resume=False)  # another process may have begun it meanwhile
            run.start(recipe, data.fingerprint)
        fabric.barrier()
        trainer.fit()
    return _summary(run, recipe)


def _summary(run: Run, recipe: Recipe) -> TrainSummary:
    """Return what a finished run reached."""
    folders = [run.stage_folder(number, stage.name) for number, stage in enumerate(recipe.schedule)]
    rows = [read_json(folder / "stage.json") for folder in folders]
    stages = tuple(StageSummary(**{**row, "unreached": tuple(row.get("unreached", ()))}) for row in rows)
    return TrainSummary(run.path, stages, tuple(run.history()))


class _Trainer:
    def __init__(self, fabric: Fabric, recipe: Recipe, data: TrainingData, stage_data: StageData, run: Run) -> None:
        torch.set_num_threads(recipe.runtime.num_threads)
        torch.manual_seed(seed_from(recipe.seed, "weights"))
        self.fabric, self.recipe, self.data, self.stage_data, self.run = fabric, recipe, data, stage_data, run
        self.model = DetectorModel(recipe.model).to(fabric.device)
        self.state = TrainingState(self.model)
        self.interruption = Interruption()
        self.frozen_source: FeatureSource | None = None
        self.checkpoints = Checkpoints(run.state_folder, recipe.runtime, fabric)
        if not self.checkpoints.restore(self.state) and recipe.start_from is not None:
            taken, total = start_from(self.model, recipe.start_from)
            progress.say(f"starts from {taken} of {total} tensors of {recipe.start_from}")

    def fit(self) -> None:
        """Do what is left of the run."""
        schedule = self.recipe.schedule
        with self.interruption.collected():
            try:
                for number in range(self.state.progress.stage, len(schedule)):
                    self._stage(number, schedule[number])
                self._finish(schedule[-1])
            except KeyboardInterrupt:
                self.checkpoints.save(self.state)
                done = self.state.progress
                name = schedule[min(done.stage, len(schedule) - 1)].name
                progress.say(
                    f"stopped in stage {name}, epoch {done.epoch + 1}, after batch {done.step}; "
                    f"nothing is lost: the same command with --resume continues {self.run.path}"
                )
                raise
            finally:
                for logger in self.fabric.loggers:
                    logger.finalize("finished")

    def _stage(self, number: int, stage: StageSettings) -> None:
        """Train what is left of a stage, and restore its best weights."""
        done, patience = self.state.progress, self.recipe.early_stopping.patience
        if self.recipe.batches.balance == "pairs":
            paired, fakes = count_paired(self.stage_data[stage.name][0])
            progress.say(f"stage {stage.name}: {paired} of {fakes} fakes are drawn next to their original")
        learner, source = self._open(stage), self._source()
        while done.epoch < stage.epochs:
            if done.step == 0 and self._open_more(stage):
                learner, source = self._open(stage), self._source()
            if done.selection.waited >= patience:
                break
            started = time.monotonic()
            self._epoch(learner, source, stage)
            self._validate(source, stage, started)
            self.checkpoints.save_if_due(self.state)
        self._finish_stage(number, stage)

    def _open(self, stage: StageSettings) -> Learner:
        """Open the parts of the stage, and start an optimiser with the moments that are known of them."""
        moments = self.state.moments
        groups = open_parts(self.model, stage, dict(self.state.progress.opened))
        set_modes(self.model, training=False)
        heads = (self.model.video_head, self.model.audio_head) if OBJECTIVES[stage.objective].trains_heads else ()
        apart: list[nn.Parameter] = [weight for head in heads for weight in head.parameters() if weight.requires_grad]
        optimiser, precision = self.recipe.optimiser, self.recipe.runtime.precision
        learner = start_learner(self.fabric, self.model, groups, apart, optimiser, precision, moments)
        self.state.optimiser = learner.optimiser
        return learner

    def _open_more(self, stage: StageSettings) -> bool:
        """Note the openings that are due; the patience of early stopping then starts afresh."""
        done = self.state.progress
        taken = {number for number, _ in done.opened}
        due = [
            number
            for number, opening in enumerate(stage.openings)
            if number not in taken and opening.is_due(done.epoch, done.selection.waited)
        ]
        for number in due:
            done.opened.append((number, done.epoch))
            done.selection.waited = 0
            progress.say(f"stage {stage.name}: opens {', '.join(stage.openings[number].train)}")
        return bool(due)

    def _source(self) -> FeatureSource:
        """Return where features come from; one that caches hashes all frozen weights, so it is kept while they stay the same."""
        if any(weight.requires_grad for weight in self.model.video.parameters()):
            self.frozen_source = None
            return feature_source(self.model, self.data.store, self.recipe)
        if self.frozen_source is None:
            self.frozen_source = feature_source(self.model, self.data.store, self.recipe)
        return self.frozen_source

    def _epoch(self, learner: Learner, source: FeatureSource, stage: StageSettings) -> None:
        """Train what is left of the epoch."""
        done, settings, seed = self.state.progress, self.recipe.batches, self.recipe.seed
        clips = self.stage_data[stage.name][0]
        view = done.epoch % self.recipe.augmentation.views
        weights = class_weights(clips) if settings.balance == "weights" else (1.0, 1.0)
        batches = epoch_batches(clips, settings, seed, stage.name, done.epoch, done.hardness)
        mine = [share_of_batch(rows, settings.clips) for rows in batches]
        with self.interruption.allowed():
            source.announce(np.unique(np.concatenate(mine)), view)
        table = clips.set_index("row")
        set_modes(self.model, training=True)
        name = f"stage {stage.name}, epoch {done.epoch + 1} of {stage.epochs}"
        with progress.task(name, len(batches), "batch") as task:
            task.advance(done.step)
            while done.step < len(batches):
                learner.set_rates(done.epoch * len(batches) + done.step, len(batches), stage.epochs)
                torch.manual_seed(seed_from(seed, "step", stage.name, done.epoch, done.step, self.fabric.global_rank))
                rows = mine[done.step]
                terms = self._step(learner, source, stage, table.loc[rows], rows, view, weights)
                for key, value in terms.items():
                    done.sums[key] = done.sums.get(key, 0.0) + value / len(batches)
                done.step += 1
                task.advance(1, loss=f"{terms['loss']:.3f}")
                self.checkpoints.save_if_due(self.state, after_step=True)
                self.interruption.check()

    def _step(
        self,
        learner: Learner,
        source: FeatureSource,
        stage: StageSettings,
        clips: pd.DataFrame,
        rows: Rows,
        view: int,
        weights: tuple[float, float],
    ) -> dict[str, float]:
        """Learn from one batch; return the terms of its loss."""
        objective = OBJECTIVES[stage.objective]
        features = source.batch(rows, view, objective.modality)
        facts = clip_facts(clips, weights, features.has_audio)
        features, facts = mixed(features, facts, self.recipe.mixing)
        features = drop_modalities(features, stage.modality_dropout, facts.modalities_labelled)
        output = learner.model(features, follow=objective.trains_heads, only=objective.modality)
        loss = batch_loss(output, features, facts, stage, self.recipe.losses, self.recipe.aggregation)
        terms = self._over_processes(loss)
        if not np.isfinite(list(terms.values())).all():
            raise DivergedError(self._diverged(stage, "the loss", clips))
        if not learner.update(loss.to_minimise):
            raise DivergedError(self._diverged(stage, "the gradient", clips))
        if self.recipe.batches.hard_examples:
            hardness = list(zip(clips["video_id"], loss.hardness.tolist(), strict=True))
            self.state.progress.note_losses(from_all_processes(hardness))
        terms.pop("to_minimise")
        return terms

    def _over_processes(self, loss: BatchLoss) -> dict[str, float]:
        """Return the terms as means over processes, and take note when any of these was asked to stop."""
        named = {**loss.terms, "to_minimise": loss.to_minimise.detach()}
        asked = torch.tensor(float(self.interruption.wanted), device=loss.to_minimise.device)
        sums = sum_over_processes(torch.stack([*(value.float() for value in named.values()), asked]))
        *totals, num_asked = sums.tolist()
        self.interruption.wanted = num_asked > 0
        return {name: value / self.fabric.world_size for name, value in zip(named, totals, strict=True)}

    def _diverged(self, stage: StageSettings, what: str, clips: pd.DataFrame) -> str:
        names = ", ".join(dict.fromkeys(f"{row.video_id} at {row.start_s:g} s" for row in clips.itertuples()))
        done = self.state.progress
        where = f"stage {stage.name}, epoch {done.epoch + 1}, batch {done.step + 1}"
        return f"{where}: {what} is not finite; try a lower learning rate, or look at these clips: {names}"

    def _validation(self, stage: StageSettings, source: FeatureSource) -> Validation:
        with self.interruption.allowed():
            return validate(self.model, source, self.stage_data[stage.name][1], stage.objective, self.recipe)

    def _validate(self, source: FeatureSource, stage: StageSettings, started: float) -> None:
        """Validate, keep the best weights, and log the epoch."""
        validation, done = self._validation(stage, source), self.state.progress
        if done.selection.update(validation.auc, validation.loss, done.epoch, self.recipe.early_stopping):
            self.state.best = learning_weights(self.model, stage)
        shares = loss_shares(done.sums, self.recipe.losses)
        done.history.append(history_row(stage.name, done.epoch, done.sums, shares, validation))
        done.next_epoch()
        log_epoch(self.fabric, self.run, done.history, time.monotonic() - started, stage.epochs)

    def _finish_stage(self, number: int, stage: StageSettings) -> None:
        """Restore the best weights, decide what to conclude from the stage, and move on."""
        self.model.load_state_dict(self.state.best, strict=False)
        done, selection = self.state.progress, self.state.progress.selection
        best = [row for row in done.history if row["stage"] == stage.name][selection.best_epoch]
        is_last, folder = number + 1 == len(self.recipe.schedule), self.run.stage_folder(number, stage.name)
        verdict = decision(best, self.recipe.early_stopping, is_last=is_last)
        opened = {opening for opening, _ in done.opened}
        unreached = tuple(opening.promise for i, opening in enumerate(stage.openings) if i not in opened)
        if self.fabric.is_global_zero:
            with atomic_path(folder / WEIGHTS_FILE) as temporary:
                save_tensors(temporary, self.model.state_dict())
            reached = done.epoch, selection.best_epoch, selection.best_auc, verdict.name, unreached
            summary = StageSummary(stage.name, *reached)
            write_json(folder / "stage.json", vars(summary))
            progress.say(stage_table(best, done.epoch, verdict, unreached))
        if verdict.ends_run:
            raise StageStoppedError(f"{self.run.path}: stage {stage.name}: {verdict.reason}")
        self.state.next_stage()
        self.checkpoints.save_stage_start(self.state, folder / WEIGHTS_FILE)

    def _finish(self, stage: StageSettings) -> None:
        """Calibrate the trained model by the last stage's objective, and write it."""
        validation = self._validation(stage, self._source())
        if self.fabric.is_global_zero:
            finish_model(self.model, validation, self.data, self.recipe, self.run)
        self.fabric.barrier()
