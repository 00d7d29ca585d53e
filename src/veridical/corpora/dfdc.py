"""DFDC (Dolhansky et al., 2020): training parts with metadata.json, the labelled test set, and the preview set.

A clip has one label for video and audio together, so what is forged in a fake is unknown. Actors are not named; clips
are linked by their original and by their part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from veridical.artefacts import Video, read_json
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.listing import Row, csv_rows
from veridical.corpora.tree import absolute, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/dfdc_train_part_N/metadata.json next to its videos (ROOT may be one part), ROOT/**/labels.csv with "
    "filename and label (test set), or ROOT/dataset.json (preview set)"
)
_LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1}
_SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}


class DFDCOptions(Settings):
    """Options of the DFDC adapter."""

    dataset: str = "dfdc"
    """Name of the corpus in the manifest."""


def read(root: Path, options: DFDCOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a DFDC folder."""
    files = set(list_files(root, notes=notes))
    lists = [path for path in list_files(root, frozenset({".json", ".csv"})) if path.count("/") <= 2]
    lists = [path for path in lists if PurePosixPath(path).name in _READERS]
    if not lists:
        raise UsageError(f"{root}: no metadata.json, labels.csv or dataset.json; expected {LAYOUT}")
    listed: dict[str, _Listed] = {}
    for name in lists:
        kind, folder = PurePosixPath(name).name, name.rpartition("/")[0] + "/" if "/" in name else ""
        for file, facts in _READERS[kind](root / name).items():
            path = _on_disk(folder, file, files)
            if path is None:
                notes.warn(f"listed in {name} but missing, left out", file)
                continue
            first = listed.setdefault(path, _Listed(folder, kind, facts))
            if first.facts is facts:
                continue
            if _label(first.facts) == _label(facts):
                notes.warn("in two lists, the first is used", path)
            else:
                notes.warn("in two lists with different labels, label unknown", path)
                listed[path] = replace(first, facts={**first.facts, "label": None})
    for path, entry in listed.items():
        yield _video(root, path, entry, options.dataset, notes)
    notes.rest("in no list, left out", files - set(listed))


@dataclass(frozen=True)
class _Listed:
    """The entry of a video in the first list that names it."""

    folder: str
    """Folder of the list, with a slash at its end; empty for the root."""
    kind: str
    """File name of the list."""
    facts: Row


def _label(facts: Row) -> int | None:
    return _LABELS.get(str(facts["label"]).lower())


def _json_rows(path: Path) -> Mapping[str, Row]:
    rows = read_json(path)
    if not isinstance(rows, dict) or not all(isinstance(facts, dict) and "label" in facts for facts in rows.values()):
        raise UsageError(f'{path}: expected {{"x.mp4": {{"label": "FAKE", …}}, …}}')
    return rows


def _labels(path: Path) -> Mapping[str, Row]:
    rows = csv_rows(path, ("filename", "label"))
    facts = {row["filename"]: {"label": row["label"], "split": "test"} for row in rows}
    twice = [row["filename"] for row in rows if row["label"] != facts[row["filename"]]["label"]]
    if twice:
        raise UsageError(f"{path}: {len(twice)} videos are listed with two labels, for example {min(twice)}")
    return facts


_READERS: dict[str, Callable[[Path], Mapping[str, Row]]] = {
    "metadata.json": _json_rows, "labels.csv": _labels, "dataset.json": _json_rows,
}  # fmt: skip


def _on_disk(folder: str, file: str, files: set[str]) -> str | None:
    for candidate in (folder + file, folder + "videos/" + file, folder + "test/" + file):
        if candidate in files:
            return candidate
    return None


def _video(root: Path, path: str, listed: _Listed, dataset: str, notes: Notes) -> Video:
    facts, label = listed.facts, _label(listed.facts)
    if label is None and facts["label"] is not None:
        notes.warn(f"label is {facts['label']!r}, expected REAL or FAKE; unknown", path)
    attributes: dict[str, str] = {}
    original = facts.get("original")
    if original:
        attributes["original"] = f"{dataset}/{PurePosixPath(path).parent / PurePosixPath(original).stem}"
    if listed.kind == "metadata.json" and listed.folder:
        attributes["part"] = f"{dataset}/{listed.folder.rstrip('/')}"
    official = _SPLITS.get(str(facts.get("split") or facts.get("set") or "").lower())
    if official:
        attributes["official_split"] = official
    ids = [str(facts[name]) for name in ("target_id", "swapped_id") if facts.get(name)]
    if ids:
        attributes |= dict(zip(("target", "donor"), [f"dfdc/{name}" for name in ids], strict=False))
    genuine = 0 if label == 0 else None
    return Video(
        dataset=dataset, video_id=f"{dataset}/{path.rpartition('.')[0]}", path=absolute(root, path), label=label,
        visual_label=genuine, audio_label=genuine, generator="DFDC" if label == 1 else None,
        identities=tuple(f"dfdc/{name}" for name in dict.fromkeys(ids)), attributes=attributes,
    )  # fmt: skip


ADAPTER = Adapter("DFDC", read, DFDCOptions, LAYOUT)
