"""Computes the fixed-length features of all utterances and variants, part by part, and reads them back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthetic_speech import whisper
from synthetic_speech.features import FEATURES
from synthetic_speech.material import Material, Utterance

Array = npt.NDArray[np.float64]
USED = ("lfcc", "bands", "fine", "modulation", "residual")


def extract(material: Path, out: Path, encoder: Path) -> None:
    """Write one file of features for each part of the material that has none yet."""
    out.mkdir(parents=True, exist_ok=True)
    model = whisper.load(encoder)
    for part in sorted(material.glob("part_*.npz")):
        target = out / part.name
        if target.exists():
            continue
        sounds = _sounds(part)
        features = {name: np.stack([FEATURES[name](s) for s in sounds]).astype(np.float32) for name in USED}
        states = np.stack([whisper.pooled(model, s) for s in sounds])
        features |= {f"whisper{level}": states[:, level] for level in range(states.shape[1])}
        unfinished = out / "unfinished.npz"
        np.savez(unfinished, **features)
        unfinished.rename(target)


def _sounds(part: Path) -> list[npt.NDArray[np.float32]]:
    with np.load(part) as file:
        rows, sound = json.loads(str(file["utterances"])), file["sound"]
    material = Material([Utterance(**row) for row in rows], sound)
    return [material.samples(i) for i in range(len(rows))]


def read(features: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """Return the named features of all parts, rows as in `Material.load`."""
    parts = [np.load(path) for path in sorted(features.glob("part_*.npz"))]
    return {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in names}


if __name__ == "__main__":
    here = Path(__file__).parents[1] / "cache"
    extract(here / "material", here / "features", here / "whisper_early_2.safetensors")
