"""`veridical scan`: a corpus as it was downloaded becomes a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    import pandas as pd

    from veridical.artefacts import Manifest
    from veridical.corpora import ProbeResult

_CORPORA = "faceforensics, celebdf, dfdc, fakeavceleb, lavdf, avdeepfake1m, deepspeak, folder (real/ and fake/), csv"


IdentityPattern = Annotated[
    str | None,
    typer.Option(
        help="folder: regular expression searched in each relative path; its named group `identity` is the person, "
        "for example `(?P<identity>[^/]+)/` where each has a folder."
    ),
]
Probe = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Open every video for duration, size, codecs and sound. Interrupted, it goes on where it was.",
    ),
]
ContentHash = Annotated[
    bool | None,
    typer.Option(
        "--hash/--no-hash", help="With --probe: read each whole file too, to find duplicates. [default: --hash]"
    ),
]
PictureHash = Annotated[
    bool,
    typer.Option("--picture-hash", help="With --probe: also decode three pictures, to find re-encoded copies."),
]


def scan(
    corpus: Annotated[str, typer.Argument(help=f"Which corpus: {_CORPORA}.")],
    root: Annotated[Path, typer.Argument(help="The corpus's folder; for csv the file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write.")] = Path("manifest.parquet"),
    dataset: Annotated[str | None, typer.Option(help="Name of the corpus in the manifest.")] = None,
    compression: Annotated[
        str | None, typer.Option(help="Compression level of all videos where the folders do not say (c0, c23, c40).")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Folder with the corpus's list files, when they are not inside its own folder.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the corpus, where several look alike (Celeb-DF: v1, v2, ++).")
    ] = None,
    all_real: Annotated[bool, typer.Option("--all-real", help="folder: every video is real.")] = False,
    identity_pattern: IdentityPattern = None,
    fakes: Annotated[
        str | None, typer.Option(help="folder: what is forged in the fakes: visual, audio, both or unknown.")
    ] = None,
    probe: Probe = False,
    content_hash: ContentHash = None,
    picture_hash: PictureHash = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="With --probe: videos opened at the same time. [default: 2]", min=1)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when videos are missing or unreadable.")
    ] = False,
) -> None:
    """List a corpus: every video with its labels, generator and people, as far as names and list files say.

    Nothing is guessed: what is missing, unknown or contradictory is counted and shown. The corpus's official counts are
    compared where they are known.
    """
    from veridical import corpora
    from veridical.artefacts import check_file_name

    check_file_name(output, ".parquet")
    _check_probe_options(
        probe, {"--hash/--no-hash": content_hash, "--picture-hash": picture_hash or None, "--workers": workers}
    )
    found = corpora.scan(
        corpus, root, dataset=dataset, compression=compression, lists=lists, version=version,
        all_real=all_real or None, identity_pattern=identity_pattern, fakes=fakes,
    )  # fmt: skip
    manifest, notices, num_unreadable = found.manifest, found.notices, 0
    if probe:
        probed = _probed(manifest, output, workers or 2, content_hash is not False, picture_hash)
        manifest, num_unreadable = probed.manifest, sum(notice.count for notice in probed.unreadable)
        notices = (*notices, *probed.unreadable, *probed.copies)
    manifest.write(output)
    if probe:
        _journal(output).unlink(missing_ok=True)
    console = open_console()
    console.print(_table(corpora.split_counts(manifest)))
    for line in [*(count.line for count in found.counts), *(notice.line for notice in notices)]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(manifest)} videos: {output}", highlight=False, markup=False, soft_wrap=True)
    if strict and (num_unreadable or not found.complete):
        raise typer.Exit(1)


def _check_probe_options(probe: bool, given: Mapping[str, object]) -> None:
    from veridical.errors import UsageError

    idle = [name for name, value in given.items() if value is not None]
    if idle and not probe:
        raise UsageError(f"{idle[0]} says how videos are opened, which only --probe does; add --probe")


def _journal(output: Path) -> Path:
    return output.with_name(output.name + ".probe.jsonl")


def _probed(manifest: Manifest, output: Path, workers: int, content_hash: bool, picture_hash: bool) -> ProbeResult:
    from veridical import corpora, media

    pictures = _picture_hash if picture_hash else None
    return corpora.probe_media(
        manifest,
        media.probe,
        journal=_journal(output),
        workers=workers,
        content_hash=content_hash,
        picture_hash=pictures,
    )


def _table(counts: pd.DataFrame) -> Table:
    table = Table("dataset", "generator", "compression", "label", "videos")
    table.columns[-1].justify = "right"
    for row in counts.to_dict(orient="records"):
        videos = sum(int(row[name]) for name in ("train", "val", "test", "unused"))
        table.add_row(
            *(escape(str(row[name])) for name in ("dataset", "generator", "compression", "label")), str(videos)
        )
    return table


def _picture_hash(path: Path, duration_s: float) -> str:
    """Hash the pictures at a tenth, half and nine tenths of a video."""
    from veridical import corpora, media

    pictures = []
    for share in (0.1, 0.5, 0.9):
        frame = next(iter(media.video_frames(path, start_s=share * duration_s)), None)
        if frame is not None:
            pictures.append(frame.image)
    return corpora.perceptual_hash(pictures)
