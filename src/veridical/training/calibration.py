"""The end of a run: temperature and operating points from validation, and the model folder."""

from __future__ import annotations

import pandas as pd
from scipy.special import expit

from veridical.artefacts import Seen, fingerprint
from veridical.clips import first_clip_hashes
from veridical.corpora import resampling_units
from veridical.errors import NotEvaluableError
from veridical.inference import (
    Detector,
    ModelFacts,
    Worth,
    current_version,
    describe_pretrained,
    read_seen,
    save_detector,
)  # fmt: skip
from veridical.metrics import (
    Aggregation,
    Calibration,
    ece,
    fit_temperature,
    group_bootstrap_auc,
    roc_auc,
    threshold_at_eer,
    threshold_at_tpr,
)  # fmt: skip
from veridical.models import DetectorModel
from veridical.training.data import TrainingData
from veridical.training.recipe import Recipe
from veridical.training.run import Run, comparable
from veridical.training.validation import Validation

LICENCE = "weights: as the training data and the pretrained weights allow; code: Apache-2.0"


def calibrate(videos: pd.DataFrame, aggregation: Aggregation) -> tuple[Calibration, dict[str, float], Worth]:
    """Return the temperature, the operating points (thresholds on the logit) and what the model is worth on validation videos.

    Guo et al. 2017, arXiv:1706.04599: one temperature, here for the logits of videos, the level that is reported.

    Args:
        videos: A row per video: logit, target, group (what is resampled: `corpora.resampling_units`).
        aggregation: By which the logits were aggregated.
    """
    labels, logits = videos["target"].to_numpy(), videos["logit"].to_numpy()
    fitted = Calibration(
        temperature=fit_temperature(labels, logits, num_independent=videos["group"].nunique()).temperature,
        fitted_on=f"val, {aggregation} logit per video",
        num_videos=len(labels),
    )
    errors = {"ece_before": ece(labels, expit(logits)), "ece_after": ece(labels, fitted.p_fake(logits))}
    points = {"eer": threshold_at_eer(labels, logits), "tpr95": threshold_at_tpr(labels, logits)}
    return fitted.model_copy(update=errors), points, _worth(videos)


def _worth(videos: pd.DataFrame) -> Worth:
    labels, logits = videos["target"].to_numpy(), videos["logit"].to_numpy()
    size = {"num_videos": len(videos), "num_groups": videos["group"].nunique()}
    try:
        auc, interval = group_bootstrap_auc(labels, logits, videos["group"])
    except NotEvaluableError:  # too few groups for an interval
        return Worth(auc=roc_auc(labels, logits), **size)
    return Worth(auc=auc, low=interval.low, high=interval.high, **size)


def finish_model(model: DetectorModel, validation: Validation, data: TrainingData, recipe: Recipe, run: Run) -> None:
    """Fit the temperature and choose the operating points on validation videos, and write the model folder."""
    units = resampling_units(data.manifest, validation.videos["video_id"].tolist())
    calibration, points, worth = calibrate(validation.videos.assign(group=units), recipe.aggregation)
    facts = ModelFacts(
        name=recipe.name,
        veridical_version=current_version(),
        inputs=recipe.inputs,
        preparation=data.store.settings,
        detector=recipe.model,
        aggregation=recipe.aggregation,
        calibration=calibration,
        worth=worth,
        operating_points=points,
        fingerprints={
            "store": data.store.fingerprint,
            "manifest": data.manifest.fingerprint,
            "recipe": fingerprint(comparable(recipe)),
        },
        licence=LICENCE,
        pretrained=describe_pretrained(recipe.model),
    )
    save_detector(run.model_folder, Detector(facts, [model.eval()], _seen(data, recipe)))


def _seen(data: TrainingData, recipe: Recipe) -> Seen:
    """Return what the model was trained on, the videos of the run that it started from included."""
    seen = Seen.of(data.manifest, first_clip_hashes(data.store, data.clips["video_id"]))
    before = read_seen(recipe.start_from) if recipe.start_from is not None else None
    return seen if before is None else seen.joined(before)
