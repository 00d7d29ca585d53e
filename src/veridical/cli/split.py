"""`veridical split`: which videos train, which choose, which judge, with the proof that they share nothing."""

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
    from veridical.corpora import SplitResult


def split(
    manifest: Annotated[list[Path], typer.Argument(help="Manifest; several are put together.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write, with splits.")],
    scheme: Annotated[
        str,
        typer.Option(
            help="official, repaired (official without its leaks), stratified, leave-generator-out, kfold, or all-test "
            "(a corpus that only judges)."
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
            help="What must not be on two sides: component (whatever is tied by people, originals, files), identity "
            "(people are split, videos that cross are left out), target (the person shown). [default: component]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when the splits share anything.")] = False,
) -> None:
    """Divide a manifest into train, val and test so that no person, original or file is in two of them.

    The proof (what is shared, how many videos of each kind, what was moved or left out) is shown and written beside the
    manifest as OUTPUT.proof.json.
    """
    from veridical import corpora
    from veridical.artefacts import Manifest, check_file_name, write_json

    check_file_name(output, ".parquet")
    shares = None if fractions is None else _numbers(fractions)
    videos = Manifest.concat([Manifest.read(path) for path in manifest])
    result = corpora.split(videos, scheme, seed=seed, fractions=shares, held_out=held_out, fold=fold, group_by=group_by)
    result.manifest.write(output)
    write_json(output.with_name(output.name + ".proof.json"), result.to_json())
    _show(open_console(), result)
    open_console().print(f"{len(result.manifest)} videos: {output}", highlight=False, markup=False, soft_wrap=True)
    if strict and not result.proof.clean:
        raise typer.Exit(1)


def _numbers(fractions: str) -> list[float]:
    from veridical.errors import UsageError

    try:
        return [float(value) for value in fractions.split(",")]
    except ValueError:
        raise UsageError(f"--fractions {fractions!r}: expected three numbers, for example 0.8,0.1,0.1") from None


def _show(console: Console, result: SplitResult) -> None:
    table = Table("dataset", "generator", "compression", "label", "train", "val", "test", "unused")
    for column in table.columns[4:]:
        column.justify = "right"
    for row in result.proof.counts.to_dict(orient="records"):
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)
    groups = ", ".join(f"{name} {count}" for name, count in result.proof.groups.items())
    lines = [f"leak groups: {groups}", *result.notes, *proof_lines(result.proof)]
    if len(result.moved):
        lines.append(f"{len(result.moved)} videos moved, listed in the proof")
    lines += [f"{count} videos left out: {reason}" for reason, count in result.dropped["reason"].value_counts().items()]
    for line in lines:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
