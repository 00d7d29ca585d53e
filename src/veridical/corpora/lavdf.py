"""LAV-DF (Cai et al., DICTA 2022): partial forgeries of picture, sound or both, with the times that were forged.

Field names as in the authors' loader and in a row of the released list: `original` is null for reals, times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.artefacts import FakeSegment, Video, read_json
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import ArtefactError, UsageError
from veridical.settings import Settings

LAYOUT = "ROOT/metadata.json (or metadata.min.json) and ROOT/{train,dev,test}/*.mp4"
_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_NEEDED = ("file", "split", "modify_video", "modify_audio", "fake_periods")


class LavDFOptions(Settings):
    """Options of the LAV-DF adapter."""

    dataset: str = "lavdf"
    """Name of the corpus in the manifest."""
    lists: Path | None = None
    """Folder with metadata.json, when it is not the root."""


def read(root: Path, options: LavDFOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of an LAV-DF folder."""
    path = find_list(options.lists or root, ["metadata.json", "metadata.min.json"])
    if path is None:
        raise UsageError(f"{options.lists or root}: no metadata.json; expected {LAYOUT}")
    files = set(list_files(root))
    for number, row in enumerate(rows_of(path, _NEEDED)):
        if row["file"] not in files:
            notes.warn("listed but not there, left out", row["file"])
            continue
        files.discard(row["file"])
        yield _video(root, path, number, row, options.dataset, notes)
    if files:
        notes.warn("not in metadata.json, left out", min(files), len(files))


def rows_of(path: Path, needed: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Return the rows of a JSON list of objects that all have the needed fields.

    Raises:
        UsageError: naming the first row that is not as expected.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UsageError(f"{path}: expected a list of videos, found {type(rows).__name__}")
    for number, row in enumerate(rows):
        missing = [name for name in needed if not isinstance(row, dict) or name not in row]
        if missing:
            raise UsageError(f"{path}, row {number}: fields missing: {', '.join(missing)}")
    return rows


def segments(
    path: Path, number: int, periods: list[list[float]], modalities: tuple[str, ...]
) -> tuple[FakeSegment, ...]:
    """Return fake segments from [start, end] pairs in seconds, one per pair and modality.

    Raises:
        UsageError: naming the row whose times are not a range.
    """
    try:
        return tuple(
            FakeSegment(float(start), float(end), modality)  # type: ignore[arg-type]
            for start, end in periods
            for modality in modalities
        )
    except (ArtefactError, TypeError, ValueError) as error:
        raise UsageError(f"{path}, row {number}: fake periods {periods!r}: {error}") from None


def _video(root: Path, path: Path, number: int, row: Mapping[str, Any], dataset: str, notes: Notes) -> Video:
    visual, audio = int(bool(row["modify_video"])), int(bool(row["modify_audio"]))
    label = int(visual or audio)
    forged = tuple(name for name, flag in (("visual", visual), ("audio", audio)) if flag)
    if bool(row["fake_periods"]) != bool(label):
        notes.warn("forged without times, or times without forgery", row["file"])
    attributes: dict[str, str] = {}
    if row["split"] in _SPLITS:
        attributes["official_split"] = _SPLITS[row["split"]]
    else:
        notes.warn(f"split is {row['split']!r}, expected train, dev or test; left without one", row["file"])
    original = row.get("original")
    if original:
        # Some copies of the list name the original without its folder.
        place = original if "/" in original else f"{row['file'].rpartition('/')[0]}/{original}".lstrip("/")
        attributes["original"] = f"{dataset}/{place.rpartition('.')[0]}"
    channels = row.get("audio_channels")
    return Video(
        dataset=dataset, video_id=f"{dataset}/{row['file'].rpartition('.')[0]}", path=absolute(root, row["file"]),
        label=label, visual_label=visual, audio_label=audio, generator="+".join(forged) if label else None,
        attributes=attributes, fake_segments=segments(path, number, row["fake_periods"], forged),
        has_audio=None if channels is None else channels > 0, duration_s=row.get("duration"),
    )  # fmt: skip


ADAPTER = Adapter("LAV-DF", read, LavDFOptions, LAYOUT)
