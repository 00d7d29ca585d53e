"""Selection by validation: the best epoch of a stage, when to stop it, and what to conclude from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from veridical.settings import Settings

MAX_ECE = 0.05
"""Expected calibration error above which a stage is to be recalibrated."""


class EarlyStopping(Settings):
    """When to stop a stage; its best weights are restored."""

    patience: int = Field(3, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = Field(0.002, ge=0)
    """Smallest rise of validation AUC that counts as an improvement."""
    min_loss_drop: float = Field(0.01, ge=0, lt=1)
    """Where AUC equals the best so far, a fall of the validation loss by this share counts as well: learning goes on at AUC 1."""
    stop_run_below: float = Field(0.0, ge=0, le=1)
    """A stage whose best validation AUC is lower ends the run; 0 never does."""
    accept_chance: tuple[str, ...] = ()
    """Names of stages after which the run goes on although validation shows no more than chance."""


@dataclass
class Selection:
    """The best epoch of a stage so far, and how long nothing has improved."""

    best_auc: float = -1.0
    best_loss: float = 1e9
    best_epoch: int = -1
    reference_auc: float = -1.0
    """AUC from which the next improvement is measured."""
    reference_loss: float = 1e9
    """Validation loss from which the next improvement at an equal AUC is measured."""
    waited: int = 0
    """Epochs since the last improvement that counts."""

    def update(self, auc: float, loss: float, epoch: int, settings: EarlyStopping) -> bool:
        """Take note of an epoch's validation; return whether it is the best so far, ties in AUC going to the lower loss."""
        is_best = (auc, -loss) > (self.best_auc, -self.best_loss)
        if is_best:
            self.best_auc, self.best_loss, self.best_epoch = auc, loss, epoch
        rises = auc > self.reference_auc + settings.min_delta
        ties = auc >= self.best_auc and loss < self.reference_loss * (1 - settings.min_loss_drop)
        if rises or ties:
            self.reference_auc, self.reference_loss = max(auc, self.reference_auc), loss
        self.waited = 0 if rises or ties else self.waited + 1
        return is_best


@dataclass(frozen=True)
class Decision:
    """What to conclude from a stage."""

    name: str
    """`proceed`, `recalibrate` or `stop`."""
    reason: str
    ends_run: bool


def decision(best: dict[str, Any], settings: EarlyStopping, *, is_last: bool) -> Decision:
    """Decide by the best epoch of a stage (a row of the history): chance or too low, overconfident, or good to go on.

    A stage at chance ends the run unless it was accepted by name. After the last stage there is nothing to stop: its model, which
    gives no verdicts, is kept.
    """
    auc, error = best["val_auc"], best["val_ece"]
    if auc < settings.stop_run_below:
        reason = f"validation AUC {auc:.3f} is below early_stopping.stop_run_below={settings.stop_run_below:g}"
        return Decision("stop", reason, ends_run=True)
    if auc <= 0.5:
        reason = f"validation AUC {auc:.3f} is chance: check the data; nothing can build on this stage"
        if best["stage"] in settings.accept_chance:
            return Decision("stop", f"{reason}; goes on, as early_stopping.accept_chance says", ends_run=False)
        go_on = f"; to go on all the same: --resume --accept-chance {best['stage']}"
        return Decision("stop", reason if is_last else reason + go_on, ends_run=not is_last)
    if error > MAX_ECE:
        reason = f"ECE {error:.3f} is above {MAX_ECE:g}; the temperature fitted at the end of the run corrects it"
        return Decision("recalibrate", reason, ends_run=False)
    return Decision("proceed", f"AUC above chance, ECE {error:.3f} at most {MAX_ECE:g}", ends_run=False)
