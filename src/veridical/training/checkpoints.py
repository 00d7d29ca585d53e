"""State of a run between two steps: tensors in safetensors, the rest in JSON, no pickle.

`progress.json` is replaced last and names the tensor file that belongs to it, so that a process which is killed at any moment
leaves either the state before or the state after. Between two stages that file is the model of the stage that has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from veridical.artefacts import atomic_path, read_json, write_json
from veridical.devices import save_tensors
from veridical.errors import ArtefactError
from veridical.models import DetectorModel, trainable_names

PROGRESS_FILE = "progress.json"
SCHEMA_VERSION = 2
_MODEL, _BEST = "model:", "best:"
_SLOTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Progress:
    """Where a run stands: the next step to do, and the best of the stage so far."""

    stage: int = 0
    epoch: int = 0
    """Epoch of the stage that is under way, or next."""
    step: int = 0
    """Next batch of the epoch."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sum of each loss term over the batches of the epoch so far."""
    best_auc: float = -1.0
    best_loss: float = 1e9
    best_epoch: int = -1
    reference_auc: float = -1.0
    """AUC that the next improvement is measured from."""
    reference_loss: float = 1e9
    """Validation loss that the next improvement at an equal AUC is measured from."""
    waited: int = 0
    """Epochs since the last improvement that counts."""
    opened: list[tuple[int, int]] = field(default_factory=list)
    """Openings of the stage that have come: number, epoch."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the loss scaler of half precision."""
    losses: dict[str, tuple[float, int]] = field(default_factory=dict)
    """With hard-example mining: sum and number of the clips' losses of each video in the epoch so far."""
    hardness: dict[str, float] = field(default_factory=dict)
    """With hard-example mining: mean loss of each video in the epoch before."""
    history: list[dict[str, Any]] = field(default_factory=list)

    def note_losses(self, losses: Iterable[tuple[str, float]]) -> None:
        """Remember how hard clips were: video, loss."""
        for video, loss in losses:
            total, count = self.losses.get(video, (0.0, 0))
            self.losses[video] = (total + loss, count + 1)

    def next_epoch(self) -> None:
        """Go to the start of the following epoch; what was not drawn in this one stays as hard as it was."""
        self.hardness.update({video: total / count for video, (total, count) in self.losses.items()})
        self.epoch, self.step, self.sums, self.losses = self.epoch + 1, 0, {}, {}

    def next_stage(self) -> Progress:
        """Return the start of the following stage."""
        return Progress(stage=self.stage + 1, history=self.history)


@dataclass(frozen=True)
class SavedState:
    """What was read back."""

    progress: Progress
    weights: dict[str, Tensor]
    """Of the detector."""
    best: dict[str, Tensor]
    """What the stage learns, as it was at its best epoch so far; empty before the first."""
    moments: dict[str, Tensor]
    """Of the optimiser, as `<slot>:<name>`."""


def save_state(
    folder: Path, progress: Progress, detector: DetectorModel, best: dict[str, Tensor], moments: dict[str, Tensor]
) -> None:
    """Write everything that resuming needs.

    Args:
        folder: Of the state.
        progress: Where the run stands.
        detector: Its weights.
        best: What the stage learns, as it was at its best epoch so far.
        moments: Of the optimiser, from `moments`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{progress.stage}-{progress.epoch}-{progress.step}.safetensors"
    named = ((_MODEL, detector.state_dict()), (_BEST, best))
    tensors = {f"{prefix}{key}": value for prefix, values in named for key, value in values.items()}
    with atomic_path(folder / name) as temporary:
        save_tensors(temporary, {**tensors, **moments})
    _replace_progress(folder, progress, name)


def save_stage_start(folder: Path, progress: Progress, weights: Path) -> None:
    """Write what resuming needs at the start of a stage.

    Args:
        folder: Of the state.
        progress: Where the run stands.
        weights: File of the whole model inside the run, as the stage before left it; it has to stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _replace_progress(folder, progress, weights.relative_to(folder.parent).as_posix())


def _replace_progress(folder: Path, progress: Progress, tensors: str) -> None:
    write_json(folder / PROGRESS_FILE, {"schema_version": SCHEMA_VERSION, "tensors": tensors, **asdict(progress)})
    for path in folder.glob("*.safetensors*"):
        if path.name != tensors:
            path.unlink(missing_ok=True)
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def load_state(folder: Path) -> SavedState | None:
    """Return the saved state; None when nothing was saved yet.

    Raises:
        ArtefactError: when it is damaged.
    """
    if not (folder / PROGRESS_FILE).exists():
        return None
    values = read_json(folder / PROGRESS_FILE)
    if values.pop("schema_version", None) != SCHEMA_VERSION:
        raise ArtefactError(f"{folder}: the state to resume from is of another version; train into another folder")
    try:
        name = values.pop("tensors")
        between = "/" in name
        found = load_file((folder.parent if between else folder) / name)
        parts = (found, {}, {}) if between else _parted(found)
        values["opened"] = [(number, epoch) for number, epoch in values["opened"]]
        values["losses"] = {video: (total, count) for video, (total, count) in values["losses"].items()}
        return SavedState(Progress(**values), *parts)
    except (KeyError, TypeError, OSError, SafetensorError) as error:
        raise ArtefactError(
            f"{folder}: the state to resume from is damaged ({error}); train into another folder"
        ) from None


def _parted(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights, the best ones, and the moments."""
    weights, best = (
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        for prefix in (_MODEL, _BEST)
    )
    return weights, best, {name: value for name, value in tensors.items() if name.startswith(_SLOTS)}


def moments(detector: DetectorModel, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments of the optimiser by the names of the parameters: `<slot>:<name>`."""
    named = dict(detector.named_parameters())
    return {
        f"{slot}:{name}": torch.as_tensor(value).detach().cpu().contiguous().clone()
        for name in trainable_names(detector)
        for slot, value in optimiser.state.get(named[name], {}).items()
    }


def restore_moments(tensors: dict[str, Tensor], detector: DetectorModel, optimiser: torch.optim.Optimizer) -> None:
    """Put moments back into an optimiser over the trainable parameters; those without any begin anew."""
    named = dict(detector.named_parameters())
    for name in trainable_names(detector):
        weight = named[name]
        found = {slot: tensors[f"{slot}:{name}"] for slot in _SLOTS if f"{slot}:{name}" in tensors}
        # A fused optimiser wants all of it on the device, and moments that lie in memory as their weight does.
        if found:
            where = weight.device if optimiser.defaults["fused"] else "cpu"
            optimiser.state[weight] = {
                slot: tensor.to(where, copy=True) if slot == "step" else torch.empty_like(weight).copy_(tensor)
                for slot, tensor in found.items()
            }
