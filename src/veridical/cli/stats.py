"""`veridical stats`: what a manifest or a clip store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.sources import ManifestOfStore, open_source
from veridical.cli.tables import print_table
from veridical.cli.terminal import open_console


def stats(
    source: Annotated[Path, typer.Argument(help="Manifest (a file) or clip store (a folder).")],
    manifest: ManifestOfStore = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Summarise a corpus: generators by compression, durations, audio and, for a clip store, clips, faces and speech.

    Published counts of videos are shown next to the actual ones.
    """
    import json as json_module

    from veridical import corpora

    opened = open_source(source, manifest, split)
    store = opened.store
    if store is None:
        summary = corpora.statistics(opened.manifest, split=split)
    else:
        frames = store.settings.num_frames
        summary = corpora.statistics(
            opened.manifest, store.index(), ledger=store.ledger(), frames_per_clip=frames, split=split
        )
    if json:
        typer.echo(json_module.dumps(summary.to_json(), indent=2, ensure_ascii=False))
        return
    console = open_console()
    for table in summary.tables():
        print_table(console, table)
