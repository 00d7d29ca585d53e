"""Foreign detectors on a clip store: a Python function, an ONNX file, a Hugging Face model. Nothing about them is guessed."""

from __future__ import annotations

from pathlib import Path

from veridical.errors import unknown_name
from veridical.inference.foreign.base import ForeignScorer
from veridical.inference.foreign.python import load_python
from veridical.settings import parse_settings, read_yaml

KINDS = ("onnx", "huggingface")

__all__ = ["KINDS", "ForeignScorer", "load_declared", "load_python"]


def load_declared(path: Path) -> ForeignScorer:
    """Load the detector that a YAML file declares.

    Raises:
        UsageError: when the file cannot be read, the model cannot be loaded, or it is not declared in full.
    """
    values = read_yaml(path)
    kind = values.get("kind")
    if kind == "onnx":
        from veridical.inference.foreign.onnx import OnnxScorer, OnnxSettings

        onnx = parse_settings(OnnxSettings, values, str(path))
        return OnnxScorer(str(path), onnx.model_copy(update={"file": path.parent / onnx.file}))
    if kind == "huggingface":
        from veridical.inference.foreign.huggingface import HuggingFaceScorer, HuggingFaceSettings

        hub = parse_settings(HuggingFaceSettings, values, str(path))
        beside = path.parent / hub.model
        return HuggingFaceScorer(str(path), hub.model_copy(update={"model": str(beside)}) if beside.is_dir() else hub)
    raise unknown_name(f"kind in {path}:", str(kind), KINDS)
