"""Inference: the only way from clips or a file to a score."""

from veridical.inference.bundle import Bundle, Calibration, ModelFacts, load_bundle, save_bundle
from veridical.inference.conditions import CONDITIONS, condition_logits
from veridical.inference.detector import ClipScore, LoadedDetector, Prediction, load_detector
from veridical.inference.scoring import score_store

__all__ = [
    "CONDITIONS",
    "Bundle",
    "Calibration",
    "ClipScore",
    "LoadedDetector",
    "ModelFacts",
    "Prediction",
    "condition_logits",
    "load_bundle",
    "load_detector",
    "save_bundle",
    "score_store",
]
