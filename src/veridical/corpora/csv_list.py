"""A csv of videos: a column `path` and a column `label`, any other column of a manifest, errors that name the row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.artefacts import FakeSegment, Video, numbered_rows, read_csv
from veridical.corpora.adapter import Adapter, Notes, of_corpus
from veridical.corpora.demographics import demographic
from veridical.errors import ArtefactError, UsageError, unknown_name
from veridical.settings import Settings

LAYOUT = "ROOT is a csv file with the columns path and label; relative paths are relative to the csv's folder"
_LABELS = {"0": 0, "1": 1, "real": 0, "fake": 1, "": None, "unknown": None}
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}


class TableOptions(Settings):
    """Options of the csv adapter."""

    dataset: str | None = None
    """Name of the corpus where the column `dataset` is missing or empty; the file's name when not given."""


def _label(text: str) -> int | None:
    if text.lower() not in _LABELS:
        raise ValueError("expected 0, 1, real, fake, or empty for unknown")
    return _LABELS[text.lower()]


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError("expected true or false")
    return _FLAGS[text.lower()]


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError("expected a finite number, zero or more")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(";") if name.strip()))


def _segments(text: str) -> tuple[FakeSegment, ...]:
    """Read `0.4-1.2:visual;2-3:audio`."""
    forgeries = []
    for item in _names(text):
        times, separator, modality = item.partition(":")
        start, dash, end = times.partition("-")
        if not separator or not dash:
            raise ValueError("expected START-END:visual or START-END:audio, several separated by ;")
        forgeries.append(FakeSegment(float(start), float(end), modality.strip()))  # type: ignore[arg-type]
    return tuple(forgeries)


def _text(text: str) -> str:
    return text


_COLUMNS: dict[str, Callable[[str], Any]] = {
    "path": _text, "label": _label, "dataset": _text, "video_id": _text, "visual_label": _label, "audio_label": _label,
    "generator": _text, "compression": _text, "identities": _names, "split": _text, "fake_segments": _segments,
    "has_audio": _flag, "duration_s": _number, "fps": _number, "width": int, "height": int, "codec": _text,
    "pixel_format": _text, "bitrate": int, "audio_codec": _text, "audio_rate_hz": int, "sha256": _text,
}  # fmt: skip
"""The columns that are read, beside `attribute.<name>` and those about people (see `demographic`); `split`
is kept as the corpus's official split."""


def read(root: Path, options: TableOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a csv file."""
    path = _csv_file(root)
    dataset = options.dataset or path.stem
    seen: dict[str, int] = {}
    table = read_csv(path, ("path", "label"))
    _check_columns(path, list(table.columns))
    for line, row in numbered_rows(table):
        video = _video(path, line, row, dataset)
        if video.video_id in seen:
            raise UsageError(
                f"{path}, row {line}: video_id {video.video_id!r} is already in row {seen[video.video_id]}; "
                "give each row its own video_id"
            )
        seen[video.video_id] = line
        if not Path(video.path).is_file():
            notes.warn("listed but missing, left out", f"row {line}: {video.path}")
            continue
        yield video
    if not seen:
        raise UsageError(f"{path}: has a header and no rows")


def _csv_file(root: Path) -> Path:
    if root.is_file():
        return root
    lists = sorted(root.glob("*.csv"))
    if len(lists) != 1:
        raise UsageError(f"{root}: is a folder with {len(lists)} csv files; name the one to read")
    return lists[0]


def _check_columns(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in _COLUMNS and not name.startswith("attribute.") and demographic(name) is None:
            raise UsageError(f"{path}: {unknown_name('column', name, [*_COLUMNS, 'attribute.<name>'])}")


def _video(path: Path, line: int, row: Mapping[str, str], dataset: str) -> Video:
    values: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    for name, text in row.items():
        if not text:
            continue
        if name not in _COLUMNS:
            attributes[name.removeprefix("attribute.")] = text
            continue
        try:
            values[name] = _COLUMNS[name](text)
        except (ValueError, ArtefactError) as error:
            raise UsageError(f"{path}, row {line}: {name} is {text!r}: {error}") from None
    return _build(path, line, values, attributes, dataset)


def _build(path: Path, line: int, values: dict[str, Any], attributes: dict[str, str], dataset: str) -> Video:
    if "path" not in values:
        raise UsageError(f"{path}, row {line}: path is empty")
    written = values["path"]
    values["path"] = str((path.parent / written).absolute())
    values.setdefault("dataset", dataset)
    values.setdefault("video_id", f"{values['dataset']}/{Path(written).with_suffix('').as_posix()}")
    if values.get("label") == 0:
        values.setdefault("visual_label", 0)
        values.setdefault("audio_label", 0)
    if "identities" in values:
        values["identities"] = tuple(of_corpus(name, values["dataset"]) for name in values["identities"])
    for role in ("target", "donor"):
        if role in attributes:
            attributes[role] = of_corpus(attributes[role], values["dataset"])
    _check_labels(path, line, values)
    if "split" in values:
        attributes["official_split"] = values["split"]
    try:
        return Video(**values, attributes=attributes)
    except ArtefactError as error:
        raise UsageError(f"{path}, row {line}: {error}") from None


def _check_labels(path: Path, line: int, values: Mapping[str, Any]) -> None:
    forged = [name for name in ("visual_label", "audio_label") if values.get(name) == 1]
    if values.get("label") == 0 and forged:
        raise UsageError(f"{path}, row {line}: label is real, {forged[0]} is fake; correct one of them")


ADAPTER = Adapter("a csv file", read, TableOptions, LAYOUT, reads_file=True)
