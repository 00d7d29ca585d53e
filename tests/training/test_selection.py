"""Selection by validation: the best epoch, patience, and the decision at the end of a stage."""

from __future__ import annotations

import pytest

from veridical.training.history import stage_table
from veridical.training.selection import EarlyStopping, Selection, decision


@pytest.mark.parametrize(
    ("figures", "epochs", "best"),
    [
        # At an AUC of 1 learning goes on while the loss falls by 1 % or more, then patience (2) runs out.
        ([(1.0, 0.5), (1.0, 0.4), (1.0, 0.3), (1.0, 0.2), (1.0, 0.199), (1.0, 0.1985)], 6, 5),
        # A lower AUC with a falling loss is no improvement.
        ([(0.9, 0.5), (0.8, 0.4), (0.8, 0.3)], 3, 0),
        # Less than min_delta is not worth waiting for, but the best is the best.
        ([(0.9, 0.5), (0.901, 0.5), (0.9015, 0.5)], 3, 2),
        # Rising AUC with rising loss goes on.
        ([(0.6, 0.5), (0.7, 0.6), (0.8, 0.7), (0.8, 0.9), (0.8, 0.9)], 5, 2),
    ],
)
def test_patience(figures: list[tuple[float, float]], epochs: int, best: int) -> None:
    settings, selection = EarlyStopping(patience=2, min_delta=0.002), Selection()
    done = 0
    while done < 8 and selection.waited < settings.patience:
        auc, loss = figures[min(done, len(figures) - 1)]
        is_best = selection.update(auc, loss, done, settings)
        assert is_best == (selection.best_epoch == done)
        done += 1
    assert (done, selection.best_epoch) == (epochs, best)


@pytest.mark.parametrize(
    ("auc", "error", "name"),
    [(0.9, 0.03, "proceed"), (0.9, 0.08, "recalibrate"), (0.5, 0.01, "stop"), (0.4, 0.2, "stop")],
)
def test_decisions(auc: float, error: float, name: str) -> None:
    best = {"stage": "joint", "epoch": 2, "val_auc": auc, "val_ece": error, "val_loss": 0.5, "train_loss": 0.4}
    best["val_auc_per_generator"] = {"FaceSwap": 0.75}
    verdict = decision(best, EarlyStopping(), is_last=False)
    assert (verdict.name, verdict.ends_run) == (name, name == "stop")
    if verdict.ends_run:
        assert verdict.reason.endswith("to go on all the same: --resume --accept-chance joint")
    assert not decision(best, EarlyStopping(), is_last=True).ends_run, "its model is there to be looked at"
    accepted = decision(best, EarlyStopping(accept_chance=("joint",)), is_last=False)
    assert (accepted.name, accepted.ends_run) == (name, False)
    table = stage_table(best, 7, verdict)
    for words in ("stage joint", "2 of 7", f"{auc:.3f}", "FaceSwap", "0.750", f"  {name}: "):
        assert words in table, table
