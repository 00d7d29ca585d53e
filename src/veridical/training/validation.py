"""Validation of a stage: the figures that select checkpoints, thresholds and temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import expit

from veridical.devices import autocast
from veridical.errors import DivergedError, NotEvaluableError
from veridical.inference import condition_logits
from veridical.metrics import Aggregation, ece, roc_auc
from veridical.models import DetectorModel
from veridical.training.distributed import num_processes, process_number, sum_over_processes
from veridical.training.features import FeatureSource
from veridical.training.objectives import OBJECTIVES, ObjectiveName
from veridical.training.recipe import Recipe


@dataclass(frozen=True)
class Validation:
    """How well the model separates the validation clips."""

    auc: float
    """Video level, by the recipe's aggregation."""
    loss: float
    """Smoothed binary cross-entropy, clip level; breaks ties."""
    auc_per_generator: dict[str, float]
    """Each generator's fakes against all real videos."""
    ece: float
    """Expected calibration error of the uncalibrated video-level probability, 10 bins."""
    videos: pd.DataFrame
    """A row per video: video_id, logit, target, generator."""


@torch.no_grad()
def validate(
    model: DetectorModel, source: FeatureSource, clips: pd.DataFrame, objective: ObjectiveName, recipe: Recipe
) -> Validation:
    """Score the validation clips, each process its share; all processes get the same result.

    Args:
        model: Put into evaluation mode.
        source: Where features come from.
        clips: Rows with row, video_id, target, generator; both classes.
        objective: Whose logit is scored.
        recipe: For aggregation, smoothing, batch size and precision.

    Raises:
        DivergedError: when the logits are no longer finite.
    """
    model.eval()
    logits = _logits(model, source, clips["row"].to_numpy(), objective, recipe)
    if not np.isfinite(logits).any() or np.isinf(logits).any():
        raise DivergedError(f"validation: the {objective} logits are not finite; try a lower learning rate")
    scored = clips.assign(logit=logits).dropna(subset=["logit"])
    videos = video_table(scored, recipe.aggregation)
    target, logit = videos["target"].to_numpy(), videos["logit"].to_numpy()
    return Validation(
        auc=roc_auc(target, logit),
        loss=_loss(scored, recipe.losses.smoothing),
        auc_per_generator=_per_generator(videos),
        ece=ece(target, expit(logit)),
        videos=videos,
    )


def video_table(clips: pd.DataFrame, aggregation: Aggregation) -> pd.DataFrame:
    """Return a row per video (video_id, logit, target, generator) of scored clips; a video is fake if one of its clips is."""
    number, names = pd.factorize(clips["video_id"], sort=True)
    videos = clips.groupby("video_id").agg(target=("target", "max"), generator=("generator", "first")).reset_index()
    logits = aggregation.video_logits(clips["logit"].to_numpy(np.float64), number, len(names))
    return videos.assign(logit=logits)


def _logits(
    model: DetectorModel, source: FeatureSource, rows: npt.NDArray[np.int64], objective: ObjectiveName, recipe: Recipe
) -> npt.NDArray[np.float64]:
    """Return a logit per clip; the clips are dealt out to the processes, so that none is scored twice."""
    places = np.arange(len(rows))[process_number() :: num_processes()]
    source.announce(rows[places], None)
    logits = np.zeros(len(rows))
    size, device = recipe.runtime.score_batch, model.video.mean.device
    name, modality = OBJECTIVES[objective].condition, OBJECTIVES[objective].modality
    for first in range(0, len(places), size):
        some = places[first : first + size]
        features = source.batch(rows[some], None, modality)
        with autocast(device, recipe.runtime.precision):
            logits[some] = condition_logits(model, features, (name,))[name]
    whole: npt.NDArray[np.float64] = sum_over_processes(torch.from_numpy(logits).to(device)).cpu().numpy()
    return whole


def _loss(clips: pd.DataFrame, smoothing: float) -> float:
    target = torch.tensor(np.where(clips["target"] == 1, 1 - smoothing, smoothing))
    logit = torch.tensor(clips["logit"].to_numpy())
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
