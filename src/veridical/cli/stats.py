"""`veridical stats`: what a manifest or a clip store holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.corpora import TextTable

LONGEST_NAME = 24
"""Names up to this length stand on one line, at the cost of the figures beside them."""


def stats(
    source: Annotated[Path, typer.Argument(help="Manifest (a file) or clip store (a folder).")],
    manifest: Annotated[
        Path | None, typer.Option(help="For a store: labels from this manifest instead of the store's own copy.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Count a corpus: generators by compression, durations, sound, and, for a clip store, clips, faces and speech.

    The official numbers of videos stand beside those found, where they are known.
    """
    import json as json_module

    from veridical import corpora
    from veridical.cli.sources import open_source

    videos, store = open_source(source, manifest, split)
    if store is None:
        found = corpora.statistics(videos, split=split)
    else:
        frames = store.settings.num_frames
        found = corpora.statistics(videos, store.index(), ledger=store.ledger(), frames_per_clip=frames, split=split)
    if json:
        typer.echo(json_module.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    console = open_console()
    for table in found.tables():
        _show(console, table)


def _show(console: Console, table: TextTable) -> None:
    console.print(table.title, style="bold", markup=False)
    shown = Table(*map(escape, table.headers), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in shown.columns:
        column.overflow, column.justify = "fold", "right"
    shown.columns[0].justify = "left"
    shown.columns[0].no_wrap = max((len(row[0]) for row in table.rows), default=0) <= LONGEST_NAME
    for row in table.rows:
        shown.add_row(*map(escape, row))
    if table.rows:
        console.print(shown)
    if table.note:
        console.print(f"  {table.note}", highlight=False, markup=False, soft_wrap=True)
