"""The record of a run: a row per epoch in metrics.jsonl, TensorBoard events, and progress shown to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_fabric import Fabric

from veridical import progress
from veridical.settings import flatten
from veridical.training.run import Run
from veridical.training.selection import Decision
from veridical.training.validation import Validation

Row = dict[str, Any]


def history_row(
    stage: str, epoch: int, terms: dict[str, float], shares: dict[str, float], validation: Validation
) -> Row:
    """Return the row of metrics.jsonl for an epoch (counted from 0)."""
    return {
        "stage": stage,
        "epoch": epoch + 1,
        **{f"train_{name}": value for name, value in terms.items()},
        "loss_shares": shares,
        "val_loss": validation.loss,
        "val_auc": validation.auc,
        "val_ece": validation.ece,
        "val_auc_per_generator": validation.auc_per_generator,
    }


def log_epoch(fabric: Fabric, run: Run, history: list[Row], seconds: float, epochs: int) -> None:
    """Write down the last epoch of the history and show it.

    Args:
        fabric: Its loggers get the row's numbers as `<stage>/<name>`.
        run: Gets the whole history anew.
        history: A row per epoch of the run so far.
        seconds: That the epoch took.
        epochs: Of the stage, at most.
    """
    row = history[-1]
    if fabric.is_global_zero:
        run.write_history(history)
    numbers = {name: value for name, value in flatten(row, "/").items() if isinstance(value, float)}
    fabric.log_dict({f"{row['stage']}/{name}": value for name, value in numbers.items()}, len(history))
    losses = f"validation loss {row['val_loss']:.3f}, loss {row['train_loss']:.3f}"
    if len(row["loss_shares"]) > 1:
        losses += f" ({', '.join(f'{name} {share:.1%}' for name, share in row['loss_shares'].items())})"
    each = ", ".join(f"{name} {auc:.2f}" for name, auc in row["val_auc_per_generator"].items())
    left = seconds * (epochs - row["epoch"])
    time_left = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
    progress.say(
        f"stage {row['stage']}, epoch {row['epoch']}: {losses}, AUC {row['val_auc']:.3f} ({each}); "
        f"at most {time_left} left in this stage"
    )


def stage_table(best: Row, num_epochs: int, verdict: Decision, unreached: Sequence[str] = ()) -> str:
    """Return the table that is shown at the end of a stage: its best epoch, what it never came to, and the decision."""
    rows = [
        ("best epoch", f"{best['epoch']} of {num_epochs}"),
        ("validation AUC (video level)", f"{best['val_auc']:.3f}"),
        *((f"  {name}", f"{auc:.3f}") for name, auc in best["val_auc_per_generator"].items()),
        ("validation loss", f"{best['val_loss']:.3f}"),
        ("training loss", f"{best['train_loss']:.3f}"),
        ("ECE before calibration", f"{best['val_ece']:.3f}"),
        *(("never opened", promise) for promise in unreached),
        ("decision", f"{verdict.name}: {verdict.reason}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"stage {best['stage']}", *(f"  {name:<{width}}  {value}" for name, value in rows)])
