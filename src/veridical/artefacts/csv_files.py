"""Reading csv files: all cells are text, and a row that cannot be read is named by its line.

The only reader of csv files. Nothing is guessed from values: `01` and `1` are two names, and so is `NA`.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from veridical.errors import UsageError


class _Reader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


def read_csv(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows of a csv file with a header as text, indexed by the line on which each ends.

    Space around cells and column names is removed, empty lines are left out. A column without a name (an index, a comma
    at the end of every line) is kept under the name '' when it holds anything.

    Args:
        path: A file in UTF-8, its cells separated by commas.
        needed: Columns that must be there.

    Raises:
        UsageError: when the file cannot be read, a needed column is missing, two columns have one name, or a row has
            more or fewer cells than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return _parsed(path, csv.reader(stream, strict=True), needed)
    except FileNotFoundError:
        raise UsageError(f"{path}: not found") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not a csv file in UTF-8 ({error})") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _parsed(path: Path, reader: _Reader, needed: Sequence[str]) -> pd.DataFrame:
    names: list[str] = []
    columns: list[list[str]] = []
    lines, texts = array("q"), dict[str, str]()
    try:
        for cells in reader:
            if not cells:
                continue
            if not names:
                names = [name.strip() for name in cells]
                columns = [[] for _ in names]
                _check_header(path, names, needed)
                continue
            if len(cells) != len(names):
                raise UsageError(f"{path}, row {reader.line_num}: has {len(cells)} cells, the header has {len(names)}")
            lines.append(reader.line_num)
            for column, cell in zip(columns, cells, strict=True):
                text = cell.strip()
                column.append(
                    texts.setdefault(text, text)
                )  # equal texts are kept once: a table may have millions of rows
    except csv.Error as error:
        raise UsageError(f"{path}, row {reader.line_num}: is not valid csv ({error})") from None
    if not names:
        raise UsageError(f"{path}: is empty, expected a csv file with a header")
    return pd.DataFrame(_named(path, names, columns), index=pd.Index(lines, dtype="int64"), dtype=object)


def numbered_rows(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line of the file, column → cell) of each row of a table that `read_csv` returned."""
    columns: Iterable[list[str]] = [table[name].tolist() for name in table]
    for line, *cells in zip(table.index.tolist(), *columns, strict=True):
        yield line, dict(zip(table.columns, cells, strict=True))


def _check_header(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise UsageError(f"{path}: the column {twice[0]!r} stands twice in the header; rename or remove one of them")
    missing = [name for name in needed if name not in names]
    if missing:
        hint = "; columns must be separated by commas" if len(names) == 1 else ""
        raise UsageError(f"{path}: columns missing: {', '.join(missing)}; found {', '.join(names)}{hint}")


def _named(path: Path, names: Sequence[str], columns: Sequence[list[str]]) -> dict[str, list[str]]:
    """Return the columns by name; of those without a name only one may hold anything, and it is called ''."""
    named = {name: column for name, column in zip(names, columns, strict=True) if name}
    nameless = [column for name, column in zip(names, columns, strict=True) if not name and any(column)]
    if len(nameless) > 1:
        raise UsageError(f"{path}: {len(nameless)} columns have no name; name them in the header")
    return named | ({"": nameless[0]} if nameless else {})
