"""The detector and its parts: video encoder, temporal encoder, audio encoder, fusion, heads."""

from veridical.models.detector import Detector, DetectorOutput, DetectorSettings, Features, Modality
from veridical.models.summary import PartSummary, summarise

__all__ = ["Detector", "DetectorOutput", "DetectorSettings", "Features", "Modality", "PartSummary", "summarise"]
