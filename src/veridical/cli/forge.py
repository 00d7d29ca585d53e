"""`veridical forge`: forged videos from real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.artefacts import Manifest
    from veridical.forgery import ForgeReport


def _show_methods(wanted: bool) -> None:
    """Print the table of forgeries and end the command."""
    if not wanted:
        return
    from rich.console import Console
    from rich.table import Column, Table

    from veridical.forgery import FORGERIES

    table = Table(Column("method", no_wrap=True), "forges", Column("donor", no_wrap=True), "what it does")
    for name, forgery in FORGERIES.items():
        forged = [part for part, made in (("picture", forgery.visual), ("sound", forgery.audio)) if made]
        table.add_row(name, " ".join(forged) or "timing", forgery.donor.replace("_", " "), forgery.summary)
    Console().print(table)
    raise typer.Exit


ManifestPath = Annotated[
    Path, typer.Argument(help="manifest.parquet with the real videos (label 0), split beforehand.")
]
OutputFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for the videos and their manifest.parquet.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="A way of forging; give it several times. Default: all that are not slow."),
]
ListMethods = Annotated[
    bool, typer.Option("--list", help="List the ways of forging and stop.", is_eager=True, callback=_show_methods)
]
PerVideo = Annotated[
    int | None, typer.Option(help="Forged videos per real one, methods in turn. Default: every method once.")
]
Severity = Annotated[
    str, typer.Option(help="0 careful … 1 careless: one number, or a range LOW-HIGH to draw from, for example 0.2-0.6.")
]
Seed = Annotated[int, typer.Option(help="Seed of all choices.")]
Workers = Annotated[int, typer.Option(help="Processes.", min=1)]
Crf = Annotated[
    int,
    typer.Option(
        help="Quality of H.264 for reals and fakes: 0 lossless, 23 and 40 as in FaceForensics++.", min=0, max=51
    ),
]
MaxSeconds = Annotated[float, typer.Option(help="Longer videos are cut, reals and fakes alike; 0 for no limit.")]
MaxSide = Annotated[int, typer.Option(help="Larger pictures are scaled down to this many pixels; 0 for no limit.")]
Masks = Annotated[bool, typer.Option("--masks", help="Also write which pixels were forged (.mask.npz).")]
KeepReals = Annotated[
    bool,
    typer.Option(
        "--keep-reals", help="Leave the reals' files as they are. Their encoding then tells them from fakes: a leak."
    ),
]


def forge(
    manifest: ManifestPath,
    output: OutputFolder,
    method: Methods = None,
    list_methods: ListMethods = False,
    per_video: PerVideo = None,
    severity: Severity = "0.25-0.75",
    seed: Seed = 0,
    workers: Workers = 1,
    crf: Crf = 23,
    max_seconds: MaxSeconds = 10.0,
    max_side: MaxSide = 1280,
    masks: Masks = False,
    keep_reals: KeepReals = False,
) -> None:
    """Make forged videos from the real ones of a manifest, with labels, splits and identities.

    Donors of faces and voices come from the target's own split. Real videos are written again by the same encoder, so that
    compression does not give the class away. Run it again to go on after an interruption: finished videos are kept.

    Example: veridical forge split.parquet -o forged --method face_swap --method lip_dub --method voice_exchanged
    """
    from veridical.artefacts import Manifest
    from veridical.forgery import FORGERIES
    from veridical.forgery import forge as forge_videos

    wanted = Manifest.read(manifest)
    _refuse_another_corpus(wanted, output)
    report = forge_videos(
        wanted,
        output,
        methods=method or [name for name, forgery in FORGERIES.items() if not forgery.slow],
        per_video=per_video,
        severity=_range_of(severity),
        seed=seed,
        crf=crf,
        max_seconds=max_seconds or None,
        max_side=max_side or None,
        masks=masks,
        reencode_reals=not keep_reals,
        workers=workers,
    )
    report.manifest.write(output / "manifest.parquet")
    report.write_outcomes(output / "outcomes.csv")
    _show_counts(report, output)


def _refuse_another_corpus(wanted: Manifest, output: Path) -> None:
    """Refuse a folder whose manifest lists real videos that are not to be forged now: they would be lost from it."""
    from veridical.artefacts import Manifest
    from veridical.errors import UsageError

    path = output / "manifest.parquet"
    if not path.exists():
        return
    there = {video.video_id for video in Manifest.read(path).videos() if video.label == 0}
    lost = there - set(wanted.table["video_id"].to_pylist())
    if lost:
        raise UsageError(
            f"{output} holds a corpus of other videos ({len(lost)} are not in this manifest, first {min(lost)!r}); "
            "choose another folder"
        )


def _range_of(text: str) -> tuple[float, float]:
    """Read "0.5" or "0.2-0.6"."""
    from veridical.errors import UsageError

    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(f"--severity {text!r}: expected a number or a range, for example 0.5 or 0.2-0.6") from None


def _show_counts(report: ForgeReport, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    statuses = sorted({outcome.status for outcome in report.outcomes} - {"ok"})
    splits = [split for split in ("train", "val", "test", None) if split in report.splits]
    table = Table("made", *(split or "no split" for split in splits), "all", *statuses)
    for method in report.methods:
        made = [report.count(method, "ok", split) for split in splits]
        failed = [report.count(method, status) for status in statuses]
        table.add_row(method, *map(str, [*made, sum(made), *failed]))
    console.print(table)
    console.print(f"{len(report.manifest)} videos in {output / 'manifest.parquet'}; what became of each: outcomes.csv")
