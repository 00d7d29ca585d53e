"""The training loop: stages, epochs, steps. Short on purpose; devices, processes and mixed precision are Lightning Fabric's.

Reproducible: what a step sees and drops depends on (seed, stage, epoch, step) alone, and the state of a run can be saved between
any two steps, so a run that was killed and resumed ends with the same weights as one that was not.
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
from torch import Tensor

from veridical import progress
from veridical.artefacts import atomic_path, read_json, write_json
from veridical.devices import pick_device, resolve_precision, save_tensors
from veridical.errors import DivergedError, StageStoppedError
from veridical.inference import WEIGHTS_FILE
from veridical.models import DetectorModel, set_modes
from veridical.randomness import seed_from
from veridical.training.batches import Rows, class_weights, count_paired, epoch_batches
from veridical.training.calibration import finish_model
from veridical.training.checkpoints import (
    Progress,
    load_state,
    moments,
    restore_moments,
    save_stage_start,
    save_state,
)
from veridical.training.data import TrainingData, load_data
from veridical.training.distributed import from_all_processes, share_of_batch, start_fabric, sum_over_processes
from veridical.training.events import EventWriter
from veridical.training.features import FeatureSource, feature_source
from veridical.training.interruption import Interruption
from veridical.training.leaks import refuse_leaks, refuse_shared
from veridical.training.mixing import mixed
from veridical.training.recipe import Recipe, StageSettings
from veridical.training.run import Run
from veridical.training.stages import OpenGroup, drop_modalities, learning_weights, open_parts
from veridical.training.starting import begin_with
from veridical.training.steps import ONLY, Learned, batch_loss
from veridical.training.targets import labels_of
from veridical.training.validation import Validation, decision, history_row, stage_table, validate


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


@dataclass(frozen=True)
class TrainSummary:
    """What a run reached."""

    run: Path
    stages: tuple[StageSummary, ...]
    history: tuple[dict[str, Any], ...]
    """A row per epoch, as in metrics.jsonl."""


@dataclass(frozen=True, eq=False)
class _Learning:
    """What learns in a stretch of a stage in which the same parts are open."""

    model: Any
    """The detector as Fabric wraps it."""
    optimiser: Any
    groups: list[OpenGroup]
    clipped: tuple[list[Tensor], ...]
    """Parameters whose gradients are clipped together: the following heads apart from all else."""
    source: FeatureSource


def train(recipe: Recipe, run_path: Path, *, resume: bool = False) -> TrainSummary:
    """Train a detector: every stage of the recipe, best weights by validation AUC, calibration at the end.

    Args:
        recipe: All settings; `data.store` must be set.
        run_path: Folder of the run; must be new unless `resume`.
        resume: Continue a run that was interrupted; a finished run is left as it is.

    Raises:
        UsageError: when data and recipe do not fit (each stage is checked before the first one starts).
        LeakError: when splits share people or files, or something that is not content tells the classes apart in training.
        DivergedError: when a loss or a gradient becomes NaN or infinite, with the batch named.
        StageStoppedError: when a stage stays below `early_stopping.stop_run_below`.
        KeyboardInterrupt: when asked to stop by Ctrl-C or SIGTERM; the run can be resumed.
    """
    recipe = _with_precision(recipe, Run(Path(run_path)))
    fabric = start_fabric(recipe.runtime)
    with nullcontext() if fabric.is_global_zero else progress.silently():
        return _train(fabric, recipe, run_path, resume)


def _with_precision(recipe: Recipe, run: Run) -> Recipe:
    """Return the recipe with what `auto` means here, or meant where the run was begun: a run keeps one precision."""
    if recipe.runtime.precision != "auto":
        return recipe
    begun = run.recipe() if run.recipe_path.exists() else recipe
    precision = resolve_precision(begun.runtime.precision, pick_device(recipe.runtime.accelerator))
    return recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"precision": precision})})


def _train(fabric: Any, recipe: Recipe, run_path: Path, resume: bool) -> TrainSummary:
    data, run = load_data(recipe.data, recipe.inputs), Run(Path(run_path))
    if fabric.is_global_zero:
        run.refuse_other(recipe, data.fingerprint, resume)
    if run.model_folder.exists():
        return _summary(run, recipe)
    if not run.state_folder.exists():
        refuse_shared(data, recipe.data.accept_leaks)
        refuse_leaks(data, recipe.data.accept_leaks)
    stage_data = {
        stage.name: tuple(data.for_objective(stage.objective, split, recipe.hears) for split in ("train", "val"))
        for stage in recipe.schedule
    }
    with ExitStack() as alone:
        begun = run.recipe_path.exists()
        if fabric.is_global_zero and begun:
            alone.enter_context(run.alone())
        # The weights are had before the folder is made: a run that lacks them leaves nothing behind.
        trainer = _Trainer(fabric, recipe, data, stage_data, run)
        if fabric.is_global_zero and not begun:
            run.path.mkdir(parents=True, exist_ok=True)
            alone.enter_context(run.alone())
            run.refuse_other(recipe, data.fingerprint, resume=False)  # another process may have begun it meanwhile
            run.start(recipe, data.fingerprint)
        fabric.barrier()
        trainer.fit()
    return _summary(run, recipe)


def _summary(run: Run, recipe: Recipe) -> TrainSummary:
    """Return what a finished run reached."""
    folders = [run.stage_folder(number, stage.name) for number, stage in enumerate(recipe.schedule)]
    stages = tuple(StageSummary(**read_json(folder / "stage.json")) for folder in folders)
    return TrainSummary(run.path, stages, tuple(run.history()))


class _Trainer:
    def __init__(
        self,
        fabric: Any,
        recipe: Recipe,
        data: TrainingData,
        stage_data: dict[str, tuple[pd.DataFrame, ...]],
        run: Run,
    ) -> None:
        torch.set_num_threads(recipe.runtime.num_threads)
        torch.manual_seed(seed_from(recipe.seed, "weights"))
        self.fabric, self.recipe, self.data, self.stage_data, self.run = fabric, recipe, data, stage_data, run
        self.detector = DetectorModel(recipe.model).to(fabric.device)
        self.events = EventWriter(run.tensorboard_folder) if fabric.is_global_zero else None
        self.interruption = Interruption()
        self.optimiser: torch.optim.Optimizer | None = None
        self.progress, self.restored, self.best = Progress(), dict[str, Tensor](), dict[str, Tensor]()
        self.frozen_source: FeatureSource | None = None
        self._resume()
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        """Put back what was saved; a new run begins with the weights of another one where the recipe says so."""
        state = load_state(self.run.state_folder)
        if state is None:
            if self.recipe.start_from is not None:
                taken, there_are = begin_with(self.detector, self.recipe.start_from)
                progress.say(f"begins with {taken} of {there_are} tensors of {self.recipe.start_from}")
            return
        self.detector.load_state_dict(state.weights)
        self.progress, self.restored, self.best = state.progress, state.moments, state.best
        if state.progress.scaler:
            self.fabric.strategy.precision.load_state_dict(state.progress.scaler)

    def fit(self) -> None:
        """Do what is left of the run."""
        with self.interruption.collected():
            try:
                self._fit()
            except KeyboardInterrupt:
                self._save()
                done = self.progress
                number = min(done.stage, len(self.recipe.schedule) - 1)
                progress.say(
                    f"stopped in stage {self.recipe.schedule[number].name}, epoch {done.epoch + 1}, after batch {done.step}; "
                    f"nothing is lost: the same command with --resume continues {self.run.path}"
                )
                raise

    def _fit(self) -> None:
        for number in range(self.progress.stage, len(self.recipe.schedule)):
            self._stage(number, self.recipe.schedule[number])
        with self.interruption.allowed():
            found = self._validation(self.recipe.schedule[-1], self._source())
        if self.fabric.is_global_zero:
            finish_model(self.detector, found, self.data, self.recipe, self.run)
        if self.events is not None:
            self.events.close()
        self.fabric.barrier()

    def _stage(self, number: int, stage: StageSettings) -> None:
        """Train one stage from where it stands, and restore its best weights."""
        if self.recipe.batches.pairs:
            paired, fakes = count_paired(self.stage_data[stage.name][0])
            progress.say(
                f"stage {stage.name}: {paired} of {fakes} fakes are drawn beside the video they were made from"
            )
        folder = self.run.stage_folder(number, stage.name)
        learning = self._open(stage)
        patience = self.recipe.early_stopping.patience
        while self.progress.epoch < stage.epochs:
            if self.progress.step == 0 and self._open_more(stage):
                learning = self._open(stage)
            if self.progress.waited >= patience:
                break
            started = time.monotonic()
            self._epoch(learning, stage)
            self._judge(learning, stage, started)
            self._save_when_late()
        self._finish_stage(stage, folder)

    def _open_more(self, stage: StageSettings) -> bool:
        """Open the parts whose time has come; early stopping begins to count anew."""
        done = self.progress
        come = {number for number, _ in done.opened}
        due = [
            number
            for number, opening in enumerate(stage.openings)
            if number not in come
            and (
                (opening.epoch is not None and done.epoch >= opening.epoch)
                or (opening.plateau is not None and done.waited >= opening.plateau)
            )
        ]
        for number in due:
            done.opened.append((number, done.epoch))
            done.waited = 0
            progress.say(f"stage {stage.name}: opens {', '.join(stage.openings[number].train)}")
        return bool(due)

    def _open(self, stage: StageSettings) -> _Learning:
        """Open the parts of the stage, and make their optimiser with the moments it had."""
        kept = moments(self.detector, self.optimiser) if self.optimiser is not None else self.restored
        groups = open_parts(self.detector, stage, dict(self.progress.opened))
        set_modes(self.detector, training=False)
        settings = self.recipe.optimiser
        # In half precision a fused optimiser would unscale gradients that were unscaled for clipping.
        fused = self.recipe.runtime.precision != "16-mixed"
        self.optimiser = torch.optim.AdamW(
            [{"params": group.parameters, "lr": group.lr} for group in groups],
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
        restore_moments(kept, self.detector, self.optimiser)
        model, wrapped = self.fabric.setup(self.detector, self.optimiser)
        followers: list[Tensor] = []
        if stage.objective == "joint":
            heads = (self.detector.video_head, self.detector.audio_head)
            followers = [weight for head in heads for weight in head.parameters() if weight.requires_grad]
        apart = {id(weight) for weight in followers}
        others: list[Tensor] = [weight for group in groups for weight in group.parameters if id(weight) not in apart]
        return _Learning(model, wrapped, groups, (others, followers), self._source())

    def _source(self) -> FeatureSource:
        """Return where features come from; the key of kept ones hashes all frozen weights: made anew only when these moved."""
        if any(weight.requires_grad for weight in self.detector.video.parameters()):
            self.frozen_source = None
            return feature_source(self.detector, self.data.store, self.recipe)
        if self.frozen_source is None:
            self.frozen_source = feature_source(self.detector, self.data.store, self.recipe)
        return self.frozen_source

    def _epoch(self, learning: _Learning, stage: StageSettings) -> None:
        """Train what is left of the epoch."""
        done, settings = self.progress, self.recipe.batches
        clips = self.stage_data[stage.name][0]
        view = done.epoch % self.recipe.augmentation.views
        weights = class_weights(clips) if settings.class_weights else (1.0, 1.0)
        batches = epoch_batches(clips, settings, self.recipe.seed, stage.name, done.epoch, done.hardness)
        mine = [share_of_batch(rows, settings.clips) for rows in batches]
        with self.interruption.allowed():
            learning.source.announce(np.unique(np.concatenate(mine)), view)
        facts = clips.set_index("row")
        set_modes(self.detector, training=True)
        name = f"stage {stage.name}, epoch {done.epoch + 1} of {stage.epochs}"
        with progress.task(name, len(batches), "batch") as task:
            task.advance(done.step)
            while done.step < len(batches):
                rows = mine[done.step]
                self._set_rates(learning, stage, done.epoch * len(batches) + done.step, len(batches))
                torch.manual_seed(
                    seed_from(self.recipe.seed, "step", stage.name, done.epoch, done.step, self.fabric.global_rank)
                )
                values = self._step(learning, stage, facts.loc[rows], rows, view, weights)
                for key, value in values.items():
                    done.sums[key] = done.sums.get(key, 0.0) + value / len(batches)
                done.step += 1
                task.advance(1, loss=f"{values['loss']:.3f}")
                self._between_steps()

    def _set_rates(self, learning: _Learning, stage: StageSettings, step: int, steps_per_epoch: int) -> None:
        for group, opened in zip(learning.optimiser.param_groups, learning.groups, strict=True):
            group["lr"] = opened.lr_at(step, steps_per_epoch, stage.epochs)

    def _step(
        self,
        learning: _Learning,
        stage: StageSettings,
        facts: pd.DataFrame,
        rows: Rows,
        view: int,
        weights: tuple[float, float],
    ) -> dict[str, float]:
        """Learn from one batch; return the terms of its loss."""
        only = ONLY[stage.objective]
        features = learning.source.batch(rows, view, only)
        known = labels_of(facts, weights, features.has_audio)
        features, known = mixed(features, known, self.recipe.mixing)
        features = drop_modalities(features, stage.modality_dropout, known.says_which)
        output = learning.model(features, follow=stage.objective == "joint", only=only)
        learned = batch_loss(output, features, known, stage, self.recipe.losses)
        values = self._over_processes(learned)
        if not np.isfinite(list(values.values())).all():
            raise DivergedError(self._diverged(stage, "the loss", facts))
        learning.optimiser.zero_grad()
        self.fabric.backward(learned.to_learn)
        self._clip(learning, stage, facts)
        learning.optimiser.step()
        if self.recipe.batches.hard_examples:
            self.progress.note_losses(
                from_all_processes(list(zip(facts["video_id"], learned.hardness.tolist(), strict=True)))
            )
        values.pop("to_learn")
        return values

    def _over_processes(self, learned: Learned) -> dict[str, float]:
        """Return the terms as means over processes, and take note when any of these was asked to stop."""
        named = {**learned.terms, "to_learn": learned.to_learn.detach()}
        asked = torch.tensor(float(self.interruption.wanted), device=learned.to_learn.device)
        both = sum_over_processes(torch.stack([*(value.float() for value in named.values()), asked]))
        *means, num_asked = both.tolist()
        self.interruption.wanted = num_asked > 0
        return {name: value / self.fabric.world_size for name, value in zip(named, means, strict=True)}

    def _clip(self, learning: _Learning, stage: StageSettings, facts: pd.DataFrame) -> None:
        self.fabric.strategy.precision.unscale_gradients(learning.optimiser.optimizer)
        limit = self.recipe.optimiser.clip_norm or float("inf")
        for parameters in learning.clipped:
            norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
            scaled = self.recipe.runtime.precision == "16-mixed"  # there the scaler leaves such a step out
            if not scaled and not torch.isfinite(norm):
                raise DivergedError(self._diverged(stage, "the gradient", facts))

    def _diverged(self, stage: StageSettings, what: str, facts: pd.DataFrame) -> str:
        names = ", ".join(dict.fromkeys(f"{row.video_id} at {row.start_s:g} s" for row in facts.itertuples()))
        where = f"stage {stage.name}, epoch {self.progress.epoch + 1}, batch {self.progress.step + 1}"
        return f"{where}: {what} is not finite; try a lower learning rate, or look at these clips: {names}"

    def _between_steps(self) -> None:
        """Keep the state when it is time, and stop when asked."""
        every = self.recipe.runtime.save_every_steps
        if every is not None and self.progress.step % every == 0:
            self._save()
        self._save_when_late()
        self.interruption.check()

    def _save_when_late(self) -> None:
        if time.monotonic() - self.saved_at >= self.recipe.runtime.save_every_s:
            self._save()

    def _save(self) -> None:
        """Keep the state to resume from."""
        if not self.fabric.is_global_zero:
            return
        kept = self.restored if self.optimiser is None else moments(self.detector, self.optimiser)
        self.progress.scaler = self._scaler()
        save_state(self.run.state_folder, self.progress, self.detector, self.best, kept)
        self.saved_at = time.monotonic()

    def _scaler(self) -> dict[str, Any]:
        """Return the state of the loss scaler, which goes on from stage to stage; empty without half precision."""
        return dict(self.fabric.strategy.precision.state_dict())

    def _validation(self, stage: StageSettings, source: FeatureSource) -> Validation:
        return validate(self.detector, source, self.stage_data[stage.name][1], stage.objective, self.recipe)

    def _judge(self, learning: _Learning, stage: StageSettings, started: float) -> None:
        """Validate, keep the best weights, count patience, and write the epoch down."""
        with self.interruption.allowed():
            found = self._validation(stage, learning.source)
        done, stopping = self.progress, self.recipe.early_stopping
        if (found.auc, -found.loss) > (done.best_auc, -done.best_loss):
            done.best_auc, done.best_loss, done.best_epoch = found.auc, found.loss, done.epoch
            self.best = learning_weights(self.detector, stage)
        rises = found.auc > done.reference_auc + stopping.min_delta
        ties = found.auc >= done.best_auc and found.loss < done.reference_loss * (1 - stopping.min_loss_drop)
        if rises or ties:
            done.reference_auc, done.reference_loss = max(found.auc, done.reference_auc), found.loss
        done.waited = 0 if rises or ties else done.waited + 1
        row = history_row(stage.name, done.epoch, done.sums, found)
        done.history.append(row)
        done.next_epoch()
        if self.events is not None:
            self.run.write_history(done.history)
            self.events.write(row, len(done.history))
        self._tell(stage, row, time.monotonic() - started)

    def _tell(self, stage: StageSettings, row: dict[str, Any], seconds: float) -> None:
        losses = f"loss {row['train_loss']:.3f}, validation loss {row['val_loss']:.3f}"
        each = ", ".join(f"{name} {auc:.2f}" for name, auc in row["val_auc_per_generator"].items())
        left = seconds * (stage.epochs - row["epoch"])
        time_left = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        progress.say(
            f"stage {stage.name}, epoch {row['epoch']}: {losses}, AUC {row['val_auc']:.3f} ({each}); "
            f"at most {time_left} left in this stage"
        )

    def _finish_stage(self, stage: StageSettings, folder: Path) -> None:
        """Restore the best weights, say what to make of the stage, and move on."""
        self.detector.load_state_dict(self.best, strict=False)
        done, stopping = self.progress, self.recipe.early_stopping
        rows = [row for row in done.history if row["stage"] == stage.name]
        best = rows[done.best_epoch]
        verdict = decision(best, stopping.stop_run_below)
        if self.fabric.is_global_zero:
            with atomic_path(folder / WEIGHTS_FILE) as temporary:
                save_tensors(temporary, self.detector.state_dict())
            summary = StageSummary(stage.name, done.epoch, done.best_epoch, done.best_auc, verdict.name)
            write_json(folder / "stage.json", vars(summary))
            progress.say(stage_table(best, done.epoch, verdict))
        if verdict.ends_run:
            raise StageStoppedError(f"{self.run.path}: stage {stage.name}: {verdict.reason}")
        self.progress, self.optimiser, self.restored, self.best = done.next_stage(), None, {}, {}
        self.progress.scaler = self._scaler()
        if self.fabric.is_global_zero:
            save_stage_start(self.run.state_folder, self.progress, folder / WEIGHTS_FILE)
        self.saved_at = time.monotonic()
