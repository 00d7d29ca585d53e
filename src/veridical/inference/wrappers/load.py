"""From what a user names to a detector: `FILE.py:NAME`, `MODULE:NAME`, or a YAML file that declares a model."""

from __future__ import annotations

from pathlib import Path

from veridical.errors import UsageError, unknown_name
from veridical.inference.wrappers.base import ClipDetector
from veridical.inference.wrappers.python import load_python
from veridical.settings import parse_settings, read_yaml

KINDS = ("onnx", "huggingface")


def load_wrapped(spec: str) -> ClipDetector:
    """Load a foreign detector.

    Args:
        spec: `FILE.py:NAME` or `MODULE:NAME` for a Python function or object; a `.yaml` file with `kind: onnx` or
            `kind: huggingface` for the others.

    Raises:
        UsageError: when it cannot be found, loaded, or is not declared in full.
    """
    path = Path(spec)
    if path.suffix in (".yaml", ".yml"):
        return _declared(path)
    if ":" in spec:
        return load_python(spec)
    raise UsageError(
        f"--detector {spec!r}: expected FILE.py:NAME, MODULE:NAME, or a .yaml file with kind: {' or '.join(KINDS)}"
    )


def _declared(path: Path) -> ClipDetector:
    values = read_yaml(path)
    kind = values.get("kind")
    if kind == "onnx":
        from veridical.inference.wrappers.onnx import OnnxDetector, OnnxSettings

        onnx = parse_settings(OnnxSettings, values, str(path))
        return OnnxDetector(onnx.model_copy(update={"file": path.parent / onnx.file}))
    if kind == "huggingface":
        from veridical.inference.wrappers.huggingface import HuggingFaceDetector, HuggingFaceSettings

        hub = parse_settings(HuggingFaceSettings, values, str(path))
        beside = path.parent / hub.model
        return HuggingFaceDetector(hub.model_copy(update={"model": str(beside)}) if beside.is_dir() else hub)
    raise unknown_name(f"kind in {path}:", str(kind), KINDS)
