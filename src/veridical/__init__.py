"""Train, test and explain audio-visual deepfake detectors, with numbers that can be trusted.

>>> import veridical as vd
>>> detector = vd.load_detector("run")      # doctest: +SKIP
>>> detector.predict("talk.mp4").p_fake     # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Idle OpenMP threads that spin starve all others on contended cores (frames many times slower were seen); the runtime reads this
# once, when torch is first loaded, so it must be set before. ONNX Runtime and the model hub's client report on their use over the
# network unless told not to: nothing here leaves the machine unasked. What the user has set stays.
for _name, _value in (
    ("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "0"), ("ORT_DISABLE_TELEMETRY", "1"), ("HF_HUB_DISABLE_TELEMETRY", "1"),
):  # fmt: skip
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    from veridical.artefacts import Manifest as Manifest
    from veridical.artefacts import ScoreTable as ScoreTable
    from veridical.clips import ClipStore as ClipStore
    from veridical.corpora import scan as scan
    from veridical.corpora import split as split
    from veridical.evaluation import evaluate as evaluate
    from veridical.forgery import forge as forge
    from veridical.inference import (
        load_detector as load_detector,
    )
    from veridical.inference import (
        load_scorer as load_scorer,
    )
    from veridical.inference import (
        score_store as score_store,
    )
    from veridical.pipeline import judge as judge
    from veridical.preparation import prepare as prepare
    from veridical.reports import write_report as write_report
    from veridical.training import read_recipe as read_recipe
    from veridical.training import train as train

_HOMES = {
    "ClipStore": "clips",
    "Manifest": "artefacts",
    "ScoreTable": "artefacts",
    "evaluate": "evaluation",
    "forge": "forgery",
    "judge": "pipeline",
    "load_detector": "inference",
    "load_scorer": "inference",
    "prepare": "preparation",
    "read_recipe": "training",
    "scan": "corpora",
    "score_store": "inference",
    "split": "corpora",
    "train": "training",
    "write_report": "reports",
}

__all__ = sorted(["__version__", *_HOMES])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch takes seconds and not every use needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'veridical' has no attribute {name!r}")
    return getattr(importlib.import_module(f"veridical.{_HOMES[name]}"), name)
