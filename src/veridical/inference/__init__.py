"""Inference: the only way from clips or a file to a score, by a detector of this project or a foreign one."""

from veridical.inference.conditions import CONDITIONS, condition_logits, encode
from veridical.inference.detector import ClipScore, Detector, PersonScore, Prediction, load_detector, save_detector
from veridical.inference.model_folder import (
    WEIGHTS_FILE,
    ModelFacts,
    Worth,
    current_version,
    describe_pretrained,
    read_seen,
    read_worth,
)
from veridical.inference.prediction import Unpredicted, describe_calibration, find_videos, predict_files
from veridical.inference.scoring import ClipScorer, load_scorer, score_store

__all__ = [
    "CONDITIONS",
    "WEIGHTS_FILE",
    "ClipScore",
    "ClipScorer",
    "Detector",
    "ModelFacts",
    "PersonScore",
    "Prediction",
    "Unpredicted",
    "Worth",
    "condition_logits",
    "current_version",
    "describe_calibration",
    "describe_pretrained",
    "encode",
    "find_videos",
    "load_detector",
    "load_scorer",
    "predict_files",
    "read_seen",
    "read_worth",
    "save_detector",
    "score_store",
]
