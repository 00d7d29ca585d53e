"""Other people's detectors on a clip store: a Python function, an ONNX file, a Hugging Face model; nothing is guessed."""

from veridical.inference.wrappers.base import ClipDetector
from veridical.inference.wrappers.load import load_wrapped
from veridical.inference.wrappers.scoring import score_store_with

__all__ = ["ClipDetector", "load_wrapped", "score_store_with"]
