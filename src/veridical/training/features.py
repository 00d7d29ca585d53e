"""Frozen-feature reuse: what frozen parts say about a clip is computed once per view and kept on disk.

Both sources answer the same question, so a run with reuse equals one without, within floating point. The kept arrays lie beside
the store in a folder named for everything that decides their content: store, frozen weights, inputs, augmentation, seed.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from veridical import progress
from veridical.artefacts import fingerprint, write_json
from veridical.clips import ClipStore
from veridical.clips.inputs import ClipInputs, clip_inputs, view_inputs
from veridical.inference.ahead import map_ahead
from veridical.models import Detector, Features
from veridical.training.recipe import Recipe

Rows = npt.NDArray[np.int64]
CHUNK = 16
"""Clips encoded at a time."""
FEATURES_VERSION = 1
"""To be raised when the same settings come to give other features, so that what was kept before is not used again."""


class FeatureSource(Protocol):
    """Where batches of features come from. `view` None is the unvaried middle crop of validation."""

    def batch(self, rows: Rows, view: int | None) -> Features:
        """Return the features of clips by store row."""

    def announce(self, rows: Rows, view: int | None) -> None:
        """Say what will be asked for soon, so that it can be computed with progress."""


class DirectFeatures:
    """Decodes, varies and encodes at every request."""

    def __init__(self, detector: Detector, store: ClipStore, recipe: Recipe) -> None:
        self.detector, self.store, self.recipe = detector, store, recipe

    def announce(self, rows: Rows, view: int | None) -> None:
        """Do nothing: there is nothing to keep."""

    def inputs(self, rows: Rows, view: int | None) -> ClipInputs:
        """Return the tensors that go into the model."""
        clips = self.store.take(rows.tolist(), self.recipe.inputs.contents)
        if view is None:
            return clip_inputs(clips, self.recipe.inputs)
        return view_inputs(clips, self.recipe.inputs, self.recipe.augmentation, self.recipe.seed, view)

    def encode(self, inputs: ClipInputs) -> Features:
        """Run the early parts on prepared tensors; with gradients only where a backbone block is open."""
        device = self.detector.video.mean.device
        frames, samples, has_audio = (tensor.to(device) for tensor in (inputs.frames, inputs.samples, inputs.has_audio))
        open_backbone = any(parameter.requires_grad for parameter in self.detector.video.parameters())
        with nullcontext() if open_backbone and torch.is_grad_enabled() else torch.no_grad():
            return self.detector.features(frames, samples, has_audio)

    def batch(self, rows: Rows, view: int | None) -> Features:
        """Return the features of clips by store row."""
        return self.encode(self.inputs(rows, view))


class ReusedFeatures:
    """Computes what is missing, keeps it, and reads it back."""

    def __init__(self, direct: DirectFeatures, folder: Path) -> None:
        self.direct = direct
        self.folder = folder / frozen_fingerprint(direct.detector, direct.store, direct.recipe)
        self._views: dict[int | None, _KeptView] = {}

    def announce(self, rows: Rows, view: int | None) -> None:
        """Compute what is not there yet."""
        kept = self._view(view)
        missing = np.unique(rows[~kept.done[rows]])
        if not len(missing):
            return
        name = "middle crop" if view is None else f"view {view}"
        chunks = np.array_split(missing, -(-len(missing) // CHUNK))
        with progress.task(f"features ({name})", total=len(missing), unit="clip") as task:
            encoded = map_ahead(
                lambda chunk: self._encoded(chunk, view), chunks, self.direct.recipe.runtime.num_threads
            )
            for chunk, features in zip(chunks, encoded, strict=True):
                kept.put(chunk, features)
                task.advance(len(chunk))

    def _encoded(self, rows: Rows, view: int | None) -> Features:
        with torch.no_grad():  # gradient mode belongs to the thread
            return self.direct.batch(rows, view)

    def batch(self, rows: Rows, view: int | None) -> Features:
        """Return the features of clips by store row."""
        self.announce(rows, view)
        return self._view(view).get(rows, self.direct.detector.video.mean.device)

    def _view(self, view: int | None) -> _KeptView:
        if view not in self._views:
            name = "middle" if view is None else f"view-{view}"
            self._views[view] = _KeptView(self.folder / name, len(self.direct.store))
        return self._views[view]


class _KeptView:
    """Memory-mapped arrays of one view, a row per clip of the store; rows are marked done after they are written.

    Several runs may fill the same view at once: they write into the same files, and what one did not see of another it computes.
    """

    def __init__(self, folder: Path, num_clips: int) -> None:
        self.folder, self.num_clips = folder, num_clips
        self.arrays: dict[str, np.memmap[tuple[int, ...], np.dtype[np.float32]]] = {}
        self.done = np.zeros(num_clips, bool)
        self.has_audio = np.zeros(num_clips, bool)
        marks = folder / "done.npz"
        if marks.exists():
            with np.load(marks) as found:
                self.done, self.has_audio = found["done"], found["has_audio"]
            self.arrays = {
                name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+") for name in ("video", "audio")
            }

    def put(self, rows: Rows, features: Features) -> None:
        """Keep a chunk; after a crash whatever was not marked is computed again."""
        values = {"video": features.video, "audio": features.audio}
        with _alone(self.folder):
            for name, tensor in values.items():
                if name not in self.arrays:
                    path, shape = self.folder / f"{name}.npy", (self.num_clips, *tensor.shape[1:])
                    if not path.exists():
                        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
                    self.arrays[name] = np.lib.format.open_memmap(path, mode="r+")
                self.arrays[name][rows] = tensor.float().cpu().numpy()
                self.arrays[name].flush()
            self.done[rows] = True
            self.has_audio[rows] = features.has_audio.cpu().numpy()
            temporary = self.folder / ".done.tmp.npz"
            np.savez(temporary, done=self.done, has_audio=self.has_audio)
            temporary.replace(self.folder / "done.npz")

    def get(self, rows: Rows, device: torch.device) -> Features:
        """Read a batch back."""
        video, audio = (torch.from_numpy(np.asarray(self.arrays[name][rows])).to(device) for name in ("video", "audio"))
        has_audio = torch.from_numpy(self.has_audio[rows]).to(device)
        return Features(video, audio, torch.ones(len(rows), dtype=torch.bool, device=device), has_audio)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes from writing into a folder for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def frozen_fingerprint(detector: Detector, store: ClipStore, recipe: Recipe) -> str:
    """Return what decides the features: weights of the frozen parts, store, inputs, augmentation, seed."""
    audio = detector.audio
    late = {id(parameter) for block in audio.blocks[audio.cut :] for parameter in block.parameters()}
    digest = hashlib.blake2b(digest_size=16)
    for module in (detector.video, audio):
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
        "video": recipe.model.video.model_dump(),
        "audio": recipe.model.audio.model_dump(),
        "seed": recipe.seed,
    }
    return fingerprint(facts)


def feature_source(detector: Detector, store: ClipStore, recipe: Recipe) -> FeatureSource:
    """Return the source that the recipe asks for."""
    direct = DirectFeatures(detector, store, recipe)
    if not recipe.runtime.reuse_features:
        return direct
    folder = store.path.with_name(store.path.name + ".features")
    folder.mkdir(exist_ok=True)
    write_json(
        folder / "about.json", {"what": "features of frozen model parts, safe to delete", "store": store.path.name}
    )
    return ReusedFeatures(direct, folder)
