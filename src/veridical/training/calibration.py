"""The end of a run: temperature and operating points from validation, and the model folder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from veridical.artefacts import fingerprint
from veridical.inference import Detector, ModelFacts, current_version, describe_pretrained, save_detector
from veridical.metrics import Calibration, ece, fit_temperature, threshold_at_eer, threshold_at_tpr
from veridical.models import DetectorModel
from veridical.training.data import TrainingData
from veridical.training.recipe import Recipe
from veridical.training.run import Run, comparable
from veridical.training.validation import Validation

LICENCE = "weights: as the training data and the pretrained weights allow; code: Apache-2.0"


def calibrate(labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float64]) -> tuple[Calibration, dict[str, float]]:
    """Return the temperature and the operating points (thresholds on the logit) for validation videos.

    Guo et al. 2017, arXiv:1706.04599: one temperature, here on the mean logit of each video, the level that is reported.
    """
    temperature = fit_temperature(labels, logits).temperature
    calibration = Calibration(
        temperature=temperature,
        fitted_on="val, mean logit per video",
        num_videos=len(labels),
        ece_before=ece(labels, expit(logits)),
        ece_after=ece(labels, expit(logits / temperature)),
    )
    return calibration, {"eer": threshold_at_eer(labels, logits), "tpr95": threshold_at_tpr(labels, logits)}


def finish_model(detector: DetectorModel, found: Validation, data: TrainingData, recipe: Recipe, run: Run) -> None:
    """Fit the temperature and the operating points on validation videos and write the model folder."""
    calibration, points = calibrate(found.videos["target"].to_numpy(), found.videos["logit"].to_numpy())
    facts = ModelFacts(
        name=recipe.name,
        veridical_version=current_version(),
        inputs=recipe.inputs,
        preparation=data.store.settings,
        detector=recipe.model,
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
    save_detector(run.model_folder, Detector(facts, [detector.eval()]))
