"""The model folder: weights, and everything that must be known to use them. JSON and safetensors only, no pickle."""

from __future__ import annotations

from dataclasses import dataclass
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
from veridical.models import DetectorModel, ModelSettings
from veridical.settings import Settings, parse_settings

SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
FACTS_FILE = "model.json"


class Calibration(Settings):
    """How a joint logit becomes a probability: p = sigmoid(logit / temperature)."""

    temperature: float
    fitted_on: str
    """Which data, for example `val, mean logit per video`."""
    num_videos: int
    ece_before: float | None = None
    ece_after: float | None = None
    """Expected calibration error on the same validation videos; optimistic, since fitted there."""


class ModelFacts(Settings):
    """What `model.json` holds beside the weights."""

    name: str
    veridical_version: str
    members: int = Field(1, ge=1)
    """Detectors in the folder; of several the mean logit is the verdict."""
    inputs: InputSettings
    preparation: StoreSettings
    """How the clips it learned from were cut; prediction cuts alike."""
    detector: ModelSettings
    calibration: Calibration | None
    operating_points: dict[str, float]
    """Thresholds on the raw mean logit of a video, chosen on validation."""
    fingerprints: dict[str, str]
    """Of the store, the manifest and the recipe that it was trained on."""
    licence: str
    pretrained: dict[str, str]
    """Where the starting weights came from."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A detector and its facts; of an ensemble the first member, and the others beside it."""

    detector: DetectorModel
    facts: ModelFacts
    others: tuple[DetectorModel, ...] = ()

    @property
    def members(self) -> tuple[DetectorModel, ...]:
        """All detectors."""
        return (self.detector, *self.others)

    def to(self, device: torch.device) -> Bundle:
        """Return the bundle with its detectors on a device."""
        first, *others = (member.to(device) for member in self.members)
        return Bundle(first, self.facts, tuple(others))


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the model folder atomically."""
    members = bundle.members
    with atomic_folder(folder) as temporary:
        for number, member in enumerate(members):
            save_tensors(temporary / _weights_file(number, len(members)), member.state_dict())
        values = bundle.facts.model_copy(update={"members": len(members)}).model_dump(mode="json")
        facts = {"kind": "model", "schema_version": SCHEMA_VERSION, **values}
        write_json(temporary / FACTS_FILE, facts)


def load_bundle(folder: Path) -> Bundle:
    """Load a model folder, or the `model` folder of a run; its parts are frozen and in evaluation mode.

    Raises:
        ArtefactError: when it is missing, damaged or of another schema version.
    """
    folder = Path(folder)
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
    return Bundle(members[0], facts, tuple(members[1:]))


def _weights_file(number: int, count: int) -> str:
    return WEIGHTS_FILE if count == 1 else f"model-{number}.safetensors"


def load_weights(path: Path, detector: DetectorModel) -> None:
    """Read all tensors into a detector.

    Raises:
        ArtefactError: when the file is missing, damaged, or holds other tensors than the detector has.
    """
    try:
        detector.load_state_dict(load_file(path))
    except FileNotFoundError:  # safetensors says so of files that may not be read, too
        raise ArtefactError(f"{path}: {'you may not read it' if path.exists() else 'not found'}") from None
    except (SafetensorError, RuntimeError) as error:
        raise ArtefactError(f"{path}: does not fit this model ({str(error).splitlines()[0]})") from None


def describe_pretrained(settings: ModelSettings) -> dict[str, str]:
    """Say where the starting weights of each encoder came from."""
    return {
        "video": f"{settings.video.backbone}: {settings.video.weights}",
        "audio": f"{settings.audio.kind}: {settings.audio.weights}",
    }


def current_version() -> str:
    """Return the version of this package, and of torch, which can change scores in the last digits."""
    return f"{veridical.__version__} (torch {torch.__version__})"
