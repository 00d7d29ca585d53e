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
    from veridical.evaluation import Evaluation
    from veridical.reports import ReportExtras, write_report

    check_file_name(output, ".html")
    extras = ReportExtras.of_run(evaluations[0], title)
    page = write_report([Evaluation.read(path) for path in evaluations], output, extras=extras)
    open_console().print(f"report: {page}", highlight=False, markup=False, soft_wrap=True)
