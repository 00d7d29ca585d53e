"""`veridical compare`: is one detector better than another, or is it chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    import pandas as pd

    from veridical.evaluation import ComparedSet, Evaluation

ALPHA = 0.05
HEADLINE = ("auc", "eer", "average_precision", "fpr_at_95_tpr")


def compare(
    first: Annotated[Path, typer.Argument(help="Evaluation folder, or a run that has been evaluated.")],
    second: Annotated[Path, typer.Argument(help="The other one; differences are second minus first.")],
) -> None:
    """Compare two evaluations: figures, significance on the videos they share, and what else differs.

    Interval and p are those of a paired test over leak groups (Obuchowski, 1997); Holm's correction is for the number of data
    sets. DeLong's test takes videos as independent.
    """
    from veridical import evaluation

    console = open_console()
    sides = [evaluation.Evaluation.read(path) for path in (first, second)]
    comparison = evaluation.compare(*sides)
    table = Table("data set", "videos", "first", "second", "difference", "p", title="AUC", title_justify="left")
    for item in comparison.sets:
        numbers = [""] * 4
        if not item.reason:
            difference = f"{item.difference:+.3f} \\[{item.low:+.3f}, {item.high:+.3f}]"
            numbers = [f"{item.auc_first:.3f}", f"{item.auc_second:.3f}", difference, f"{item.p_holm:.3g}"]
        table.add_row(f"{escape(item.dataset)} {item.split}", f"{item.shared}", *numbers)
    console.print(table)
    for item in comparison.sets:
        console.print(_conclusion(item), highlight=False, soft_wrap=True)
    _show_figures(console, comparison.figures, sides[0])
    if comparison.differences:
        other = Table("what differs", "first", "second")
        for row in comparison.differences:
            other.add_row(*map(escape, row))
        console.print(other)


def _conclusion(item: ComparedSet) -> str:
    """Return the conclusion on one data set."""
    where = f"{escape(item.dataset)} {item.split}".strip()
    alone = (
        f"; {item.only_first} and {item.only_second} videos were scored by one side only"
        if item.only_first + item.only_second
        else ""
    )
    if item.reason:
        return f"{where}: not evaluable: {escape(item.reason)}{alone}"
    better = "second" if item.difference > 0 else "first"
    outcome = f"the {better} is better" if item.p_holm < ALPHA else "no difference shown"
    return f"{where}: {outcome} (p after Holm {item.p_holm:.3g}, DeLong {item.p_delong:.3g}){alone}"


def _show_figures(console: Console, figures: pd.DataFrame, first: Evaluation) -> None:
    """Print the headline figures of the test sets, under the primary condition and aggregation of the first evaluation."""
    condition, rule = first.facts.primary_condition, first.facts.settings.video_rule.rule
    tested = figures["split"] == figures["dataset"].map(dict(first.test_sets))
    plain = (figures["slice"] == "") & (figures["condition"] == condition) & tested
    rows = figures[plain & (figures["level"] == "video") & (figures["aggregation"] == rule)]
    if rows[["first", "second"]].isna().all(axis=None):
        return
    table = Table("data set", "figure", "first", "second", "difference")
    for row in rows[rows["metric"].isin(HEADLINE)].itertuples():
        table.add_row(
            escape(str(row.dataset)), str(row.metric), f"{row.first:.3f}", f"{row.second:.3f}", f"{row.difference:+.3f}"
        )
    console.print(table)
