"""State of a run between two steps, to resume from: tensors in safetensors, the rest in JSON, no pickle.

`progress.json` is replaced last and names the tensor file that belongs to it, so that a process which is killed at any moment
leaves either the previous state or the new one. Between two stages that file is the model of the stage that has ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from veridical.artefacts import atomic_path, read_json, write_json
from veridical.devices import save_tensors
from veridical.errors import ArtefactError
from veridical.inference import WEIGHTS_FILE
from veridical.models import DetectorModel
from veridical.training.distributed import RuntimeSettings
from veridical.training.optimiser import SLOTS, moments_of
from veridical.training.selection import Selection

PROGRESS_FILE = "progress.json"
SCHEMA_VERSION = 3
MODEL, BEST = "model:", "best:"


@dataclass
class Position:
    """The next step of a run, and what the steps so far have to be remembered for."""

    stage: int = 0
    epoch: int = 0
    """Epoch of the stage that is under way, or next."""
    step: int = 0
    """Next batch of the epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Mean of each loss term over the epoch, as far as its batches are done."""
    selection: Selection = field(default_factory=Selection)
    opened: list[tuple[int, int]] = field(default_factory=list)
    """Openings of the stage that have taken place: number, epoch."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the loss scaler of half precision."""
    losses: dict[str, tuple[float, int]] = field(default_factory=dict)
    """With hard-example mining: sum and number of the clips' losses of each video in the epoch so far."""
    hardness: dict[str, float] = field(default_factory=dict)
    """With hard-example mining: mean loss of each video in the previous epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)

    def note_losses(self, losses: Iterable[tuple[str, float]]) -> None:
        """Remember how hard clips were: video, loss."""
        for video, loss in losses:
            total, count = self.losses.get(video, (0.0, 0))
            self.losses[video] = (total + loss, count + 1)

    def next_epoch(self) -> None:
        """Go to the start of the next epoch; videos that were not drawn in this one stay as hard as they were."""
        self.hardness.update({video: total / count for video, (total, count) in self.losses.items()})
        self.epoch, self.step, self.sums, self.losses = self.epoch + 1, 0, {}, {}

    def next_stage(self) -> Position:
        """Return the start of the next stage."""
        return Position(stage=self.stage + 1, history=self.history)


@dataclass
class TrainingState:
    """All that changes while a run trains."""

    model: DetectorModel
    progress: Position = field(default_factory=Position)
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights that the stage trains, as they were at its best epoch so far; empty before the first."""
    optimiser: torch.optim.Optimizer | None = None
    restored: dict[str, Tensor] = field(default_factory=dict)
    """Moments for the optimiser, as `<slot>:<name>`, until there is one."""

    @property
    def moments(self) -> dict[str, Tensor]:
        """Moments of the optimiser, as `<slot>:<name>`."""
        return self.restored if self.optimiser is None else moments_of(self.model, self.optimiser)

    def next_stage(self) -> None:
        """Go to the start of the next stage."""
        self.progress, self.best, self.optimiser, self.restored = self.progress.next_stage(), {}, None, {}


class Checkpoints:
    """Saves the state of a run, and restores it.

    Args:
        folder: Of the state, inside the run.
        runtime: How often to save.
        fabric: Its first process writes; it holds the loss scaler of half precision.
    """

    def __init__(self, folder: Path, runtime: RuntimeSettings, fabric: Fabric) -> None:
        self.folder, self.runtime, self.fabric = folder, runtime, fabric
        self.saved_at = time.monotonic()

    def save_if_due(self, state: TrainingState, after_step: bool = False) -> None:
        """Save when the interval set in `runtime` (seconds or steps) has passed."""
        every = self.runtime.save_every_steps
        due = after_step and every is not None and state.progress.step % every == 0
        if due or time.monotonic() - self.saved_at >= self.runtime.save_every_s:
            self.save(state)

    def save(self, state: TrainingState) -> None:
        """Write everything that resuming needs."""
        if not self.fabric.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        done = state.progress
        name = f"{done.stage}-{done.epoch}-{done.step}.safetensors"
        named = ((MODEL, state.model.state_dict()), (BEST, state.best))
        tensors = {f"{prefix}{key}": value for prefix, values in named for key, value in values.items()}
        with atomic_path(self.folder / name) as temporary:
            save_tensors(temporary, {**tensors, **state.moments})
        self._replace_progress(done, name)

    def save_stage_start(self, state: TrainingState, weights: Path) -> None:
        """Write what resuming needs at the start of a stage.

        Args:
            state: At the start of the stage.
            weights: File of the whole model inside the run, as the previous stage left it; it has to stay.
        """
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace_progress(state.progress, weights.relative_to(self.folder.parent).as_posix())

    def _scaler(self) -> dict[str, Any]:
        """Return the state of the loss scaler, which goes on from stage to stage; empty without half precision."""
        return dict(self.fabric.strategy.precision.state_dict())

    def _replace_progress(self, progress: Position, tensors: str) -> None:
        progress.scaler = self._scaler()
        values = {"schema_version": SCHEMA_VERSION, "tensors": tensors, **asdict(progress)}
        write_json(self.folder / PROGRESS_FILE, values)
        for path in (*self.folder.glob("*.safetensors*"), *self.folder.glob(".*.tmp")):
            if path.name != tensors:
                path.unlink(missing_ok=True)
        self.saved_at = time.monotonic()

    def restore(self, state: TrainingState) -> bool:
        """Put the saved state back; return whether there was one.

        Raises:
            ArtefactError: when it is damaged.
        """
        if not (self.folder / PROGRESS_FILE).exists():
            return False
        values = read_json(self.folder / PROGRESS_FILE)
        if values.pop("schema_version", None) != SCHEMA_VERSION:
            raise ArtefactError(
                f"{self.folder}: the saved state is of another version and cannot be resumed; train into another folder"
            )
        try:
            name = values.pop("tensors")
            is_model = "/" in name
            tensors = load_file((self.folder.parent if is_model else self.folder) / name)
            values["selection"] = Selection(**values["selection"])
            values["opened"] = [(number, epoch) for number, epoch in values["opened"]]
            values["losses"] = {video: (total, count) for video, (total, count) in values["losses"].items()}
            state.progress = Position(**values)
            state.model.load_state_dict(tensors if is_model else _with_prefix(tensors, MODEL))
            if state.progress.scaler:
                self.fabric.strategy.precision.load_state_dict(state.progress.scaler)
        except (KeyError, TypeError, OSError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise ArtefactError(
                f"{self.folder}: the saved state is damaged ({reason}); train into another folder"
            ) from None
        if not is_model:
            state.best = _with_prefix(tensors, BEST)
            state.restored = {key: value for key, value in tensors.items() if key.startswith(SLOTS)}
        return True


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def start_from(model: DetectorModel, source: Path) -> tuple[int, int]:
    """Load the weights of another run, or of its model folder, wherever name and shape agree.

    A later phase so continues an earlier one, whatever parts were added since.

    Returns:
        How many tensors were taken over, and how many the model has.

    Raises:
        ArtefactError: when there is no finished model, it is damaged, or nothing of it fits.
    """
    path = next((path for path in (source / WEIGHTS_FILE, source / "model" / WEIGHTS_FILE) if path.exists()), None)
    if path is None:
        raise ArtefactError(f"start_from: no trained model in {source} (no {WEIGHTS_FILE}); name a finished run")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ArtefactError(f"start_from: {path} is damaged ({error})") from None
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise ArtefactError(f"start_from: nothing in {path} fits this model; is it of the same recipe?")
    with torch.no_grad():
        model.load_state_dict({**own, **fitting})
    return len(fitting), len(own)
