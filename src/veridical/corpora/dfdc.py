"""DFDC (Dolhansky et al., 2020): training parts with metadata.json, the labelled test set, and the preview set.

A clip has one label for picture and sound together, so what is forged in a fake is unknown. Actors are not named;
clips are tied by their original and by their part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from veridical.artefacts import Video, read_json
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/dfdc_train_part_N/metadata.json beside its videos (ROOT may be one part), ROOT/**/labels.csv with "
    "filename and label "
    "(test set), or ROOT/dataset.json (preview set)"
)
_LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1}
_SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}


class DFDCOptions(Settings):
    """Options of the DFDC adapter."""

    dataset: str = "dfdc"
    """Name of the corpus in the manifest."""


def read(root: Path, options: DFDCOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a DFDC folder."""
    files = set(list_files(root))
    lists = sorted(path for path in list_files(root, frozenset({".json", ".csv"})) if path.count("/") <= 2)
    seen: set[str] = set()
    found = False
    for name in lists:
        kind = PurePosixPath(name).name
        if kind not in ("metadata.json", "labels.csv", "dataset.json"):
            continue
        found = True
        folder = "" if "/" not in name else name.rpartition("/")[0] + "/"
        rows = _csv_rows(root / name) if kind == "labels.csv" else _json_rows(root / name)
        for file, facts in rows.items():
            path = _on_disk(folder, file, files)
            if path is None:
                notes.warn(f"listed in {name} but not there, left out", file)
                continue
            if path in seen:
                notes.warn("in two lists, the first counts", path)
                continue
            seen.add(path)
            yield _video(root, path, folder, facts, options.dataset, kind, notes)
    if not found:
        raise UsageError(f"{root}: no metadata.json, labels.csv or dataset.json; expected {LAYOUT}")
    rest = sorted(files - seen)
    if rest:
        notes.warn("in no list, left out", rest[0], len(rest))


def _json_rows(path: Path) -> Mapping[str, Mapping[str, Any]]:
    rows = read_json(path)
    if not isinstance(rows, dict) or not all(isinstance(facts, dict) and "label" in facts for facts in rows.values()):
        raise UsageError(f'{path}: expected {{"x.mp4": {{"label": "FAKE", …}}, …}}')
    return rows


def _csv_rows(path: Path) -> Mapping[str, Mapping[str, Any]]:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = {"filename", "label"} - set(frame.columns)
    if missing:
        raise UsageError(f"{path}: expected the columns filename and label, found {', '.join(frame.columns)}")
    return {row["filename"]: {"label": row["label"], "split": "test"} for row in frame.to_dict(orient="records")}


def _on_disk(folder: str, file: str, files: set[str]) -> str | None:
    for candidate in (folder + file, folder + "videos/" + file, folder + "test/" + file):
        if candidate in files:
            return candidate
    return None


def _video(
    root: Path, path: str, folder: str, facts: Mapping[str, Any], dataset: str, kind: str, notes: Notes
) -> Video:
    label = _LABELS.get(str(facts["label"]).lower())
    if label is None:
        notes.warn(f"label is {facts['label']!r}, expected REAL or FAKE; unknown", path)
    attributes: dict[str, str] = {}
    original = facts.get("original")
    if original:
        attributes["original"] = f"{dataset}/{PurePosixPath(path).parent / PurePosixPath(original).stem}"
    if kind == "metadata.json" and folder:
        attributes["part"] = f"{dataset}/{folder.rstrip('/')}"
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
