"""The run folder: where a training run keeps what it did, and what is read back from it."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from veridical.artefacts import atomic_path, check_folder, lock_for_writing, read_json, write_json
from veridical.errors import ArtefactError, UsageError
from veridical.training.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Run:
    """Names inside a run folder."""

    path: Path

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def data_path(self) -> Path:
        """Fingerprint of the clips, labels and splits that it learns from."""
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
        """What is needed to resume."""
        return self.path / "state"

    @property
    def tensorboard_folder(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    def stage_folder(self, number: int, name: str) -> Path:
        """Best weights of a stage and what they reached."""
        return self.path / "stages" / f"{number + 1}-{name}"

    def refuse_other(self, recipe: Recipe, data_fingerprint: str, resume: bool) -> None:
        """Check that the folder is new or empty, or holds this run.

        Raises:
            UsageError: when the folder holds a run and `resume` is False, the recipe or the data differ, or the folder
                holds something else.
        """
        if not check_folder(self.path, "a run", self.recipe_path.name, also=[self.data_path.name]):
            return
        if not resume:
            raise UsageError(f"{self.path}: holds a run already; add --resume to continue it, or choose another name")
        differing = _differing(comparable(self.recipe()), comparable(recipe))
        if differing:
            raise UsageError(
                f"{self.path}: was started with another recipe: {'; '.join(differing)}; resume with {self.recipe_path}"
            )
        if not self.data_path.exists():
            raise UsageError(
                f"{self.data_path}: not found, so it cannot be told whether the data are the same; train anew"
            )
        if read_json(self.data_path)["fingerprint"] != data_fingerprint:
            raise UsageError(
                f"{self.path}: was started on other clips, labels or splits than the store and the manifest have now; "
                "train into another folder"
            )

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep other processes from training in this folder.

        Raises:
            UsageError: when one does.
        """
        handle = lock_for_writing(self.path, "run")
        try:
            yield
        finally:
            os.close(handle)

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
    """Return what must agree when a run is resumed: everything but where data lie and how it runs."""
    values = recipe.model_dump(mode="json")
    for name in ("data", "runtime"):
        values.pop(name)
    return values


def _differing(mine: Any, theirs: Any, name: str = "") -> list[str]:
    """Return the settings in which two recipes differ, each with both values."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys = [*mine, *(key for key in theirs if key not in mine)]
        return [
            line
            for key in keys
            for line in _differing(mine.get(key), theirs.get(key), f"{name}.{key}" if name else str(key))
        ]
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        return [
            line
            for number, pair in enumerate(zip(mine, theirs, strict=True))
            for line in _differing(*pair, f"{name}.{number}")
        ]
    return [] if mine == theirs else [f"{name} was {mine!r}, is now {theirs!r}"]
