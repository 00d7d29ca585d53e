"""`veridical score`: what a detector says of every clip of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def score(
    run: Annotated[Path, typer.Argument(help="A run, or its model folder.")],
    on: Annotated[Path, typer.Option("--on", help="Clip store to score.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Score table to write, for example scores.parquet.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Labels and splits; the store's own copy when not given.")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Only this split (train, val, test; may be repeated). All videos when not given."),
    ] = None,
) -> None:
    """Score every clip: picture and sound together, each alone, and with one of them hidden."""
    from veridical.artefacts import Manifest
    from veridical.clips import ClipStore
    from veridical.inference import load_bundle, score_store

    store = ClipStore.open(on)
    labels = Manifest.read(manifest) if manifest else store.manifest()
    table = score_store(load_bundle(run), store, labels, splits=tuple(split or ()))
    table.write(output)
    Console().print(f"{len(table)} scores: {output}", highlight=False, soft_wrap=True)
