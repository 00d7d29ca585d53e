"""The model folder: weights, and every fact that is needed to use them. JSON and safetensors only, no pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file

import veridical
from veridical.artefacts import Seen, atomic_folder, read_json, write_json
from veridical.clips import StoreSettings
from veridical.devices import save_tensors
from veridical.errors import ArtefactError
from veridical.inputs import InputSettings
from veridical.metrics import Aggregation, Calibration
from veridical.models import DetectorModel, ModelSettings
from veridical.settings import Settings, parse_settings

SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
FACTS_FILE = "model.json"
SEEN_FILE = "seen.json"
"""Hashes of the videos and people of training; models of earlier versions have none."""


class Worth(Settings):
    """What a model is worth: how well its verdict separated the validation videos."""

    auc: float
    """Of the videos' joint logits."""
    low: float | None = None
    """95 % interval by the bootstrap over leak groups, or the people shown; None where there are too few for one."""
    high: float | None = None
    num_videos: int
    num_groups: int

    @property
    def above_chance(self) -> bool:
        """Whether the interval lies above .5, so that the model may give verdicts."""
        return self.low is not None and self.low > 0.5

    def __str__(self) -> str:
        interval = "no interval" if self.low is None or self.high is None else f"95 % {self.low:.2f} to {self.high:.2f}"
        return f"validation AUC {self.auc:.2f} ({interval}; {self.num_videos} videos of {self.num_groups} people or groups)"


class ModelFacts(Settings):
    """What `model.json` says about a model."""

    name: str
    veridical_version: str
    members: int = Field(1, ge=1)
    """Networks in the folder; the logit of an ensemble is the mean of its members'."""
    inputs: InputSettings
    preparation: StoreSettings
    """How the training clips were prepared; prediction prepares videos alike."""
    detector: ModelSettings
    aggregation: Aggregation = Aggregation()
    """From clip logits to a video's; validation, calibration, prediction and evaluation all use it."""
    calibration: Calibration | None
    worth: Worth | None = None
    """On validation; None when an earlier version wrote the model."""
    operating_points: dict[str, float]
    """Thresholds on the raw logit of a video, chosen on validation."""
    fingerprints: dict[str, str]
    """Fingerprints of the store, the manifest and the recipe of training."""
    licence: str
    pretrained: dict[str, str]
    """Origin of the initial weights, by encoder."""


def write_model(folder: Path, facts: ModelFacts, members: Sequence[DetectorModel], seen: Seen | None) -> None:
    """Write the model folder atomically."""
    with atomic_folder(folder) as temporary:
        for number, member in enumerate(members):
            save_tensors(temporary / _weights_file(number, len(members)), member.state_dict())
        values = {"kind": "model", "schema_version": SCHEMA_VERSION, **facts.model_dump(mode="json")}
        if seen is not None:
            seen.write(temporary / SEEN_FILE)
        write_json(temporary / FACTS_FILE, values)


def read_model(folder: Path) -> tuple[ModelFacts, tuple[DetectorModel, ...], Seen | None]:
    """Read a model folder, or the `model` folder of a run; the networks are frozen and in evaluation mode.

    Raises:
        ArtefactError: when it is missing, damaged or of another schema version.
    """
    folder = _model_folder(folder)
    if not (folder / FACTS_FILE).exists():
        raise ArtefactError(f"{folder}: no trained model here (no {FACTS_FILE}); give a run or its model folder")
    values: dict[str, Any] = read_json(folder / FACTS_FILE)
    if values.pop("kind", None) != "model" or values.pop("schema_version", None) != SCHEMA_VERSION:
        raise ArtefactError(f"{folder / FACTS_FILE}: not a model of schema version {SCHEMA_VERSION}")
    facts = parse_settings(ModelFacts, values, str(folder / FACTS_FILE))
    members = []
    for number in range(facts.members):
        members.append(DetectorModel(facts.detector, load_weights=False).eval().requires_grad_(False))
        load_weights(folder / _weights_file(number, facts.members), members[-1])
    return facts, tuple(members), read_seen(folder)


def _model_folder(folder: Path) -> Path:
    """Return the model folder of a run; any other folder as it is."""
    inside = folder / "model"
    return inside if not (folder / FACTS_FILE).exists() and (inside / FACTS_FILE).exists() else folder


def read_seen(folder: Path) -> Seen | None:
    """Return what the model of a folder, or of a run, was trained on; None where an earlier version wrote it."""
    path = _model_folder(folder) / SEEN_FILE
    return Seen.read(path) if path.exists() else None


def _weights_file(number: int, count: int) -> str:
    return WEIGHTS_FILE if count == 1 else f"model-{number}.safetensors"


def read_worth(folder: Path) -> Worth | None:
    """Return what the model of a folder, or of a run, is worth on validation, without loading it; None where unknown."""
    path = _model_folder(folder) / FACTS_FILE
    values = read_json(path).get("worth") if path.exists() else None
    return None if values is None else parse_settings(Worth, values, str(path))


def load_weights(path: Path, detector: DetectorModel) -> None:
    """Read all tensors into a detector.

    Raises:
        ArtefactError: when the file is missing, damaged, or holds other tensors than the detector has.
    """
    try:
        detector.load_state_dict(load_file(path))
    except FileNotFoundError:  # safetensors raises it for unreadable files as well
        raise ArtefactError(f"{path}: {'you may not read it' if path.exists() else 'not found'}") from None
    except (SafetensorError, RuntimeError) as error:
        raise ArtefactError(f"{path}: does not fit this model ({str(error).splitlines()[0]})") from None


def describe_pretrained(settings: ModelSettings) -> dict[str, str]:
    """Return the origin of each encoder's initial weights."""
    return {
        "video": f"{settings.video.backbone}: {settings.video.weights}",
        "audio": f"{settings.audio.kind}: {settings.audio.weights}",
    }


def current_version() -> str:
    """Return the versions of this package and of torch, which can change the last digits of scores."""
    return f"{veridical.__version__} (torch {torch.__version__})"
