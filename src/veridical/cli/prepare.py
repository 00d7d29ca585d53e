"""`veridical prepare`: from videos to a clip store, with a ledger of every video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.clips import StoreSettings
    from veridical.preparation import PrepareSummary

SHOWN_FAILURES = 10

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="STATUS", help="Prepare videos of this status again (for example timeout); repeatable."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="Ray cluster, or auto. Default: Ray is started on this machine."
    ),
]


def prepare(
    manifest: Annotated[Path, typer.Argument(help="manifest.parquet, as written by scan, split or forge.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the clip store; an existing one is continued.")
    ],
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=0, help="Processes; 0 for none. Default: one per core.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Prepare at most this many videos now.")] = None,
    only: Only = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Time limit of one video.")] = 1800.0,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change how clips are made, for example fps=25, face_policy=mask or mouths=true.",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="local: processes of this machine. ray: a Ray cluster (extra [ray]).")
    ] = "local",
    address: Address = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Afterwards decode every clip and compare the store with its ledger.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any video gave no clip.")] = False,
) -> None:
    """Cut videos into one-second clips: the aligned face of one person, and the audio of the same second.

    Each video gets a status in the ledger, with the reason if it cannot be used; such videos do not stop the others. It may be
    interrupted at any time: the same command continues, and also prepares videos added to the manifest since.
    """
    from veridical.artefacts import Manifest
    from veridical.preparation import prepare as prepare_manifest

    summary = prepare_manifest(
        Manifest.read(manifest),
        output,
        _settings(output, setting or []),
        workers=workers,
        limit=limit,
        only_status=only or [],
        timeout_s=timeout,
        engine=engine,
        address=address,
    )
    console = open_console()
    _print_summary(console, summary)
    intact = _print_verification(console, output) if verify else True
    if not intact or (strict and (len(summary.failures) or summary.num_kept)):
        raise typer.Exit(1)


def _settings(output: Path, assignments: list[str]) -> StoreSettings | None:
    """Return the settings asked for, on top of those of an existing store."""
    from veridical.clips import ClipStore, StoreSettings
    from veridical.settings import parse_settings, with_overrides

    if not assignments:
        return None
    exists = (output / "store.json").exists()
    base = ClipStore.open(output).settings.model_dump() if exists else {}
    return parse_settings(StoreSettings, with_overrides(base, assignments), "prepare", assignments)


def _print_summary(console: Console, summary: PrepareSummary) -> None:
    table = Table("status", "videos", "clips", "windows dropped", "most frequent reason")
    ledger = summary.ledger
    for status, count in summary.counts.items():
        rows = ledger[ledger["status"] == status]
        reasons = rows["reason"][rows["reason"] != ""].value_counts()
        most = f"{reasons.index[0]} ({reasons.iloc[0]})" if len(reasons) else ""
        clips, dropped = rows["num_clips"].sum(), rows["num_dropped_windows"].sum()
        table.add_row(status, str(count), str(clips), str(dropped), escape(most))
    console.print(table)
    if summary.num_with_sound_beside:
        console.print(f"audio from a separate file: {summary.num_with_sound_beside} videos", highlight=False)
    failures = summary.failures
    for row in failures.head(SHOWN_FAILURES).itertuples(index=False):
        name = str(row.video_id)
        name = name if name.isprintable() else ascii(name)
        console.print(f"{name}: {row.status}: {row.reason}", highlight=False, markup=False, soft_wrap=True)
    if len(failures) > SHOWN_FAILURES:
        console.print(f"… and {len(failures) - SHOWN_FAILURES} more in the ledger", highlight=False)
    others = summary.num_clips_in_store - summary.num_clips
    whose = f" ({summary.num_clips} of this manifest's videos, {others} of others)" if others else ""
    done = f"{summary.num_prepared} videos prepared now, {summary.num_clips_in_store} clips in {summary.store}{whose}"
    rest = f"; {summary.num_pending} videos still to do" if summary.num_pending else ""
    console.print(done + rest, highlight=False, markup=False, soft_wrap=True)


def _print_verification(console: Console, path: Path) -> bool:
    """Verify the store, print its problems, and return whether it is intact."""
    from veridical.clips import ClipStore, verify

    store = ClipStore.open(path)
    problems = verify(store)
    for problem in problems:
        console.print(problem, highlight=False, markup=False, soft_wrap=True)
    outcome = (
        f"{len(problems)} problems" if problems else f"intact: {len(store)} clips decode and agree with the ledger"
    )
    console.print(f"verified, {outcome}", highlight=False)
    return not problems
