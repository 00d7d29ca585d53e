"""State of a run between epochs: tensors in safetensors, the rest in JSON, written to a temporary folder and renamed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from veridical.artefacts import atomic_folder, read_json, write_json
from veridical.inference.bundle import load_weights, save_weights
from veridical.models import Detector
from veridical.models.freezing import trainable_names

_SLOTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass
class Progress:
    """Where a run stands: the next epoch to do, and the best of the stage so far."""

    stage: int = 0
    epoch: int = 0
    """Next epoch of the stage."""
    best_auc: float = -1.0
    best_loss: float = 1e9
    best_epoch: int = -1
    reference_auc: float = -1.0
    """AUC that the next improvement is measured from."""
    waited: int = 0
    """Epochs since the last improvement that counts."""
    history: list[dict[str, Any]] = field(default_factory=list)

    def next_stage(self) -> Progress:
        """Return the start of the following stage."""
        return Progress(stage=self.stage + 1, history=self.history)


def save_state(folder: Path, progress: Progress, detector: Detector, optimiser: torch.optim.Optimizer | None) -> None:
    """Write everything that resuming needs."""
    with atomic_folder(folder) as temporary:
        save_weights(temporary / "model.safetensors", detector)
        save_file(_optimiser_tensors(detector, optimiser) if optimiser else {}, temporary / "optimiser.safetensors")
        write_json(temporary / "progress.json", asdict(progress))


def load_progress(folder: Path) -> Progress | None:
    """Return where the run stands; None when nothing was saved yet."""
    path = folder / "progress.json"
    return Progress(**read_json(path)) if path.exists() else None


def restore_model(folder: Path, detector: Detector) -> None:
    """Load the saved weights."""
    load_weights(folder / "model.safetensors", detector)


def restore_optimiser(folder: Path, detector: Detector, optimiser: torch.optim.Optimizer) -> None:
    """Load the saved moments into an optimiser over the same trainable parameters."""
    tensors = load_file(folder / "optimiser.safetensors")
    named = dict(detector.named_parameters())
    for name in trainable_names(detector):
        found = {slot: tensors[f"{slot}:{name}"] for slot in _SLOTS if f"{slot}:{name}" in tensors}
        if found:
            parameter = named[name]
            optimiser.state[parameter] = {
                slot: tensor if slot == "step" else tensor.to(parameter.device) for slot, tensor in found.items()
            }


def _optimiser_tensors(detector: Detector, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    named = dict(detector.named_parameters())
    tensors = {}
    for name in trainable_names(detector):
        for slot, value in optimiser.state.get(named[name], {}).items():
            tensors[f"{slot}:{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    return tensors
