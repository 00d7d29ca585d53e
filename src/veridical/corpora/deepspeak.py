"""DeepSpeak v1 and v2 (Barrington, Bohacek, Farid, 2024–25): consenting people before their webcams, with sound.

The lists name files without folders, so the archives may be unpacked anywhere below the root.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/annotations-real.csv, annotations-fake.csv, annotations-split-def.csv, and the videos anywhere below ROOT"
)
SYNTHETIC_VOICES = frozenset({"elevenlabs", "playht", "speechify"})
"""Values of `audio-config` that are known to be a cloned voice; any other leaves the audio label unknown."""
Row = Mapping[str, str]


class DeepSpeakOptions(Settings):
    """Options of the DeepSpeak adapter."""

    dataset: str = "deepspeak"
    """Name of the corpus in the manifest."""
    lists: Path | None = None
    """Folder with the annotations, when it is not the root."""


def read(root: Path, options: DeepSpeakOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a DeepSpeak folder."""
    base = options.lists or root
    split = {row["identity"]: row["split"] for row in _rows(base, "split-def", ("identity", "split"))}
    lists = {
        0: _rows(base, "real", ("identity", "video-file")),
        1: _rows(base, "fake", ("video-file", "identity-source", "identity-target")),
    }
    files = _by_name(list_files(root), notes)
    for label, rows in lists.items():
        found = 0
        for row in rows:
            path = files.pop(Path(row["video-file"]).stem, None)
            if path is None:
                notes.warn("listed but not there, left out", row["video-file"])
                continue
            found += 1
            yield _video(root, path, label, row, split, options.dataset, notes)
        notes.expect(f"listed as {'fake' if label else 'real'}", len(rows), found)
    if files:
        notes.warn("in no list, left out", min(files.values()), len(files))


def _rows(base: Path, kind: str, needed: tuple[str, ...]) -> list[Row]:
    path = find_list(base, [f"annotations-{kind}.csv"], ("", ".official_files"))
    if path is None:
        raise UsageError(f"{base}: no annotations-{kind}.csv; expected {LAYOUT}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(
                f"{path}: columns missing: {', '.join(missing)}; found {', '.join(reader.fieldnames or ())}"
            )
        return [{str(name): str(value or "").strip() for name, value in row.items()} for row in reader]


def _by_name(files: list[str], notes: Notes) -> dict[str, str]:
    named: dict[str, str] = {}
    for path in files:
        if named.setdefault(Path(path).stem, path) != path:
            notes.warn("two files of one name, the first counts", path)
    return named


def _video(root: Path, path: str, label: int, row: Row, split: Mapping[str, str], dataset: str, notes: Notes) -> Video:
    names = [row["identity-target"], row["identity-source"]] if label else [row["identity"]]
    people = [name for name in names if name]
    attributes = dict(zip(("target", "donor"), [f"deepspeak/{name}" for name in people], strict=False))
    places = {split.get(name) for name in people}
    if len(places) > 1:
        notes.warn("its people are in different official splits, left without one", path)
    elif places and (place := places.pop()) in ("train", "test"):
        attributes["official_split"] = place
    else:
        notes.warn("its people are in no official split", path)
    for name in ("kind", "audio-config"):
        if row.get(name):
            attributes[name.replace("-", "_")] = row[name]
    audio: int | None = 0
    if label:
        audio = 1 if row.get("audio-config", "").lower() in SYNTHETIC_VOICES else None
    return Video(
        dataset=dataset, video_id=f"{dataset}/{Path(path).stem}", path=absolute(root, path), label=label,
        visual_label=label, audio_label=audio, generator=(row.get("engine") or None) if label else None,
        identities=tuple(f"deepspeak/{name}" for name in dict.fromkeys(people)), attributes=attributes,
    )  # fmt: skip


ADAPTER = Adapter("DeepSpeak", read, DeepSpeakOptions, LAYOUT)
