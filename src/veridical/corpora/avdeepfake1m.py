"""AV-Deepfake1M (Cai et al., ACM MM 2024) and ++ (2025): partial forgeries with separate times for video and audio.

The labels of the test sets are hidden: their videos are listed without labels. Thousands of rows of the released list
repeat a forged segment of one stream in the list of the other, genuine stream; these are dropped and counted. The
`original` of a real video is its source outside the corpus; that of a fake, or of a part cut from a real, is in the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veridical.artefacts import FakeSegment, Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.listing import Row, distinct, json_rows, segments
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/train_metadata.json and ROOT/train/**/*.mp4, the same for val; ROOT/test_files.txt and ROOT/test/*.mp4 "
    "(++: testA, testB)"
)
LABELS = {"real": (0, 0), "visual_modified": (1, 0), "audio_modified": (0, 1), "both_modified": (1, 1)}
"""modify_type → (visual label, audio label)."""
_NEEDED = ("file", "modify_type", "visual_fake_segments", "audio_fake_segments")
_HIDDEN = ("test", "testA", "testB")
_VOXCELEB_PERSON, _SILENT_PERSON = re.compile(r"id\d{5}"), re.compile(r"subject_\d+")
_SOURCES = ("vox_celeb_2", "lrs3", "silent_videos")
"""Folders of ++ by where the footage comes from; the first release has VoxCeleb2 only, without this folder."""
_FPS = 25.0


class AVDeepfake1MOptions(Settings):
    """Options of the AV-Deepfake1M adapter."""

    dataset: str | None = None
    """Name of the corpus in the manifest; avdeepfake1m or avdeepfake1m++ when not given."""
    lists: Path | None = None
    """Folder with train_metadata.json and the other lists, when it is not the root."""


def read(root: Path, options: AVDeepfake1MOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of an AV-Deepfake1M folder."""
    base, files = options.lists or root, set(list_files(root, notes=notes))
    lists = {name: find_list(base, [f"{name}_metadata.json"], ("", "metadata")) for name in ("train", "val", "test")}
    hidden = {name: find_list(base, [f"{name}_files.txt"], ("", "metadata")) for name in _HIDDEN}
    if not any(lists.values()) and not any(hidden.values()):
        raise UsageError(f"{base}: no train_metadata.json, val_metadata.json or test_files.txt; expected {LAYOUT}")
    for split, path in lists.items():
        if path is None:
            continue
        rows = json_rows(path, _NEEDED)
        notes.release = _release(rows, hidden)
        listed = _Listed(root, path, split, options.dataset or notes.release, {row["file"] for row in rows})
        before = len(files)
        for number, row in distinct(path, rows, "file", notes):
            place = _take(split, row["file"], files)
            if place is None:
                notes.warn(f"listed in {path.name} but missing, left out", row["file"])
            else:
                yield _video(listed, number, row, place, notes)
        notes.expect(f"listed in {path.name}", len(rows), before - len(files))
        for name in listed.names:  # what is listed twice was passed over, and is not "in no list"
            _take(split, name, files)
    for name, path in hidden.items():
        if path is not None and (name != "test" or lists["test"] is None):
            notes.release = notes.release or _release([], hidden)
            yield from _unlabelled(root, path, name, files, options.dataset or notes.release, notes)
    notes.rest("in no list, left out", files)


@dataclass(frozen=True)
class _Listed:
    """One list of labelled videos, and where they lie."""

    root: Path
    path: Path
    split: str
    dataset: str
    names: set[str]
    """All files of the list."""


def _release(rows: Sequence[Row], hidden: Mapping[str, Path | None]) -> str:
    plus = bool(rows) and "video_model" in rows[0]
    return "avdeepfake1m++" if plus or hidden["testA"] or hidden["testB"] else "avdeepfake1m"


def _take(split: str, file: str, files: set[str]) -> str | None:
    """Return where a listed file lies, and remove it from `files`; None when it is missing."""
    for candidate in (f"{split}/{file}", file, f"{split}/{split}/{file}"):
        if candidate in files:
            files.discard(candidate)
            return candidate
    return None


def _video(listed: _Listed, number: int, row: Row, place: str, notes: Notes) -> Video:
    if row["modify_type"] not in LABELS:
        valid = ", ".join(LABELS)
        raise UsageError(f"{listed.path}, row {number}: modify_type is {row['modify_type']!r}, expected one of {valid}")
    visual, audio = LABELS[row["modify_type"]]
    file, prefix = row["file"], f"{listed.dataset}/{listed.split}"
    attributes = {"official_split": listed.split, "modify_type": row["modify_type"], **_source(file)}
    original = row.get("original")
    if original and original in listed.names:
        attributes["original"] = f"{prefix}/{original.rpartition('.')[0]}"
    elif visual or audio:
        notes.warn("fake whose original is not in its list", file)
    people = _people(file)
    attributes |= {"target": people[0]} if people else {}
    frames = row.get("video_frames")
    return Video(
        dataset=listed.dataset, video_id=f"{prefix}/{file.rpartition('.')[0]}", path=absolute(listed.root, place),
        label=int(visual or audio), visual_label=visual, audio_label=audio, generator=_generator(row),
        identities=people, attributes=attributes, fake_segments=_segments(listed.path, number, row, notes),
        has_audio=None if row.get("audio_frames") is None else row["audio_frames"] > 0,
        duration_s=None if frames is None else frames / _FPS,
    )  # fmt: skip


def _segments(path: Path, number: int, row: Row, notes: Notes) -> tuple[FakeSegment, ...]:
    """Return the forged segments of the streams that were forged; those of the others are mistakes of the list."""
    forgeries: list[FakeSegment] = []
    for modality, forged in zip(("visual", "audio"), LABELS[row["modify_type"]], strict=True):
        times = row[f"{modality}_fake_segments"]
        if forged:
            forgeries += segments(path, number, times, (modality,))
        elif times:
            notes.warn("fake segments of a stream that is genuine by modify_type, not used", row["file"])
    return tuple(forgeries)


def _source(file: str) -> dict[str, str]:
    """Return where the footage comes from, if the folder shows it."""
    return {"source": folder} if (folder := file.split("/")[0]) in _SOURCES else {}


def _people(file: str) -> tuple[str, ...]:
    """Return the person shown: a VoxCeleb2 id, the talk of an LRS3 clip, a subject of the silent videos; or nobody."""
    parts = file.split("/")
    if parts[0] == "lrs3" and len(parts) > 2:
        return (f"lrs3/{parts[1]}",)
    if parts[0] == "silent_videos" and (match := _SILENT_PERSON.match(parts[1])):
        return (f"avdeepfake1m/{match[0]}",)
    return tuple(f"voxceleb2/{part}" for part in parts if _VOXCELEB_PERSON.fullmatch(part))[:1]


def _generator(row: Row) -> str | None:
    if row["modify_type"] == "real":
        return None
    models = [str(row[name]) for name in ("video_model", "audio_model") if row.get(name)]
    return ":".join([row["modify_type"], *models])


def _unlabelled(root: Path, path: Path, folder: str, files: set[str], dataset: str, notes: Notes) -> Iterator[Video]:
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    present = 0
    for name in names:
        place = _take(folder, name, files)
        if place is None:
            notes.warn(f"listed in {path.name} but missing, left out", name)
            continue
        present += 1
        yield Video(
            dataset=dataset, video_id=f"{dataset}/{folder}/{name.rpartition('.')[0]}", path=absolute(root, place),
            attributes={"official_split": "test"},
        )  # fmt: skip
    notes.expect(f"listed in {path.name}", len(names), present)


ADAPTER = Adapter("AV-Deepfake1M", read, AVDeepfake1MOptions, LAYOUT)
