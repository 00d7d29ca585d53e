"""Correction to a stated share of fakes, against simulation and repetition."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.worlds import World

from veridical.evaluation import EvaluationSettings, evaluate
from veridical.evaluation.figures import Sample, ece_at_prevalence
from veridical.metrics import at_prevalence, draw_groups, ece


def test_bayes_by_hand_and_against_a_simulation() -> None:
    assert at_prevalence([0.5], 0.5, 0.01) == pytest.approx([0.01])
    assert at_prevalence([0.9], 0.5, 0.1) == pytest.approx([0.9 * 0.2 / (0.9 * 0.2 + 0.1 * 1.8)])
    rng = np.random.default_rng(0)
    label = (rng.random(400_000) < 0.1).astype(int)
    score = rng.normal(1.5 * label, 1)
    from_equal_classes = 1 / (1 + np.exp(-1.5 * (score - 0.75)))
    corrected = at_prevalence(from_equal_classes, 0.5, 0.1)
    assert ece(label, corrected) < 0.004
    assert ece(label, from_equal_classes) > 0.1


def test_ece_at_a_prevalence_is_that_of_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], 40)
    p_fake = rng.random(80)
    sample = Sample(label, rng.normal(size=80), np.arange(80), draw_groups(np.arange(80), replicates=50))
    repeated = np.concatenate([np.repeat(np.arange(40), 3), np.arange(40, 80)])
    figure = ece_at_prevalence(sample, p_fake, 0.25)
    assert figure.observed == pytest.approx(ece(label[repeated], p_fake[repeated]))
    assert figure.low <= figure.value <= figure.high
    assert figure.value < figure.observed, "what chance adds is taken off"


def test_the_evaluation_corrects_and_says_how_well_it_fits() -> None:
    scores, manifest = World(splits={"val": 300, "test": 300}, auc={"Swap": 0.9, "Mouth": 0.9}).build(0)
    settings = EvaluationSettings(replicates=50, prevalence=0.05)
    result = evaluate(scores, manifest=manifest, settings=settings)
    assert result.value("ece_at_prevalence", "A", calibration="beta") < 0.03
    test = result.videos[result.videos["split"] == "test"]
    reals, fakes = (test.loc[test["label"] == label, "p_fake_in_use"] for label in (0, 1))
    assert reals.mean() < 0.05 < fakes.mean()
    weighted = 0.95 * reals.mean() + 0.05 * fakes.mean()
    assert weighted == pytest.approx(0.05, abs=0.02)
