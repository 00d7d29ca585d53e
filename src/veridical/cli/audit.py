"""`veridical audit`: what a model could cheat with, found before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.proof import proof_lines
from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.corpora import AuditResult, Proof


def audit(
    source: Annotated[
        Path, typer.Argument(help="Manifest (a file, best after scan --probe) or clip store (a folder).")
    ],
    manifest: Annotated[
        Path | None, typer.Option(help="For a store: labels from this manifest instead of the store's own copy.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split, for example train.")] = None,
    accept_leak: Annotated[
        list[str] | None,
        typer.Option(
            help="A property, or something that splits share (identity), whose leak is known; may be repeated."
        ),
    ] = None,
    clips_per_video: Annotated[int, typer.Option(help="For a store: clips decoded of each video.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Draws the folds.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Try every property that is not content (codec, silence, loudness, face size, blur …) as a detector of its own.

    A property that the model can see and that tells fake from real is a leak: the exit code is then 1. One that only
    the file shows is a warning. Each property is also tried on each generator alone. Where there are splits, what they share
    (people, originals, files) is a leak too, and what one of them lacks is said.
    """
    import json as json_module

    from veridical import corpora
    from veridical.cli.sources import open_source
    from veridical.errors import UsageError

    everything, store = open_source(source, manifest, split)
    videos = everything.select(split=split)
    if not len(videos):
        where = f", none in split {split!r}" if split else ""
        raise UsageError(f"the manifest holds {len(everything)} videos{where}: nothing to audit")
    clips = None
    if store is not None:
        from veridical.clips import content_facts

        clips = content_facts(store, set(videos.table["video_id"].to_pylist()), clips_per_video)
    accepted = accept_leak or []
    result = corpora.audit(videos, clips, accept=accepted, seed=seed)
    proof = corpora.prove(videos, accepted)
    if json:
        typer.echo(json_module.dumps({**result.to_json(), "splits": proof.to_json()}, indent=2, ensure_ascii=False))
    else:
        _show(open_console(), result, proof)
    if result.leaks or not proof.clean:
        raise typer.Exit(1)


def _show(console: Console, result: AuditResult, proof: Proof) -> None:
    table = result.table
    shown = Table("property", "label", "verdict", "AUC (95 %)", "worst generator")
    for column in shown.columns:
        column.overflow = "fold"
    styles = {"leak": "bold red", "warns": "yellow", "accepted": "magenta", "ok": "green"}
    tried = table[table["verdict"] != "unknown"]
    for row in tried.to_dict(orient="records"):
        generator = (
            f"{escape(row['generator'])} {row['generator_auc']:.2f}" if isinstance(row["generator"], str) else ""
        )
        area = f"{row['auc']:.3f} ({row['low']:.2f}–{row['high']:.2f})"
        verdict = f"[{styles[row['verdict']]}]{row['verdict']}[/]"
        shown.add_row(row["property"], row["target"], verdict, area, generator)
    if len(tried):
        console.print(shown)
    for name, rows in tried[tried["advice"] != ""].groupby("property", sort=False):
        worst = rows["generator"].iloc[0]
        where = f", most in {worst}" if isinstance(worst, str) else ""
        line = f"  {rows['verdict'].iloc[0]}: {name}{where}: {rows['advice'].iloc[0]}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for reason, rows in table[table["verdict"] == "unknown"].groupby("reason", sort=False):
        line = f"  not judged: {', '.join(dict.fromkeys(rows['property']))} ({reason})"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    lines = [f"splits: {line}" for line in proof_lines(proof)] if proof.leaks else []
    lines += ["nothing could be judged: that is no pass"] if tried.empty else []
    lines += [f"leaks: {', '.join(result.leaks)}"] if result.leaks else []
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
