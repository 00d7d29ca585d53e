"""Reading the list files of corpora (JSON and csv): fields are checked, files that are listed twice are never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veridical.artefacts import FakeSegment, numbered_rows, read_csv, read_json
from veridical.corpora.adapter import Notes
from veridical.errors import ArtefactError, UsageError

Row = Mapping[str, Any]


def json_rows(path: Path, needed: Sequence[str]) -> list[Row]:
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


def csv_rows(path: Path, needed: Sequence[str]) -> list[Row]:
    """Return the rows of a csv file with a header (see `read_csv`); a column without a name (an index) is left out."""
    return [row for _, row in numbered_rows(read_csv(path, needed).drop(columns="", errors="ignore"))]


def distinct(path: Path, rows: Sequence[Row], key: str, notes: Notes) -> list[tuple[int, Row]]:
    """Return (row number, row) of each file once; files that are listed with different values are left out, counted."""
    first: dict[str, int] = {}
    contradictory: set[str] = set()
    for number, row in enumerate(rows):
        name = row[key]
        if first.setdefault(name, number) == number:
            continue
        if row == rows[first[name]]:
            notes.warn(f"listed twice in {path.name}, counted once", name)
        elif name not in contradictory:
            contradictory.add(name)
            notes.warn(f"listed twice in {path.name} with different values, left out", name)
    return [(number, rows[number]) for name, number in first.items() if name not in contradictory]


def segments(
    path: Path, number: int, periods: Sequence[Sequence[float]], modalities: Sequence[str]
) -> tuple[FakeSegment, ...]:
    """Return fake segments from [start, end] pairs in seconds, one per pair and modality.

    Raises:
        UsageError: naming the row whose times are no range.
    """
    try:
        return tuple(
            FakeSegment(float(start), float(end), modality)  # type: ignore[arg-type]
            for start, end in periods
            for modality in modalities
        )
    except (ArtefactError, TypeError, ValueError) as error:
        raise UsageError(f"{path}, row {number}: fake periods {periods!r}: {error}") from None
