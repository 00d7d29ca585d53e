"""The end of a run: temperature and operating points from validation, and the model folder."""

from __future__ import annotations

import pandas as pd
from scipy.special import expit

from veridical.artefacts import fingerprint
from veridical.inference import Detector, ModelFacts, current_version, describe_pretrained, save_detector
from veridical.metrics import Aggregation, Calibration, ece, fit_temperature, threshold_at_eer, threshold_at_tpr
from veridical.models import DetectorModel
from veridical.training.data import TrainingData
from veridical.training.recipe import Recipe
from veridical.training.run import Run, comparable
from veridical.training.validation import Validation

LICENCE = "weights: as the training data and the pretrained weights allow; code: Apache-2.0"


def calibrate(videos: pd.DataFrame, aggregation: Aggregation) -> tuple[Calibration, dict[str, float]]:
    """Return the temperature and the operating points (thresholds on the logit) for validation videos.

    Guo et al. 2017, arXiv:1706.04599: one temperature, here for the logits of videos, the level that is reported.

    Args:
        videos: A row per video: logit, target.
        aggregation: By which the logits were aggregated.
    """
    labels, logits = videos["target"].to_numpy(), videos["logit"].to_numpy()
    fitted = Calibration(
        temperature=fit_temperature(labels, logits).temperature,
        fitted_on=f"val, {aggregation} logit per video",
        num_videos=len(labels),
    )
    errors = {"ece_before": ece(labels, expit(logits)), "ece_after": ece(labels, fitted.p_fake(logits))}
    return fitted.model_copy(update=errors), {
        "eer": threshold_at_eer(labels, logits),
        "tpr95": threshold_at_tpr(labels, logits),
    }


def finish_model(model: DetectorModel, validation: Validation, data: TrainingData, recipe: Recipe, run: Run) -> None:
    """Fit the temperature and choose the operating points on validation videos, and write the model folder."""
    calibration, points = calibrate(validation.videos, recipe.aggregation)
    facts = ModelFacts(
        name=recipe.name,
        veridical_version=current_version(),
        inputs=recipe.inputs,
        preparation=data.store.settings,
        detector=recipe.model,
        aggregation=recipe.aggregation,
        calibration=calibration,
        operating_points=points,
        fingerprints={
            "store": data.store.fingerprint,
            "manifest": data.manifest.fingerprint,
            "recipe": fingerprint(comparable(recipe)),
        },
        licence=LICENCE,
        pretrained=describe_pretrained(recipe.model),
    )
    save_detector(run.model_folder, Detector(facts, [model.eval()]))
