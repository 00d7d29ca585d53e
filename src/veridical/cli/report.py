"""`veridical report`: the page of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.terminal import open_console


def report(
    evaluations: Annotated[
        list[Path],
        typer.Argument(help="Evaluation folders, or runs; the first in full, all in the cross-corpus matrix."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
) -> None:
    """Write one HTML page: verdict, curves, breakdowns, risks, failures. It opens offline and prints well."""
    from veridical.artefacts import check_file_name
    from veridical.cli.evaluate import training_extras
    from veridical.reports import write_report

    check_file_name(output, ".html")
    runs = [path for path in evaluations if (path / "evaluation" / "default" / "evaluation.json").is_file()]
    folders = [path / "evaluation" / "default" if path in runs else path for path in evaluations]
    extras = {**training_extras(runs[0] if runs else None), "title": title}
    found = write_report(folders, output, extras=extras)
    open_console().print(f"report: {found}", highlight=False, markup=False, soft_wrap=True)
