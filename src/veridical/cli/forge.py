"""`veridical forge`: make forged videos from real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.artefacts import Manifest
    from veridical.forgery import ForgeReport


def _show_methods(requested: bool) -> None:
    """Print the table of forgeries and end the command."""
    if not requested:
        return
    from rich.table import Column, Table

    from veridical.forgery import FORGERIES

    table = Table(Column("method", no_wrap=True), "forges", Column("donor", no_wrap=True), "what it does")
    for name, forgery in FORGERIES.items():
        modalities = {"video": forgery.visual, "audio": forgery.audio}
        forged = " ".join(modality for modality, is_forged in modalities.items() if is_forged)
        table.add_row(name, forged or "timing", forgery.donor.replace("_", " "), forgery.summary)
    open_console().print(table)
    raise typer.Exit


ManifestPath = Annotated[Path, typer.Argument(help="manifest.parquet with the real videos (label 0), already split.")]
OutputFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for the videos and their manifest.parquet.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="A forgery method; repeat the option for several. Default: all that are not slow."),
]
ListMethods = Annotated[
    bool, typer.Option("--list", help="List the forgery methods and exit.", is_eager=True, callback=_show_methods)
]
PerVideo = Annotated[
    int | None, typer.Option(help="Forged videos per real video, methods in turn. Default: every method once.")
]
Severity = Annotated[
    str, typer.Option(help="0 careful … 1 careless: a number, or a range LOW-HIGH to draw from, for example 0.2-0.6.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Workers = Annotated[int, typer.Option(help="Number of worker processes; 0 works in this process.", min=0)]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", help="Time limit for one video; one that exceeds it is counted and skipped.")
]
Compression = Annotated[
    str,
    typer.Option(
        help="H.264 quality of reals and fakes alike: c0 lossless, c23 and c40 as in FaceForensics++. Several, as in "
        "c0,c23,c40: encode every video at each level."
    ),
]
MaxSeconds = Annotated[float, typer.Option(help="Longer videos are cut, reals and fakes alike; 0 for no limit.")]
MaxSide = Annotated[
    int, typer.Option(help="Larger frames are scaled down to this longer side in pixels; 0 for no limit.")
]
Masks = Annotated[bool, typer.Option("--masks", help="Also write masks of the forged pixels (.mask.npz).")]
KeepReals = Annotated[
    bool,
    typer.Option(
        "--keep-reals",
        help="Keep the files of the reals as they are. Their encoding then distinguishes them from fakes: a shortcut.",
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
    compression: Compression = "c23",
    max_seconds: MaxSeconds = 10.0,
    max_side: MaxSide = 1280,
    masks: Masks = False,
    keep_reals: KeepReals = False,
    timeout: Timeout = 900.0,
) -> None:
    """Make forged videos from the real videos of a manifest, with labels, splits and identities.

    Donors of faces and voices come from the target's own split. Real videos are encoded again with the same settings, so that
    compression does not give the class away. Run it again to resume after an interruption, or with other methods: finished videos
    are kept. Other settings, such as another seed, need another folder.

    Example: veridical forge split.parquet -o forged --method face_swap --method lip_dub --method voice_exchanged
    """
    from veridical.artefacts import Manifest
    from veridical.forgery import FORGERIES
    from veridical.forgery import forge as forge_videos

    videos = Manifest.read(manifest)
    _refuse_another_corpus(videos, output)
    _warn_of_obstacles(videos)
    report = forge_videos(
        videos,
        output,
        methods=method or [name for name, forgery in FORGERIES.items() if not forgery.slow],
        per_video=per_video,
        severity=_range_of(severity),
        seed=seed,
        compression=[name.strip() for name in compression.split(",")],
        max_seconds=max_seconds or None,
        max_side=max_side or None,
        masks=masks,
        reencode_reals=not keep_reals,
        workers=workers,
        timeout_s=timeout,
    )
    _show_counts(report)
    _refuse_nothing(report, output)
    _warn_of_obstacles(report.manifest)
    line = f"{len(report.manifest)} videos in {output / 'manifest.parquet'}; the outcome of each is in outcomes.csv"
    open_console().print(line, highlight=False, markup=False, soft_wrap=True)


def _warn_of_obstacles(videos: Manifest) -> None:
    """Say what keeps a manifest from being trained on, and the remedy."""
    from veridical.corpora import training_obstacles

    for line in training_obstacles(videos):
        open_console().print(f"warning: {line}", highlight=False, markup=False, soft_wrap=True)


def _refuse_another_corpus(videos: Manifest, output: Path) -> None:
    """Refuse a folder whose manifest lists real videos that are not in this one: they would be lost from it."""
    from veridical.artefacts import Manifest
    from veridical.errors import UsageError

    path = output / "manifest.parquet"
    if not path.exists():
        return
    reals = [video for video in Manifest.read(path).videos() if video.label == 0]
    there = {video.video_id.removesuffix(f"@{video.compression}") for video in reals}
    lost = there - set(videos.table["video_id"].to_pylist())
    if lost:
        raise UsageError(
            f"{output} holds a corpus of other videos ({len(lost)} are not in this manifest, first {min(lost)!r}); "
            "choose another folder"
        )


def _refuse_nothing(report: ForgeReport, output: Path) -> None:
    """Raise an error with the most common reason if not a single video was forged."""
    from veridical.errors import UsageError

    failures = report.failures()
    if not report.num_fakes:
        reason, count = failures.most_common(1)[0]
        raise UsageError(
            f"none of {failures.total()} videos could be forged; {count} of them {reason}; "
            f"all reasons are in {output / 'outcomes.csv'}"
        )


def _range_of(text: str) -> tuple[float, float]:
    """Parse "0.5" or "0.2-0.6"."""
    from veridical.errors import UsageError

    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(f"--severity {text!r}: expected a number or a range, for example 0.5 or 0.2-0.6") from None


def _show_counts(report: ForgeReport) -> None:
    from rich.table import Table

    console = open_console()
    statuses = sorted({outcome.status for outcome in report.outcomes} - {"ok"})
    splits = [split for split in ("train", "val", "test", None) if split in report.splits]
    table = Table("made", *(split or "no split" for split in splits), "all", *statuses)
    for method in report.methods:
        made = [report.count(method, "ok", split) for split in splits]
        failed = [report.count(method, status) for status in statuses]
        table.add_row(method, *map(str, [*made, sum(made), *failed]))
    console.print(table)
