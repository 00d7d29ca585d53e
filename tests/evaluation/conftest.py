"""What the tests of evaluation share."""

from __future__ import annotations

import pytest
from tests.evaluation.worlds import World, together

from veridical.evaluation import Evaluation, EvaluationSettings, evaluate

FAST = EvaluationSettings(replicates=200)


@pytest.fixture(scope="session")
def two_corpora() -> Evaluation:
    """A detector trained on A and tested on A and on B, which has no audio and another generator."""
    first = World(
        auc={"Swap": 0.95, "Mouth": 0.9, "Voice": 0.85},
        forged_sound=("Voice",),
        compression_loss={"c23": 0.0, "c40": 0.05},
    )
    scores, manifest = together(first, World(dataset="B", splits={"test": 80}, auc={"Other": 0.8}, sound="none"))
    return evaluate(scores, manifest=manifest, settings=FAST, title="a made-up detector")
