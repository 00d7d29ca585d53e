"""`veridical split`: videos for training, validation and test, with the proof that these share nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.tables import print_lines, print_table
from veridical.cli.terminal import open_console


def split(
    manifest: Annotated[list[Path], typer.Argument(help="Manifest; several are concatenated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write, with splits.")],
    scheme: Annotated[
        str,
        typer.Option(
            help="official, repaired (official without its leaks), stratified, leave-generator-out, kfold, or all-test "
            "(a corpus to test on only)."
        ),
    ] = "stratified",
    fractions: Annotated[
        str | None,
        typer.Option(help="stratified, leave-generator-out: shares of train, val and test. [default: 0.8,0.1,0.1]"),
    ] = None,
    held_out: Annotated[str | None, typer.Option(help="leave-generator-out: the generator that only test has.")] = None,
    fold: Annotated[str | None, typer.Option(help="kfold: K/N, test is part K of N, for example 1/5.")] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="What must not be in two splits: component (videos linked by people, originals, files), identity "
            "(people are split, videos with people of two splits are left out), target (the person shown). "
            "[default: component]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw; another seed gives another split.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when the splits share anything.")] = False,
) -> None:
    """Divide a manifest into train, val and test so that no person, original or file is in two of them.

    The proof (what is shared, how many videos of each kind, what was moved or left out) is shown, and written next to
    the manifest as OUTPUT.proof.json.
    """
    from veridical import corpora
    from veridical.artefacts import Manifest, check_file_name

    check_file_name(output, ".parquet")
    shares = None if fractions is None else _numbers(fractions)
    videos = Manifest.concat([Manifest.read(path) for path in manifest])
    result = corpora.split(videos, scheme, seed=seed, fractions=shares, held_out=held_out, fold=fold, group_by=group_by)
    result.write(output)
    console = open_console()
    print_table(console, corpora.videos_table(result.proof.counts, by_split=True))
    print_lines(console, result.lines, indent="  ")
    print_lines(console, [f"warning: {line}" for line in corpora.training_obstacles(result.manifest)])
    print_lines(console, [f"{len(result.manifest)} videos: {output}"])
    if strict and not result.proof.clean:
        raise typer.Exit(1)


def _numbers(fractions: str) -> list[float]:
    from veridical.errors import UsageError

    try:
        return [float(value) for value in fractions.split(",")]
    except ValueError:
        raise UsageError(f"--fractions {fractions!r}: expected three numbers, for example 0.8,0.1,0.1") from None
