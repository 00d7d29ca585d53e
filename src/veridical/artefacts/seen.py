"""What a detector was made with: the videos that it learned from, those that selected and calibrated it, and their people.

Kept as hashes beside the model, so that a later judgement can tell a new video from one that the detector knows, and a model that
is passed on names nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from veridical.artefacts.files import read_json, write_json
from veridical.artefacts.manifest import Manifest
from veridical.errors import ArtefactError

SCHEMA_VERSION = 1
LEARNED, SELECTED, PEOPLE, NEW = "training", "validation", "people", "new"
"""How well a detector knows a video: learned from it; selected or calibrated on it; knows a person in it; not at all."""


@dataclass(frozen=True)
class Known:
    """The videos of one split, all as hashes."""

    videos: Mapping[str, str] = field(default_factory=dict)
    """Dataset and video_id → file (its SHA-256), empty where the file was not hashed."""
    clips: frozenset[str] = frozenset()
    """Content of the first prepared clip of each video."""
    people: frozenset[str] = frozenset()
    """Dataset and identity."""

    @cached_property
    def files(self) -> frozenset[str]:
        """The files."""
        return frozenset(self.videos.values()) - {""}

    def holds(self, video: str, file: str, clip: str) -> bool:
        """Return whether a video is among these: the same file or clip, or the same name unless the files are known to differ."""
        if (file and file in self.files) or (clip and clip in self.clips):
            return True
        return video in self.videos and not (file and self.videos[video])

    def joined(self, other: Known) -> Known:
        """Return the videos of both."""
        return Known({**self.videos, **other.videos}, self.clips | other.clips, self.people | other.people)


@dataclass(frozen=True)
class Seen:
    """What a detector learned from, and what selected its weights, thresholds and temperature."""

    learned: Known
    selected: Known

    @classmethod
    def of(cls, manifest: Manifest, clips: Mapping[str, str]) -> Seen:
        """Return what training on a manifest sees.

        Args:
            manifest: Its train split is learned from, its val split selects.
            clips: video_id → hash of its first clip (`clips.first_clip_hashes`); only these videos count.
        """
        parts = {split: _known(manifest.select(split=split), clips) for split in ("train", "val")}
        return cls(parts["train"], parts["val"])

    @classmethod
    def read(cls, path: Path) -> Seen:
        """Read the file.

        Raises:
            ArtefactError: when it is damaged or of another schema version.
        """
        values = read_json(path)
        if values.get("kind") != "seen" or values.get("schema_version") != SCHEMA_VERSION:
            raise ArtefactError(f"{path}: not a record of the videos of training of schema version {SCHEMA_VERSION}")
        try:
            return cls(*(_from_json(values[name]) for name in ("learned", "selected")))
        except (KeyError, TypeError, AttributeError):
            raise ArtefactError(f"{path}: damaged record of the videos of training; train again") from None

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        values = {"learned": _as_json(self.learned), "selected": _as_json(self.selected)}
        write_json(path, {"kind": "seen", "schema_version": SCHEMA_VERSION, **values})

    def joined(self, other: Seen) -> Seen:
        """Return what either has seen: of an ensemble, or of a model that went on from another one."""
        return Seen(self.learned.joined(other.learned), self.selected.joined(other.selected))

    def compare(self, manifest: Manifest, clips: Mapping[str, str]) -> dict[str, str]:
        """Return video_id → `training`, `validation`, `people` or `new`.

        Args:
            manifest: The videos to judge.
            clips: video_id → hash of its first clip, where it has one.
        """
        people = self.learned.people | self.selected.people
        result = {}
        for video, file, video_id, shown in _hashed(manifest):
            known = self._compare(video, file, clips.get(video_id, ""))
            result[video_id] = PEOPLE if known == NEW and not people.isdisjoint(shown) else known
        return result

    def compare_file(self, sha256: str) -> str:
        """Return `training`, `validation` or `new` for the SHA-256 of a video file."""
        return self._compare("", _hash(sha256), "")

    def _compare(self, video: str, file: str, clip: str) -> str:
        if self.learned.holds(video, file, clip):
            return LEARNED
        return SELECTED if self.selected.holds(video, file, clip) else NEW


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _hashed(manifest: Manifest) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield for each video the hashes of its name and file, its video_id, and the hashes of its people."""
    columns = (manifest.table[name].to_pylist() for name in ("dataset", "video_id", "sha256", "identities"))
    for dataset, video_id, sha256, identities in zip(*columns, strict=True):
        people = [_hash(dataset, person) for person in identities or ()]
        yield _hash(dataset, video_id), _hash(sha256) if sha256 else "", video_id, people


def _known(manifest: Manifest, clips: Mapping[str, str]) -> Known:
    rows = [row for row in _hashed(manifest) if row[2] in clips]
    people = frozenset(person for *_, shown in rows for person in shown)
    return Known({row[0]: row[1] for row in rows}, frozenset(clips[row[2]] for row in rows), people)


def _as_json(known: Known) -> dict[str, Any]:
    return {"videos": dict(sorted(known.videos.items())), "clips": sorted(known.clips), "people": sorted(known.people)}


def _from_json(values: dict[str, Any]) -> Known:
    return Known(dict(values["videos"].items()), frozenset(values["clips"]), frozenset(values["people"]))
