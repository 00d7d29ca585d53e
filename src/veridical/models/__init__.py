"""The detector model and its parts: video encoder, temporal encoder, audio encoder, fusion, heads."""

from veridical.models.detector import DetectorModel, DetectorOutput, Features, Modality, ModelSettings
from veridical.models.freezing import set_modes, set_trainable, trainable_names
from veridical.models.summary import PartSummary, summarise

__all__ = [
    "DetectorModel",
    "DetectorOutput",
    "Features",
    "Modality",
    "ModelSettings",
    "PartSummary",
    "set_modes",
    "set_trainable",
    "summarise",
    "trainable_names",
]
