"""Foreign detectors on a clip store: a Python function, an ONNX file, a Hugging Face model. Nothing about them is guessed."""

from __future__ import annotations

from pathlib import Path

from veridical.errors import unknown_name
from veridical.inference.foreign.base import DeclaredSettings, ForeignScorer
from veridical.inference.foreign.huggingface import HuggingFaceSettings
from veridical.inference.foreign.onnx import OnnxSettings
from veridical.inference.foreign.python import load_python
from veridical.settings import parse_settings, read_yaml

KINDS: dict[str, type[DeclaredSettings]] = {"onnx": OnnxSettings, "huggingface": HuggingFaceSettings}
"""Kinds of detector that a YAML file can declare; the next one is a file here, with settings that load it, and a line."""

__all__ = ["KINDS", "DeclaredSettings", "ForeignScorer", "load_declared", "load_python"]


def load_declared(path: Path) -> ForeignScorer:
    """Load the detector that a YAML file declares.

    Raises:
        UsageError: when the file cannot be read, the model cannot be loaded, or it is not declared in full.
    """
    values = read_yaml(path)
    kind = str(values.get("kind"))
    if kind not in KINDS:
        raise unknown_name(f"kind in {path}:", kind, KINDS)
    return parse_settings(KINDS[kind], values, str(path)).load(str(path), path.parent)
