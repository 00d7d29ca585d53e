"""Fabricated manifests and miniature trees that several tests use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from veridical.artefacts import Manifest, Video

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def _swapped_pairs(
    num_people: int, methods: tuple[str, ...] = METHODS, compressions: tuple[str, ...] = ("c23",)
) -> Manifest:
    videos = []
    for compression in compressions:
        for person in range(num_people):
            target, donor = f"p{person}", f"p{person ^ 1}"
            real = f"ff/{compression}/real/{person:03d}"
            people = {"compression": compression, "identities": (target,), "attributes": {"target": target}}
            videos.append(Video("ff", real, "r.mp4", 0, 0, **people))
            for method in methods:
                videos.append(
                    Video("ff", f"ff/{compression}/{method}/{person:03d}", "f.mp4", 1, 1, generator=method,
                          compression=compression, identities=(target, donor),
                          attributes={"target": target, "donor": donor, "original": real})
                )  # fmt: skip
    return Manifest.from_videos(videos)


def _everyone_with_everyone(num_people: int, per_person: int = 6) -> Manifest:
    videos = []
    for person in range(num_people):
        target = f"p{person}"
        videos.append(
            Video("c", f"c/real/{person}", "r.mp4", 0, 0, 0, identities=(target,), attributes={"target": target})
        )
        for step in range(1, per_person + 1):
            donor = f"p{(person + step) % num_people}"
            videos.append(
                Video("c", f"c/fake/{person}_{donor}", "f.mp4", 1, 1, 0, generator="swap", identities=(target, donor),
                      attributes={"target": target, "donor": donor})
            )  # fmt: skip
    return Manifest.from_videos(videos)


@pytest.fixture(scope="session")
def swapped_pairs() -> Callable[..., Manifest]:
    """Reals of an even number of people, and fakes between neighbours 0–1, 2–3, … in both directions."""
    return _swapped_pairs


@pytest.fixture(scope="session")
def everyone_with_everyone() -> Callable[..., Manifest]:
    """Reals, and fakes in which person p takes the face of p+1, p+2, …: one component holds them all."""
    return _everyone_with_everyone


@pytest.fixture(scope="session")
def touch() -> Callable[[Path, Iterable[str]], None]:
    """Make empty files below a folder."""

    def make(root: Path, names: Iterable[str]) -> None:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


@pytest.fixture(scope="session")
def corpus_lists() -> Path:
    """The folder of real list files, or a skip that says what to set."""
    folder = os.environ.get("VERIDICAL_CORPUS_LISTS")
    if not folder:
        pytest.skip("set VERIDICAL_CORPUS_LISTS to a folder of the corpora's own list files to run this test")
    return Path(folder)
