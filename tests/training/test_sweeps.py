"""Sweeps and ensembles: chosen on validation, continued, put together."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny import tiny_values

from veridical.clips import ClipStore
from veridical.errors import UsageError
from veridical.inference import load_detector, score_store
from veridical.progress import Task, listening
from veridical.training import sweeps
from veridical.training.sweeps import Choice, ensemble, parse_choice, sweep, tied_trials


@pytest.fixture
def recipe(store: ClipStore, tmp_path: Path) -> Path:
    values = tiny_values(store.path)
    values["stages"] = [{**values["stages"][2], "epochs": 1}]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_choices_are_read() -> None:
    assert parse_choice("losses.temporal=.01,.05") == Choice("losses.temporal", (0.01, 0.05))
    assert parse_choice("optimiser.betas=[0.9, 0.99],[0.8, 0.99]").values == ("[0.9, 0.99]", "[0.8, 0.99]")
    assert parse_choice("a.b=1e-4..1e-1,log") == Choice("a.b", low=1e-4, high=0.1, logarithmic=True)
    assert parse_choice("a={b: 1},{b: 2}").values == ({"b": 1}, {"b": 2})
    assert parse_choice("a=1,true").values == (1, True), "alike to Python only"
    for wrong in ("losses", "=1", "a=.1,.1", "a={b: 1},{b: 1}", "a=2..1", "a=0..1,log", "a=1..2,linear", "a=x..2"):
        with pytest.raises(UsageError, match="--vary"):
            parse_choice(wrong)


class StopsInTrial:
    """Asks to stop in the first batch of the second trial."""

    def __init__(self) -> None:
        self.trial = -1

    def start(self, description: str, total: float | None, unit: str) -> Task:
        return self

    def advance(self, steps: float = 1, **facts: Any) -> None:
        if self.trial == 1 and "loss" in facts:
            self.trial = 99
            signal.raise_signal(signal.SIGINT)

    def finish(self, task: Task) -> None:
        return

    def say(self, message: str) -> None:
        if message.startswith("trial "):
            self.trial = int(message.split()[1].rstrip(":"))


def test_a_grid_is_continued_and_sorted_by_validation(recipe: Path, tmp_path: Path) -> None:
    choices = [Choice("losses.temporal", (0.0, 0.1, 0.2))]
    with listening(StopsInTrial()), pytest.raises(KeyboardInterrupt):
        sweep(recipe, [], choices, tmp_path / "sweep")
    before = (tmp_path / "sweep" / "trial-000" / "model" / "model.json").stat().st_mtime_ns
    found = sweep(recipe, [], choices, tmp_path / "sweep")
    assert sorted(trial.settings["losses.temporal"] for trial in found) == [0.0, 0.1, 0.2]
    assert sorted(trial.number for trial in found) == [0, 1, 2], "the trial that was interrupted was taken up again"
    keys = [(-trial.auc, trial.loss) for trial in found]
    assert keys == sorted(keys)
    assert (tmp_path / "sweep" / "trial-000" / "model" / "model.json").stat().st_mtime_ns == before
    assert sweep(recipe, [], choices, tmp_path / "sweep") == found
    tied = "validation cannot tell the best trial from all 2 others: validation AUC"
    assert tied_trials(found, tmp_path / "sweep").startswith(tied), "four people in validation"
    model = tmp_path / "sweep" / f"trial-{found[0].number:03d}" / "model" / "model.json"
    facts = json.loads(model.read_text())
    facts["worth"] |= {"low": found[0].auc + 1e-6, "high": 1.0}
    model.write_text(json.dumps(facts))
    assert tied_trials(found, tmp_path / "sweep") == ""
    with pytest.raises(
        UsageError, match=r"holds a sweep made with other settings \(recipe\.seed: 0 there, 3 asked for"
    ):
        sweep(recipe, ["seed=3"], choices, tmp_path / "sweep")


def test_ranges_are_searched_and_failures_are_kept(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def fail(given: Any, run: Path, resume: bool) -> None:
        done.append(given.losses.temporal)
        raise sweeps.DivergedError("no number")

    monkeypatch.setattr(sweeps, "train", fail)
    choices = [Choice("losses.temporal", low=0.01, high=1, logarithmic=True)]
    for sampler in ("tpe", "random"):
        done.clear()
        for total in (2, 4):  # continued, it does not draw the same again
            found = sweep(recipe, [], choices, tmp_path / sampler, sampler=sampler, num_trials=total)
            assert len(found) == total
        assert {trial.reason for trial in found} == {"no number"}
        assert len(set(done)) == 4
    assert all(0.01 <= value <= 1 for value in done)


def test_what_does_not_fit_is_refused_before_anything_runs(recipe: Path, tmp_path: Path) -> None:
    for choices, message in (
        ([Choice("losses.temporal", (0.1, "much"))], r"--vary losses\.temporal=much: .*found 'much'"),
        ([Choice("losses.temporal", low=0, high=1)], "a grid needs values"),
        ([], "nothing to vary"),
        (
            [Choice("losses.temporl", (0.1,))],
            r"--vary losses\.temporl=0\.1: unknown setting 'temporl'; did you mean 'temporal'",
        ),
        ([Choice("seed.x", (1,))], r"--vary seed\.x=1: seed: Input should be a valid integer"),
    ):
        with pytest.raises(UsageError, match=message):
            sweep(recipe, [], choices, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_an_ensemble_scores_as_the_mean_of_its_seeds(recipe: Path, store: ClipStore, tmp_path: Path) -> None:
    folder = ensemble(recipe, [], tmp_path / "ensemble", 2)
    shutil.copytree(folder / "model", tmp_path / "elsewhere")
    runs = (tmp_path / "elsewhere", folder / "seed-0", folder / "seed-1")
    whole, *each = (
        score_store(load_detector(run, "cpu"), store, store.manifest(), splits=["test"]).frame()["logit"]
        for run in runs
    )
    np.testing.assert_allclose(whole, np.mean(each, axis=0), rtol=1e-5)
    facts = load_detector(folder).facts
    assert facts.name == "tiny, 2 seeds"
    assert facts.calibration.num_videos == 12
    with pytest.raises(UsageError, match="at least 2 seeds"):
        ensemble(recipe, [], tmp_path / "one", 1)
