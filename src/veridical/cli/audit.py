"""`veridical audit`: shortcuts and leaks in a corpus, before a detector is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.sources import ManifestOfStore, open_source
from veridical.cli.tables import print_lines
from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.corpora import AuditResult

_STYLES = {"leak": "bold red", "warns": "yellow", "accepted": "magenta", "ok": "green"}


def audit(
    source: Annotated[
        Path, typer.Argument(help="Manifest (a file, best after scan --probe) or clip store (a folder).")
    ],
    manifest: ManifestOfStore = None,
    split: Annotated[str | None, typer.Option(help="Only this split, for example train.")] = None,
    accept_leak: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept a known leak: a property, or something that splits share (identity); may be repeated."
        ),
    ] = None,
    clips_per_video: Annotated[
        int | None,
        typer.Option(help="For a store: clips decoded of each video; 3 when not given, as in evaluate.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the cross-validation folds.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Try every property that is not content (codec, silence, loudness, face size, blur …) as a detector of its own.

    A property that the model can see and that tells fake from real is a leak: the exit code is then 1. One that only
    the file shows is a warning. Each property is tried within each data set and in all of them together, and on each
    generator alone. Where there are splits, what they
    share (people, originals, files) is a leak too, and generators that one of them lacks are named.
    """
    import json as json_module

    from veridical import corpora
    from veridical.clips import CLIPS_PER_VIDEO, content_facts

    opened = open_source(source, manifest, split)
    videos, accepted, clips = opened.videos, accept_leak or [], None
    if opened.store is not None:
        clips = content_facts(
            opened.store, set(videos.table["video_id"].to_pylist()), clips_per_video or CLIPS_PER_VIDEO
        )
    result = corpora.audit(videos, clips, accept=accepted, seed=seed)
    proof = corpora.prove(videos, accepted)
    if json:
        typer.echo(json_module.dumps({**result.to_json(), "splits": proof.to_json()}, indent=2, ensure_ascii=False))
    else:
        console = open_console()
        _print_properties(console, result)
        print_lines(console, result.remarks, indent="  ")
        print_lines(console, [f"splits: {line}" for line in proof.lines] if proof.leaks else [])
        print_lines(console, result.conclusion)
    if result.leaks or not proof.clean:
        raise typer.Exit(1)


def _print_properties(console: Console, result: AuditResult) -> None:
    several = len(set(result.tried["dataset"])) > 1
    shown = Table("property", "label", *(["data set"] if several else []), "verdict", "AUC (95 %)", "worst generator")
    for column in shown.columns:
        column.overflow = "fold"
    for row in result.tried.to_dict(orient="records"):
        worst = f"{escape(row['generator'])} {row['generator_auc']:.2f}" if isinstance(row["generator"], str) else ""
        area = f"{row['auc']:.3f} ({row['low']:.2f}–{row['high']:.2f})"
        within = [escape(row["dataset"])] if several else []
        verdict = f"[{_STYLES[row['verdict']]}]{row['verdict']}[/]"
        shown.add_row(row["property"], row["target"], *within, verdict, area, worst)
    if shown.row_count:
        console.print(shown)
