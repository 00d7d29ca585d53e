"""Statistics and counts as tables of text, the same for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veridical.corpora.adapter import OfficialCount

if TYPE_CHECKING:
    import pandas as pd

    from veridical.corpora.statistics import GeneratorStatistics, SplitStatistics

UNKNOWN = "–"
_QUARTILE_NAMES = {"duration_s": "seconds (quartiles)", "face_px": "face px (quartiles)"}


@dataclass(frozen=True)
class TextTable:
    """A table ready to be shown: all cells are text; the first cell of a row is its head."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def videos_table(counts: pd.DataFrame, *, by_split: bool = False) -> TextTable:
    """Return how many videos of each kind a manifest has, in all or in each split.

    Args:
        counts: As `split_counts` returns them.
        by_split: A column for each split, and for videos in none.
    """
    kinds, splits = ("dataset", "generator", "compression", "label"), ("train", "val", "test", "unused")
    rows = []
    for row in counts.to_dict(orient="records"):
        numbers = [int(row[name]) for name in splits]
        cells = numbers if by_split else [sum(numbers)]
        rows.append((*(str(row[name]) for name in kinds), *(f"{number:,}" for number in cells)))
    return TextTable("Videos", (*kinds, *(splits if by_split else ("videos",))), tuple(rows))


def totals_table(totals: Mapping[str, float | int | None]) -> TextTable:
    """Return a row per figure, quartiles in one row; the note lists what is unknown."""
    rows: list[tuple[str, str]] = []
    unknown: list[str] = []
    for name, value in totals.items():
        stem, _, share = name.rpartition("_")
        if share in ("50", "75"):
            continue
        if share == "25":
            label = _QUARTILE_NAMES[stem]
            known = _range((value, totals[f"{stem}_50"], totals[f"{stem}_75"]), ",.1f")
        else:
            label, known = _words(name), _text(value, ",")
        unknown += [label] if known == UNKNOWN else []
        rows += [] if known == UNKNOWN else [(label, known)]
    note = f"unknown: {', '.join(unknown)}" if unknown else ""
    return TextTable("In all", ("figure", "value"), tuple(rows), note)


def matrix_table(matrix: Mapping[str, Mapping[str, int]]) -> TextTable:
    """Return the diversity matrix: generators by compression, with sums; a gap is a 0."""
    levels = list(next(iter(matrix.values())))
    rows = [(name, *(f"{row[level]:,}" for level in levels), f"{sum(row.values()):,}") for name, row in matrix.items()]
    sums = [sum(row[level] for row in matrix.values()) for level in levels]
    rows.append(("all", *(f"{value:,}" for value in sums), f"{sum(sums):,}"))
    return TextTable("Videos by generator and compression", ("generator", *levels, "all"), tuple(rows))


def generators_table(rows: Sequence[GeneratorStatistics]) -> TextTable:
    """Return facts of the videos of each generator; columns without any value are left out."""
    headers = ("generator", "videos", "people", "hours", "seconds", "with sound", "fake segments")
    cells = tuple(
        (
            row.generator, f"{row.videos:,}", f"{row.people:,}", _text(row.hours, ".2f"),
            _range((row.duration_s_25, row.duration_s_50, row.duration_s_75), ".1f"), _text(row.sound_share, ".0%"),
            f"{row.fake_segments:,}",
        )
        for row in rows
    )  # fmt: skip
    note = "seconds: quartiles" if any(row.duration_s_50 is not None for row in rows) else ""
    return TextTable("By generator", *_known_columns(headers, cells), note)


def clips_table(rows: Sequence[GeneratorStatistics]) -> TextTable:
    """Return facts of the clips of each generator."""
    cells = tuple(
        (
            row.generator, _text(row.prepared_share, ".0%"), _text(row.clips, ",.0f"),
            _range((row.face_px_25, row.face_px_50, row.face_px_75), ".0f"), _text(row.speech_share, ".0%"),
        )
        for row in rows
    )  # fmt: skip
    headers = ("generator", "videos prepared", "clips", "face px", "speech")
    return TextTable("Clips by generator", headers, cells, "face px: quartiles of the mean box side of a video")


def splits_table(rows: Sequence[SplitStatistics]) -> TextTable:
    """Return how many videos, people and clips each split has."""
    headers = ("split", "videos", "real", "fake", "people", "clips")
    numbers = [(row.videos, row.real, row.fake, row.people, row.clips) for row in rows]
    cells = tuple((row.split, *(_text(value, ",") for value in mine)) for row, mine in zip(rows, numbers, strict=True))
    return TextTable("By split", *_known_columns(headers, cells))


def lost_table(lost: Mapping[str, int]) -> TextTable:
    """Return why videos gave no clips."""
    rows = tuple((_words(status), f"{count:,}") for status, count in lost.items())
    return TextTable("Videos without clips", ("reason", "videos"), rows)


def official_table(counts: Sequence[OfficialCount]) -> TextTable:
    """Return the official numbers next to those found."""
    rows = tuple((count.name, f"{count.expected:,}", f"{count.found:,}", count.outcome) for count in counts)
    return TextTable("Against the official numbers", ("kind", "published", "here", "outcome"), rows)


def notes_table(notes: Sequence[str]) -> TextTable:
    """Return what could not be counted or compared, and why."""
    return TextTable("Unknown", ("what, and why",), tuple((note,) for note in notes))


def _known_columns(
    headers: tuple[str, ...], rows: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return headers and rows without the columns that have no value."""
    kept = [place for place in range(len(headers)) if any(row[place] != UNKNOWN for row in rows)]
    return tuple(headers[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in rows)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _range(quartiles: tuple[float | None, float | None, float | None], form: str) -> str:
    """Return quartiles as one cell."""
    known = [value for value in quartiles if value is not None]
    return "/".join(format(value, form) for value in known) or UNKNOWN
