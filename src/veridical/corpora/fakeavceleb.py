"""FakeAVCeleb (Khalid et al., NeurIPS datasets 2021): video and audio forged separately, with race and gender.

`meta_data.csv` has ten columns; in the release the last one, the folder, has an empty header and `path` is the bare
file name; a common copy names them `filename` and `path`. Two rows may name the same file with different methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from veridical.artefacts import Video, numbered_rows, read_csv
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = "ROOT/meta_data.csv and ROOT/RealVideo-RealAudio/<race>/<gender>/<id>/*.mp4 (and the three other categories)"
LIST_FILE = "meta_data.csv"
LABELS = {
    "RealVideo-RealAudio": (0, 0),
    "RealVideo-FakeAudio": (0, 1),
    "FakeVideo-RealAudio": (1, 0),
    "FakeVideo-FakeAudio": (1, 1),
}
"""Category → (visual label, audio label)."""
_NEEDED = ("source", "target1", "target2", "method", "type", "race", "gender", "path")
_PERSON = re.compile(r"(?<![A-Za-z0-9])id\d{5}(?![A-Za-z0-9])")
Row = Mapping[str, str]


class FakeAVCelebOptions(Settings):
    """Options of the FakeAVCeleb adapter."""

    dataset: str = "fakeavceleb"
    """Name of the corpus in the manifest."""
    lists: Path | None = None
    """Folder with meta_data.csv, when it is not the root."""


def read(root: Path, options: FakeAVCelebOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a FakeAVCeleb folder."""
    path = find_list(options.lists or root, [LIST_FILE], ("", "FakeAVCeleb_v1.2", "FakeAVCeleb"))
    if path is None:
        raise UsageError(f"{options.lists or root}: no {LIST_FILE}; expected {LAYOUT}")
    files = list_files(root, notes=notes)
    on_disk = {key: file for file in files if (key := _from_category(file)) is not None}
    if not on_disk:
        raise UsageError(f"{root}: no folder RealVideo-RealAudio with videos; expected {LAYOUT}")
    methods, first = _rows_by_file(path)
    for key, row in first.items():
        if key not in on_disk:
            notes.warn("listed but missing, left out", key)
            continue
        if len(methods[key]) > 1:
            notes.warn("listed twice with different methods, generator unknown", f"{key}: {', '.join(methods[key])}")
        yield _video(absolute(root, on_disk[key]), key, row, methods[key], options.dataset, notes)
    notes.rest("not in meta_data.csv, left out", set(on_disk) - set(first))


def _rows_by_file(path: Path) -> tuple[dict[str, list[str]], dict[str, Row]]:
    """Return the distinct methods and the first row of each file."""
    methods: dict[str, list[str]] = {}
    first: dict[str, Row] = {}
    table = read_csv(path, _NEEDED)
    table = table.rename(columns=_file_and_folder(path, list(table.columns)))
    for line, row in numbered_rows(table):
        if row["type"] not in LABELS:
            raise UsageError(f"{path}, row {line}: type is {row['type']!r}, expected one of {', '.join(LABELS)}")
        key = _from_category(f"{row['folder']}/{row['file']}")
        if key is None or not key.startswith(row["type"] + "/"):
            raise UsageError(f"{path}, row {line}: folder {row['folder']!r} is not below {row['type']}")
        first.setdefault(key, row)
        known = methods.setdefault(key, [])
        if row["method"] not in known:
            known.append(row["method"])
    return methods, first


def _file_and_folder(path: Path, names: list[str]) -> dict[str, str]:
    """Return how the columns of file and folder are called → `file` and `folder`."""
    if ("" in names) == ("filename" in names):
        raise UsageError(
            f"{path}: expected the columns {','.join(_NEEDED)}, and filename or one without a name; found {names}"
        )
    return {"": "folder", "path": "file"} if "" in names else {"filename": "file", "path": "folder"}


def _from_category(path: str) -> str | None:
    """Return a path from its category on; None when it has none."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part in LABELS:
            return "/".join(parts[index:])
    return None


def _video(path: str, key: str, row: Row, methods: list[str], dataset: str, notes: Notes) -> Video:
    visual, audio = LABELS[row["type"]]
    label = int(visual or audio)
    # The target columns are pieces of the file name and miss people in it (`…_faceswap_id06158_wavtolip.mp4`).
    named = [row["source"], row["target1"], row["target2"], *_PERSON.findall(row["file"].replace("_", " "))]
    people = list(dict.fromkeys(f"voxceleb2/{name}" for name in named if _PERSON.fullmatch(name)))
    if not _PERSON.fullmatch(row["target1"]) and row["target1"] != "-":
        notes.warn("target1 names no person, not used", f"{row['target1']} of {key}")
    attributes = {"target": people[0], "category": row["type"], "race": row["race"], "gender": row["gender"]}
    if len(people) > 1:
        attributes["donor"] = people[1]
    if len(methods) > 1:
        attributes["methods"] = ";".join(methods)
    generator = row["method"] if label and len(methods) == 1 else None
    return Video(
        dataset=dataset, video_id=f"{dataset}/{key.rpartition('.')[0]}", path=path, label=label, visual_label=visual,
        audio_label=audio, generator=generator, identities=tuple(people), attributes=attributes,
    )  # fmt: skip


ADAPTER = Adapter("FakeAVCeleb", read, FakeAVCelebOptions, LAYOUT)
