"""`veridical demo`: the whole job on synthetic talking heads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.outcome import show_evaluation
from veridical.cli.terminal import open_console


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Other people, other words, another split.")] = 0,
    world: Annotated[
        str,
        typer.Option(
            help="Plant a shortcut in corpus A, such as audio_presence or codec (docs/puppets.md); see below."
        ),
    ] = "clean",
    workers: Annotated[int, typer.Option(help="Processes for rendering, forging and preparing.")] = 2,
    shuffle_labels: Annotated[
        bool,
        typer.Option("--shuffle-labels", help="A control: shuffle the labels; nothing can be learned then."),
    ] = False,
) -> None:
    """Render talking heads, forge some, train a detector and evaluate it: the whole job in ten minutes, without a download.

    With --world a shortcut is planted that tells real from fake without looking at the content. Training is
    refused if the model can see the shortcut; otherwise it is flagged in the report.

    Ends with DIR/report.html, DIR/metrics.csv and DIR/risks.csv. Run again, it keeps the steps that are done.
    """
    from veridical.demo import DemoSettings, run_demo

    console = open_console()
    result = run_demo(output, DemoSettings(seed=seed, shuffle_labels=shuffle_labels, world=world), workers=workers)
    if result.num_unusable:
        console.print(
            f"{result.num_unusable} videos could not be prepared; see the ledgers of the stores", highlight=False
        )
    show_evaluation(console, result.evaluation, result.report)
