"""Reuse of frozen features: the output of frozen parts is computed once per clip and view, and cached on disk.

Both sources give the same features, so a run with reuse equals one without, up to rounding. Cached features lie next to the store
in a Lance table named for everything that determines them: store, frozen weights, inputs, augmentation, seed, precision. On a CPU
every clip is encoded by itself, so that its features depend neither on its batch nor on the cache, and a run that was killed
while it computed features and then resumed ends with the same bits.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veridical import progress
from veridical.artefacts import fingerprint, write_json
from veridical.clips import Clip, ClipStore
from veridical.devices import map_ahead, resolve_precision
from veridical.inference import encode
from veridical.inputs import ClipInputs, clip_inputs, noise_facts, view_inputs
from veridical.models import DetectorModel, Features, Modality
from veridical.training.feature_table import MIDDLE, FeatureTable
from veridical.training.recipe import Recipe

Rows = npt.NDArray[np.int64]
CHUNK = 8
"""Clips read together; on a GPU also encoded together."""
COMMIT_BYTES, COMMIT_S = 64 << 20, 60.0
"""Features are committed to the table when this many bytes wait, or this many seconds have passed."""
FEATURES_VERSION = 3
"""To be raised when the same settings come to give other features, so that older caches are not used."""


class FeatureSource(Protocol):
    """Where batches of features come from. `view` None is the middle crop without augmentation, for validation."""

    def batch(self, rows: Rows, view: int | None, only: Modality | None = None) -> Features:
        """Return the features of clips by store row; with `only` the other modality is empty."""

    def announce(self, rows: Rows, view: int | None) -> None:
        """Announce which clips will be needed soon, so that they can be computed with progress shown."""


class DirectFeatures:
    """Decodes, augments and encodes clips at every request."""

    def __init__(self, model: DetectorModel, store: ClipStore, recipe: Recipe) -> None:
        self.model, self.store, self.recipe = model, store, recipe

    def announce(self, rows: Rows, view: int | None) -> None:
        """Do nothing: there is no cache to fill."""

    def batch(self, rows: Rows, view: int | None, only: Modality | None = None) -> Features:
        """Return the features of clips by store row; with gradients only where a backbone block is open."""
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.model.video.parameters()):
            inputs = self._inputs(self.store.take(rows.tolist(), self.recipe.inputs.contents), view)
            return encode(self.model, inputs, only=only, precision=self.recipe.runtime.precision)
        chunks = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
        return _joined(list(self.each(chunks, view, only)))

    def each(self, chunks: list[Rows], view: int | None, only: Modality | None = None) -> Iterator[Features]:
        """Yield the features of chunks of clips in order, computed in threads, without gradients."""
        return map_ahead(lambda rows: self._frozen(rows, view, only), chunks, self.recipe.runtime.num_threads)

    def _frozen(self, rows: Rows, view: int | None, only: Modality | None) -> Features:
        clips = self.store.take(rows.tolist(), self.recipe.inputs.contents)
        alone = self.model.video.mean.device.type == "cpu"
        batches = [[clip] for clip in clips] if alone else [clips]
        precision = self.recipe.runtime.precision
        with torch.no_grad():  # gradient mode belongs to the thread
            return _joined(
                [encode(self.model, self._inputs(some, view), only=only, precision=precision) for some in batches]
            )

    def _inputs(self, clips: list[Clip], view: int | None) -> ClipInputs:
        if view is None:
            return clip_inputs(clips, self.recipe.inputs)
        return view_inputs(clips, self.recipe.inputs, self.recipe.augmentation, self.recipe.seed, view)


class ReusedFeatures:
    """Computes missing features, caches them, and reads them back."""

    def __init__(self, direct: DirectFeatures, folder: Path) -> None:
        self.direct = direct
        path = folder / f"{frozen_fingerprint(direct.model, direct.store, direct.recipe)}.lance"
        self.table = FeatureTable(path, len(direct.store))

    def announce(self, rows: Rows, view: int | None) -> None:
        """Compute features that are not cached yet."""
        self._fill(rows, view)

    def batch(self, rows: Rows, view: int | None, only: Modality | None = None) -> Features:
        """Return the features of clips by store row."""
        self._fill(rows, view)
        return self.table.get(rows, _number(view), self.direct.model.video.mean.device, only)

    def _fill(self, rows: Rows, view: int | None) -> None:
        if not len(self.table.missing(rows, _number(view))):
            return
        self.table.refresh()  # another process may have computed some of it
        missing = self.table.missing(rows, _number(view))
        if not len(missing):
            return
        name = "middle crop" if view is None else f"view {view}"
        chunks = np.array_split(missing, -(-len(missing) // CHUNK))
        waiting: list[tuple[Rows, Features]] = []
        since = time.monotonic()
        with progress.task(f"features ({name})", total=len(missing), unit="clip") as task:
            for chunk, features in zip(chunks, self.direct.each(chunks, view), strict=True):
                waiting.append((chunk, features))
                task.advance(len(chunk))
                if sum(_bytes(part) for _, part in waiting) > COMMIT_BYTES or time.monotonic() - since > COMMIT_S:
                    self._commit(waiting, view)
                    waiting, since = [], time.monotonic()
        if waiting:
            self._commit(waiting, view)

    def _commit(self, waiting: list[tuple[Rows, Features]], view: int | None) -> None:
        rows = np.concatenate([rows for rows, _ in waiting])
        self.table.put(rows, _number(view), _joined([features for _, features in waiting]))
        self.table.refresh()


def _number(view: int | None) -> int:
    return MIDDLE if view is None else view


def _bytes(features: Features) -> int:
    return sum(part.nbytes for part in features if part is not None)


def _joined(parts: list[Features]) -> Features:
    """Return the features of several groups of clips as one."""
    if len(parts) == 1:
        return parts[0]
    joined: list[Tensor | None] = [
        None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True)
    ]
    return Features(*joined)  # type: ignore[arg-type]  # what is None in one is None in all


def frozen_fingerprint(model: DetectorModel, store: ClipStore, recipe: Recipe) -> str:
    """Return a fingerprint of all that determines the features: frozen weights, store, inputs, augmentation, seed, precision."""
    audio = model.audio
    device = model.video.mean.device
    late = {id(parameter) for block in audio.blocks[audio.cut :] for parameter in block.parameters()}
    digest = hashlib.blake2b(digest_size=16)
    for module in (model.video, audio):
        for name, tensor in module.state_dict(keep_vars=True).items():
            if id(tensor) not in late:
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    facts = {
        "version": FEATURES_VERSION,
        "weights": digest.hexdigest(),
        "store": store.fingerprint,
        "inputs": recipe.inputs.model_dump(),
        "augmentation": recipe.augmentation.model_dump(exclude={"views"}),
        "noise": noise_facts(recipe.augmentation.audio.noise_folder),
        "video": recipe.model.video.model_dump(),
        "audio": recipe.model.audio.model_dump(),
        "seed": recipe.seed,
        "precision": resolve_precision(recipe.runtime.precision, device),
        "device": device.type,
    }
    return fingerprint(facts)


def feature_source(model: DetectorModel, store: ClipStore, recipe: Recipe) -> FeatureSource:
    """Return the source that the recipe asks for; features of an open backbone cannot be cached."""
    direct = DirectFeatures(model, store, recipe)
    is_open = any(weight.requires_grad for weight in model.video.parameters())
    if is_open or not recipe.runtime.reuse_features:
        return direct
    folder = store.path.with_name(store.path.name + ".features")
    folder.mkdir(exist_ok=True)
    write_json(
        folder / "about.json",
        {"what": "cached features of frozen model parts, safe to delete", "store": store.path.name},
    )
    return ReusedFeatures(direct, folder)
