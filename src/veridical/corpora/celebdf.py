"""Celeb-DF v1 and v2 (Li et al., CVPR 2020) and Celeb-DF++ (2025): celebrities and their face swaps, without audio.

The test list has a line per video, `<label> <folder>/<file>`, and there 1 means real. Fakes are named
`id<target>_id<donor>_<recording>.mp4`. There is no official validation set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, find_list, list_files, stem
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/Celeb-real/*.mp4, ROOT/YouTube-real/*.mp4, ROOT/Celeb-synthesis/**/*.mp4, ROOT/List_of_testing_videos.txt"
)
LIST_FILE = "List_of_testing_videos.txt"
REAL_FOLDERS, FAKE_FOLDER = ("Celeb-real", "YouTube-real"), "Celeb-synthesis"
_RELEASES = {"v1": "celebdf_v1", "v2": "celebdf", "++": "celebdf++", None: ""}
_V2_LIST_LENGTH = 518
_PERSON = re.compile(r"(?<![A-Za-z0-9])id(\d+)(?![A-Za-z0-9])")


class CelebDFOptions(Settings):
    """Options of the Celeb-DF adapter."""

    dataset: str | None = None
    """Name of the corpus in the manifest; celebdf, celebdf_v1 or celebdf++ when not given."""
    version: Literal["v1", "v2", "++"] | None = None
    """Which release; when not given, ++ if Celeb-synthesis has folders inside, v2 if the test list has 518 lines."""
    lists: Path | None = None
    """Folder with List_of_testing_videos.txt, when it is not the root."""


def read(root: Path, options: CelebDFOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a Celeb-DF folder."""
    files = list_files(root, notes=notes)
    mine = [path for path in files if path.split("/")[0] in (*REAL_FOLDERS, FAKE_FOLDER) and "/" in path]
    if not mine:
        raise UsageError(f"{root}: no Celeb-DF videos among {len(files)} video files; expected {LAYOUT}")
    notes.rest("outside the corpus's folders, left out", set(files) - set(mine))
    listed = _test_list(options.lists or root, notes)
    version = options.version or _version(mine, listed, notes)
    notes.release = _RELEASES[version]
    dataset = options.dataset or notes.release or "celebdf"
    for path in mine:
        yield _video(root, path, dataset, listed, notes)
    notes.rest("in the test list but missing", set(listed) - set(mine))
    if version is None:
        notes.warn("release unknown, official counts not compared; give --version v1, v2 or ++")


def _test_list(folder: Path, notes: Notes) -> Mapping[str, int]:
    """Return path → label (0 real, 1 fake) of the test videos; in the list itself 1 means real."""
    path = find_list(folder, [LIST_FILE])
    if path is None:
        notes.warn("test list not found, no official split; put it into ROOT or give --lists", LIST_FILE)
        return {}
    listed: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        flag, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if flag not in ("0", "1") or not name:
            raise UsageError(f"{path}, line {number}: expected '<1 real or 0 fake> <folder>/<file>', found {line!r}")
        label = 1 - int(flag)
        if listed.setdefault(name.strip(), label) != label:
            raise UsageError(f"{path}, line {number}: {name.strip()} is listed above with the other label")
    wrong = [name for name, label in listed.items() if label != int(name.startswith(FAKE_FOLDER))]
    if listed and len(wrong) == len(listed):
        raise UsageError(
            f"{path}: all {len(listed)} labels contradict the folders; in this list 1 means real, was it converted?"
        )
    return listed


def _version(files: list[str], listed: Mapping[str, int], notes: Notes) -> str | None:
    if any(path.startswith(FAKE_FOLDER) and path.count("/") > 1 for path in files):
        return "++"
    return "v2" if len(listed) == _V2_LIST_LENGTH else None


def _video(root: Path, path: str, dataset: str, listed: Mapping[str, int], notes: Notes) -> Video:
    """Return the row of one file."""
    folder, label = path.split("/")[0], int(path.startswith(FAKE_FOLDER))
    people = [f"celebdf/id{number}" for number in _PERSON.findall(stem(path).replace("_", " "))]
    attributes = {} if label else {"source": folder}
    if listed:
        attributes["official_split"] = "test" if path in listed else "train"
    if folder != "YouTube-real":
        if len(people) < 1 + label:
            notes.warn("the people cannot be read from the name", path)
        attributes |= dict(zip(("target", "donor"), people, strict=False))
    generator = None
    if label:
        parts = path.split("/")[1:-1]
        generator = parts[-1] if parts else FAKE_FOLDER
        recording = stem(path).rpartition("_")[2]
        if len(people) > 1 and recording.isdigit():
            attributes["original"] = f"{dataset}/Celeb-real/{people[0].partition('/')[2]}_{recording}"
    known: int | None = label
    if listed.get(path, label) != label:
        notes.warn("the test list contradicts the folder, label unknown", path)
        known = None
    return Video(
        dataset=dataset, video_id=f"{dataset}/{path.rpartition('.')[0]}", path=absolute(root, path), label=known,
        visual_label=known, generator=generator, identities=tuple(dict.fromkeys(people)), attributes=attributes,
    )  # fmt: skip


ADAPTER = Adapter("Celeb-DF", read, CelebDFOptions, LAYOUT)
