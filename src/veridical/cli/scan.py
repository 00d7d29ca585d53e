"""`veridical scan`: a corpus as it was downloaded becomes a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.tables import print_lines, print_table
from veridical.cli.terminal import open_console

_CORPORA = "faceforensics, celebdf, dfdc, fakeavceleb, lavdf, avdeepfake1m, deepspeak, folder (real/ and fake/), csv"

IdentityPattern = Annotated[
    str | None,
    typer.Option(
        help="folder: regular expression searched in each relative path; its named group `identity` is the person, "
        "for example `(?P<identity>[^/]+)/` where each person has a folder."
    ),
]
ContentHash = Annotated[
    bool | None,
    typer.Option(
        "--hash/--no-hash", help="With --probe: also read each whole file, to find duplicates. [default: --hash]"
    ),
]
PerceptualHash = Annotated[
    bool,
    typer.Option(
        "--perceptual-hash", help="With --probe: also decode three frames of each video, to find re-encoded copies."
    ),
]


def scan(
    corpus: Annotated[str, typer.Argument(help=f"Which corpus: {_CORPORA}.")],
    root: Annotated[Path, typer.Argument(help="Folder of the corpus; for csv the file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write.")] = Path("manifest.parquet"),
    dataset: Annotated[str | None, typer.Option(help="Name of the corpus in the manifest.")] = None,
    compression: Annotated[
        str | None, typer.Option(help="Compression level of all videos where the folders do not say (c0, c23, c40).")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder with the list files of the corpus, when they are outside its own folder."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Release of the corpus, where several look alike (Celeb-DF: v1, v2, ++).")
    ] = None,
    all_real: Annotated[bool, typer.Option("--all-real", help="folder: every video is real.")] = False,
    identity_pattern: IdentityPattern = None,
    fakes: Annotated[
        str | None, typer.Option(help="folder: what is forged in the fakes: visual, audio, both or unknown.")
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Open every video for duration, size, codecs and audio; an interrupted probe resumes."
        ),
    ] = False,
    content_hash: ContentHash = None,
    perceptual_hash: PerceptualHash = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="With --probe: videos opened at the same time. [default: 2]", min=1)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when videos are missing or unreadable.")
    ] = False,
) -> None:
    """List the videos of a corpus with their labels, generators and people, as far as names and list files say.

    Nothing is guessed: what is missing, unknown or contradictory is counted and shown. Published counts of
    videos are shown next to the actual ones.
    """
    from veridical import corpora
    from veridical.errors import UsageError

    given = {"--hash/--no-hash": content_hash, "--perceptual-hash": perceptual_hash or None, "--workers": workers}
    idle = [name for name, value in given.items() if value is not None]
    if idle and not probe:
        raise UsageError(f"{idle[0]} says how videos are opened, which only --probe does; add --probe")
    probing = corpora.Probing(content_hash is not False, perceptual_hash, workers or 2) if probe else None
    result = corpora.scan_to_file(
        output, corpus, root, probing=probing, dataset=dataset, compression=compression, lists=lists, version=version,
        all_real=all_real or None, identity_pattern=identity_pattern, fakes=fakes,
    )  # fmt: skip
    console = open_console()
    print_table(console, corpora.videos_table(corpora.split_counts(result.manifest)))
    print_lines(console, result.lines, indent="  ")
    print_lines(console, [f"{len(result.manifest)} videos: {output}"])
    if strict and not result.complete:
        raise typer.Exit(1)
