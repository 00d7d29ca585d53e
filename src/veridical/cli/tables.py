"""How commands print the tables and lines that corpora are described by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from veridical.corpora import TextTable

LONGEST_NAME = 24
"""Names up to this length stand on one line, at the cost of the figures next to them."""


def print_table(console: Console, table: TextTable) -> None:
    """Print a table with its title above and its note below; columns of figures are aligned to the right."""
    console.print(table.title, style="bold", markup=False)
    shown = Table(*map(escape, table.headers), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, column in enumerate(shown.columns):
        column.overflow = "fold"
        if place and all(row[place][0].isdigit() or row[place] == "–" for row in table.rows):
            column.justify = "right"
    shown.columns[0].no_wrap = max((len(row[0]) for row in table.rows), default=0) <= LONGEST_NAME
    for row in table.rows:
        shown.add_row(*map(escape, row))
    if table.rows:
        console.print(shown)
    if table.note:
        print_lines(console, [table.note], indent="  ")


def print_lines(console: Console, lines: Iterable[str], indent: str = "") -> None:
    """Print lines as they are: no markup, no highlighting, no wrapping that would tear a path apart."""
    for line in lines:
        console.print(indent + line, highlight=False, markup=False, soft_wrap=True)
