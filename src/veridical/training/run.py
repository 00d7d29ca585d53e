"""The run folder: the files of a training run, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from veridical.artefacts import atomic_path, check_folder, locked, read_json, write_json
from veridical.errors import ArtefactError, UsageError
from veridical.settings import differences
from veridical.training.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Run:
    """A run folder."""

    path: Path

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def data_path(self) -> Path:
        """Fingerprint of the clips, labels and splits that the run learns from."""
        return self.path / "data.json"

    @property
    def metrics_path(self) -> Path:
        """A JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def model_folder(self) -> Path:
        """The finished model; it exists only when training ended well."""
        return self.path / "model"

    @property
    def state_folder(self) -> Path:
        """The state to resume from."""
        return self.path / "state"

    @property
    def tensorboard_folder(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    def stage_folder(self, number: int, name: str) -> Path:
        """Best weights of a stage, and its summary."""
        return self.path / "stages" / f"{number + 1}-{name}"

    def refuse_folder(self, resume: bool) -> bool:
        """Return whether the folder holds a run, after refusing one that cannot be trained into.

        Raises:
            UsageError: when it holds a run and `resume` is False, or something else.
            ArtefactError: when it cannot be written.
        """
        holds_run = check_folder(self.path, "a run", self.recipe_path.name, also=[self.data_path.name])
        if holds_run and not resume:
            raise UsageError(f"{self.path}: already holds a run; add --resume to continue it, or choose another name")
        return holds_run

    def refuse_other(self, recipe: Recipe, data_fingerprint: str, resume: bool) -> None:
        """Refuse a folder that is neither new nor empty, unless it holds this run.

        Raises:
            UsageError: when the folder holds a run and `resume` is False, the recipe or the data differ, or the folder
                holds something else.
        """
        if not self.refuse_folder(resume):
            return
        changed = differences(comparable(self.recipe()), comparable(recipe))
        if changed:
            each = "; ".join(f"{name} was {old!r}, is now {new!r}" for name, (old, new) in changed.items())
            raise UsageError(f"{self.path}: was started with another recipe: {each}; resume with {self.recipe_path}")
        if not self.data_path.exists():
            raise UsageError(
                f"{self.data_path}: not found, so the data cannot be compared with those of the run; train into another folder"
            )
        if read_json(self.data_path)["fingerprint"] != data_fingerprint:
            raise UsageError(
                f"{self.path}: was started on other clips, labels or splits than the store and the manifest have now; "
                "train into another folder"
            )

    @contextmanager
    def locked(self) -> Generator[None]:
        """Lock the folder, so that no other process trains in it.

        Raises:
            UsageError: when another process holds the lock.
        """
        with locked(self.path, "run"):
            yield

    def start(self, recipe: Recipe, data_fingerprint: str) -> None:
        """Make the folder of a new run."""
        write_json(self.data_path, {"fingerprint": data_fingerprint})
        with atomic_path(self.recipe_path) as temporary:
            temporary.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8")

    def recipe(self) -> Recipe:
        """Return the resolved recipe."""
        return read_recipe(self.recipe_path)

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl anew."""
        with atomic_path(self.metrics_path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in history), encoding="utf-8")

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of metrics.jsonl.

        Raises:
            ArtefactError: when there is none yet.
        """
        if not self.metrics_path.exists():
            raise ArtefactError(f"{self.metrics_path}: not found; is {self.path} a run?")
        return [json.loads(line) for line in self.metrics_path.read_text(encoding="utf-8").splitlines()]


def comparable(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that must agree when a run is resumed.

    All but the paths of the data, how it runs, how it is judged, and what is accepted.
    """
    values = recipe.model_dump(mode="json")
    for name in ("data", "runtime", "evaluation"):
        values.pop(name)
    values["early_stopping"].pop("accept_chance")
    return values
