"""How good a stage is, on validation clips only: the figure that selects checkpoints, thresholds and temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import expit

from veridical.devices import autocast
from veridical.errors import DivergedError, NotEvaluableError
from veridical.inference import condition_logits
from veridical.metrics import ece, roc_auc
from veridical.models import DetectorModel
from veridical.training.distributed import num_processes, process_number, sum_over_processes
from veridical.training.features import FeatureSource
from veridical.training.recipe import Objective, Recipe
from veridical.training.steps import ONLY

CONDITION: dict[Objective, str] = {"video": "video_head", "audio": "audio_head", "joint": "joint"}
MAX_ECE = 0.05
"""Expected calibration error above which a stage is to be recalibrated."""


@dataclass(frozen=True)
class Validation:
    """Judgement of a validation split."""

    auc: float
    """Video level, mean logit."""
    loss: float
    """Smoothed binary cross-entropy, clip level; breaks ties."""
    auc_per_generator: dict[str, float]
    """Each generator's fakes against all reals."""
    ece: float
    """Expected calibration error of the uncalibrated video-level probability, 10 bins."""
    videos: pd.DataFrame
    """A row per video: logit (mean), target, generator."""


@torch.no_grad()
def validate(
    detector: DetectorModel, source: FeatureSource, clips: pd.DataFrame, objective: Objective, recipe: Recipe
) -> Validation:
    """Judge the validation clips, each process its share; all get the same judgement.

    Args:
        detector: Will be judged in evaluation mode.
        source: Where features come from.
        clips: Rows with row, video_id, target, generator; both classes.
        objective: Which logit is judged.
        recipe: For smoothing, batch size and precision.

    Raises:
        DivergedError: when the detector no longer gives numbers.
    """
    detector.eval()
    logits = _logits(detector, source, clips["row"].to_numpy(), objective, recipe)
    if not np.isfinite(logits).any() or np.isinf(logits).any():
        raise DivergedError(f"validation: the {objective} logits are not finite; try a lower learning rate")
    judged = clips.assign(logit=logits).dropna(subset=["logit"])
    videos = judged.groupby("video_id").agg(
        logit=("logit", "mean"), target=("target", "max"), generator=("generator", "first")
    )
    target, logit = videos["target"].to_numpy(), videos["logit"].to_numpy()
    return Validation(
        auc=roc_auc(target, logit),
        loss=_loss(judged, recipe.losses.smoothing),
        auc_per_generator=_per_generator(videos),
        ece=ece(target, expit(logit)),
        videos=videos.reset_index(),
    )


def _logits(
    detector: DetectorModel, source: FeatureSource, rows: npt.NDArray[np.int64], objective: Objective, recipe: Recipe
) -> npt.NDArray[np.float64]:
    """Return a logit per clip; the clips are dealt out to the processes, so that none is judged twice."""
    places = np.arange(len(rows))[process_number() :: num_processes()]
    source.announce(rows[places], None)
    logits = np.zeros(len(rows))
    size, name, device = recipe.runtime.score_batch, CONDITION[objective], detector.video.mean.device
    for first in range(0, len(places), size):
        some = places[first : first + size]
        features = source.batch(rows[some], None, ONLY[objective])
        with autocast(device, recipe.runtime.precision):
            logits[some] = condition_logits(detector, features, (name,))[name]
    whole: npt.NDArray[np.float64] = sum_over_processes(torch.from_numpy(logits).to(device)).cpu().numpy()
    return whole


def _loss(judged: pd.DataFrame, smoothing: float) -> float:
    target = torch.tensor(np.where(judged["target"] == 1, 1 - smoothing, smoothing))
    logit = torch.tensor(judged["logit"].to_numpy())
    return float(torch.nn.functional.binary_cross_entropy_with_logits(logit, target))


def _per_generator(videos: pd.DataFrame) -> dict[str, float]:
    result = {}
    real = videos[videos["target"] == 0]
    for name, fake in videos[videos["target"] == 1].groupby("generator", sort=True):
        both = pd.concat([real, fake])
        try:
            result[str(name)] = roc_auc(both["target"].to_numpy(), both["logit"].to_numpy())
        except NotEvaluableError:
            continue
    return result


@dataclass(frozen=True)
class Decision:
    """What to make of a stage."""

    name: str
    """`proceed`, `recalibrate` or `stop`."""
    reason: str
    ends_run: bool


def history_row(stage: str, epoch: int, terms: dict[str, float], found: Validation) -> dict[str, Any]:
    """Return the line of metrics.jsonl for an epoch (counted from 0)."""
    return {
        "stage": stage,
        "epoch": epoch + 1,
        **{f"train_{name}": value for name, value in terms.items()},
        "val_loss": found.loss,
        "val_auc": found.auc,
        "val_ece": found.ece,
        "val_auc_per_generator": found.auc_per_generator,
    }


def decision(best: dict[str, Any], stop_below: float) -> Decision:
    """Judge a stage by its best epoch (a row of the history): chance or too low, overconfident, or good to go on."""
    auc, error = best["val_auc"], best["val_ece"]
    if auc < stop_below:
        reason = f"validation AUC {auc:.3f} is below early_stopping.stop_run_below={stop_below:g}"
        return Decision("stop", reason, ends_run=True)
    if auc <= 0.5:
        reason = f"validation AUC {auc:.3f} is chance: look at the data; nothing can build on it"
        return Decision("stop", reason, ends_run=False)
    if error > MAX_ECE:
        reason = (
            f"ECE {error:.3f} is above {MAX_ECE:g}; the temperature that is fitted at the end of the run corrects it"
        )
        return Decision("recalibrate", reason, ends_run=False)
    return Decision("proceed", f"AUC above chance, ECE {error:.3f} at most {MAX_ECE:g}", ends_run=False)


def stage_table(best: dict[str, Any], num_epochs: int, verdict: Decision) -> str:
    """Return the table that is shown at the end of a stage: its best epoch and the decision."""
    rows = [
        ("best epoch", f"{best['epoch']} of {num_epochs}"),
        ("validation AUC (video level)", f"{best['val_auc']:.3f}"),
        *((f"  {name}", f"{auc:.3f}") for name, auc in best["val_auc_per_generator"].items()),
        ("validation loss", f"{best['val_loss']:.3f}"),
        ("training loss", f"{best['train_loss']:.3f}"),
        ("ECE before calibration", f"{best['val_ece']:.3f}"),
        ("decision", f"{verdict.name}: {verdict.reason}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"stage {best['stage']}", *(f"  {name:<{width}}  {value}" for name, value in rows)])
