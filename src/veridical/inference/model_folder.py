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
from veridical.artefacts import atomic_folder, read_json, write_json
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
    operating_points: dict[str, float]
    """Thresholds on the raw logit of a video, chosen on validation."""
    fingerprints: dict[str, str]
    """Fingerprints of the store, the manifest and the recipe of training."""
    licence: str
    pretrained: dict[str, str]
    """Origin of the initial weights, by encoder."""


def write_model(folder: Path, facts: ModelFacts, members: Sequence[DetectorModel]) -> None:
    """Write the model folder atomically."""
    with atomic_folder(folder) as temporary:
        for number, member in enumerate(members):
            save_tensors(temporary / _weights_file(number, len(members)), member.state_dict())
        values = {"kind": "model", "schema_version": SCHEMA_VERSION, **facts.model_dump(mode="json")}
        write_json(temporary / FACTS_FILE, values)


def read_model(folder: Path) -> tuple[ModelFacts, tuple[DetectorModel, ...]]:
    """Read a model folder, or the `model` folder of a run; the networks are frozen and in evaluation mode.

    Raises:
        ArtefactError: when it is missing, damaged or of another schema version.
    """
    if not (folder / FACTS_FILE).exists() and (folder / "model" / FACTS_FILE).exists():
        folder = folder / "model"
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
    return facts, tuple(members)


def _weights_file(number: int, count: int) -> str:
    return WEIGHTS_FILE if count == 1 else f"model-{number}.safetensors"


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
