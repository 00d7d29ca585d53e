"""`veridical stats`: what a manifest or a clip store holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd


def stats(
    source: Annotated[Path, typer.Argument(help="Manifest (a file) or clip store (a folder).")],
    manifest: Annotated[
        Path | None, typer.Option(help="For a store: labels from this manifest instead of the store's own copy.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Count a corpus: generators by compression, durations, sound, and, for a clip store, clips, faces and speech."""
    import json as json_module

    from veridical import corpora
    from veridical.artefacts import Manifest
    from veridical.errors import UsageError

    if manifest is not None and not source.is_dir():
        raise UsageError("--manifest goes with a clip store; SOURCE is a manifest already")
    clips, frames_per_clip = None, 5
    if source.is_dir():
        from veridical.clips import ClipStore

        store = ClipStore.open(source)
        clips, frames_per_clip = store.index(), store.settings.num_frames
        videos = Manifest.read(manifest) if manifest else store.manifest()
    else:
        videos = Manifest.read(source)
    found = corpora.statistics(videos.select(split=split), clips, frames_per_clip=frames_per_clip)
    console = Console()
    if json:
        typer.echo(json_module.dumps(found.to_json(), indent=2))
        return
    console.print(_totals(found.totals))
    console.print(_matrix(found.matrix))
    console.print(_generators(found.generators))


def _totals(totals: dict[str, Any]) -> Table:
    table = Table("figure", "value")
    table.columns[1].justify = "right"
    for name, value in totals.items():
        table.add_row(name.replace("_", " "), "not known" if value is None else f"{value:,}")
    return table


def _matrix(matrix: pd.DataFrame) -> Table:
    table = Table("generator \\ compression", *(str(name) for name in matrix.columns))
    for name, row in matrix.iterrows():
        table.add_row(str(name), *(str(value) for value in row))
    return table


def _generators(rows: pd.DataFrame) -> Table:
    table = Table(
        "generator", "videos", "people", "seconds (quartiles)", "sound", "prepared", "clips", "face px", "speech"
    )
    for row in rows.to_dict(orient="records"):
        seconds = " / ".join(_number(row[f"duration_{share}"], ".1f") for share in (25, 50, 75))
        table.add_row(
            row["generator"], str(row["videos"]), str(row["people"]), seconds, _number(row["sound_share"], ".0%"),
            _number(row["prepared_share"], ".0%"), _number(row["clips"], ".0f"), _number(row["face_px"], ".0f"),
            _number(row["speech_share"], ".0%"),
        )  # fmt: skip
    return table


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
