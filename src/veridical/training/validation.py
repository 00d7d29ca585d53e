"""How good a stage is, on validation clips only: the figure that selects checkpoints, thresholds and temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from veridical.errors import NotEvaluableError
from veridical.inference.conditions import condition_logits
from veridical.metrics.ranking import roc_auc
from veridical.models import Detector
from veridical.training.features import FeatureSource
from veridical.training.recipe import LossSettings, Objective

CONDITION: dict[Objective, str] = {"video": "video_head", "audio": "audio_head", "joint": "joint"}


@dataclass(frozen=True)
class Validation:
    """Judgement of a validation split."""

    auc: float
    """Video level, mean logit."""
    loss: float
    """Smoothed binary cross-entropy, clip level; breaks ties."""
    auc_per_generator: dict[str, float]
    """Each generator's fakes against all reals."""
    videos: pd.DataFrame
    """A row per video: logit (mean), target, generator."""


def validate(
    detector: Detector,
    source: FeatureSource,
    clips: pd.DataFrame,
    objective: Objective,
    losses: LossSettings,
    batch: int,
) -> Validation:
    """Judge the validation clips.

    Args:
        detector: Will be judged in evaluation mode.
        source: Where features come from.
        clips: Rows with row, video_id, target, generator; both classes.
        objective: Which logit is judged.
        losses: For the smoothing.
        batch: Clips at a time.
    """
    detector.eval()
    condition = CONDITION[objective]
    rows = clips["row"].to_numpy()
    source.announce(rows, None)
    logits = np.concatenate(
        [
            condition_logits(detector, source.batch(rows[i : i + batch], None), (condition,))[condition]
            for i in range(0, len(rows), batch)
        ]
    )
    judged = clips.assign(logit=logits).dropna(subset=["logit"])
    videos = judged.groupby("video_id").agg(
        logit=("logit", "mean"), target=("target", "max"), generator=("generator", "first")
    )
    return Validation(
        auc=roc_auc(videos["target"].to_numpy(), videos["logit"].to_numpy()),
        loss=_loss(judged, losses.smoothing),
        auc_per_generator=_per_generator(videos),
        videos=videos.reset_index(),
    )


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
