"""AV-Deepfake1M (Cai et al., ACM MM 2024) and ++ (2025): partial forgeries with separate times for picture and sound.

The labels of the test set are hidden: its videos are listed without labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.lavdf import rows_of, segments
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = "ROOT/train_metadata.json and ROOT/train/**/*.mp4, the same for val; ROOT/test_files.txt and ROOT/test/*.mp4"
LABELS = {"real": (0, 0), "visual_modified": (1, 0), "audio_modified": (0, 1), "both_modified": (1, 1)}
"""modify_type → (visual label, audio label)."""
_NEEDED = ("file", "modify_type", "visual_fake_segments", "audio_fake_segments")
_PERSON = re.compile(r"id\d{5}")
_FPS, _AUDIO_RATE_HZ = 25.0, 16_000


class AVDeepfake1MOptions(Settings):
    """Options of the AV-Deepfake1M adapter."""

    dataset: str = "avdeepfake1m"
    """Name of the corpus in the manifest."""
    lists: Path | None = None
    """Folder with train_metadata.json and the other lists, when it is not the root."""


def read(root: Path, options: AVDeepfake1MOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of an AV-Deepfake1M folder."""
    base, files = options.lists or root, set(list_files(root))
    lists = {name: find_list(base, [f"{name}_metadata.json"], ("", "metadata")) for name in ("train", "val", "test")}
    hidden = find_list(base, ["test_files.txt"], ("", "metadata"))
    if not any(lists.values()) and hidden is None:
        raise UsageError(f"{base}: no train_metadata.json, val_metadata.json or test_files.txt; expected {LAYOUT}")
    for split, path in lists.items():
        if path is None:
            continue
        rows = rows_of(path, _NEEDED)
        before = len(files)
        for number, row in enumerate(rows):
            place = _take(split, row["file"], files)
            if place is None:
                notes.warn(f"listed in {path.name} but not there, left out", row["file"])
            else:
                yield _video(root, path, number, row, (split, place), options.dataset)
        notes.expect(f"listed in {path.name}", len(rows), before - len(files))
    if hidden is not None and lists["test"] is None:
        yield from _unlabelled(root, hidden, files, options.dataset, notes)
    if files:
        notes.warn("in no list, left out", min(files), len(files))


def _take(split: str, file: str, files: set[str]) -> str | None:
    """Return where a listed file lies, and cross it off; None when it is not there."""
    for candidate in (f"{split}/{file}", file, f"{split}/{split}/{file}"):
        if candidate in files:
            files.discard(candidate)
            return candidate
    return None


def _video(root: Path, path: Path, number: int, row: Mapping[str, Any], place: tuple[str, str], dataset: str) -> Video:
    split, file = place
    if row["modify_type"] not in LABELS:
        valid = ", ".join(LABELS)
        raise UsageError(f"{path}, row {number}: modify_type is {row['modify_type']!r}, expected one of {valid}")
    visual, audio = LABELS[row["modify_type"]]
    forged = [*segments(path, number, row["visual_fake_segments"], ("visual",))]
    forged += segments(path, number, row["audio_fake_segments"], ("audio",))
    attributes = {"official_split": split, "modify_type": row["modify_type"]}
    if row.get("original"):
        attributes["original"] = f"{dataset}/{split}/{row['original'].rpartition('.')[0]}"
    people = _people(row["file"])
    attributes |= {"target": people[0]} if people else {}
    frames = row.get("video_frames")
    return Video(
        dataset=dataset, video_id=f"{dataset}/{split}/{row['file'].rpartition('.')[0]}", path=absolute(root, file),
        label=int(visual or audio), visual_label=visual, audio_label=audio, generator=_generator(row),
        identities=people, attributes=attributes, fake_segments=tuple(forged),
        has_audio=None if row.get("audio_frames") is None else row["audio_frames"] > 0,
        duration_s=None if frames is None else frames / _FPS,
    )  # fmt: skip


def _people(file: str) -> tuple[str, ...]:
    """Return the VoxCeleb2 person whose folder the file is in; nobody for sources that do not name people."""
    return tuple(f"voxceleb2/{part}" for part in file.split("/") if _PERSON.fullmatch(part))[:1]


def _generator(row: Mapping[str, Any]) -> str | None:
    if row["modify_type"] == "real":
        return None
    models = [str(row[name]) for name in ("video_model", "audio_model") if row.get(name)]
    return ":".join([row["modify_type"], *models])


def _unlabelled(root: Path, path: Path, files: set[str], dataset: str, notes: Notes) -> Iterator[Video]:
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = 0
    for name in names:
        place = _take("test", name, files)
        if place is None:
            notes.warn(f"listed in {path.name} but not there, left out", name)
            continue
        found += 1
        yield Video(
            dataset=dataset, video_id=f"{dataset}/test/{name.rpartition('.')[0]}", path=absolute(root, place),
            attributes={"official_split": "test"},
        )  # fmt: skip
    notes.expect(f"listed in {path.name}", len(names), found)


ADAPTER = Adapter("AV-Deepfake1M", read, AVDeepfake1MOptions, LAYOUT)
