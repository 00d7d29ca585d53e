"""Sweeps: many runs of one recipe with settings varied, the best chosen on validation alone; and ensembles of seeds.

Trials are kept by Optuna (Akiba et al. 2019, arXiv:1907.10902) in an SQLite file, so that a sweep which was interrupted goes on,
also within the trial that was under way. Every trial is a run folder of its own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml

from veridical import progress
from veridical.artefacts import claim_folder
from veridical.errors import DivergedError, StageStoppedError, UsageError, VeridicalError
from veridical.inference import Detector, load_detector, save_detector, score_store
from veridical.randomness import seed_from
from veridical.training.calibration import calibrate
from veridical.training.data import load_data
from veridical.training.distributed import is_first_process
from veridical.training.loop import train
from veridical.training.recipe import Recipe, read_recipe
from veridical.training.run import comparable

Sampler = Literal["grid", "tpe", "random"]
DATABASE_FILE, FACTS_FILE = "sweep.sqlite", "sweep.json"


@dataclass(frozen=True)
class Choice:
    """A setting that is varied."""

    key: str
    """Dotted name, as in `--set`."""
    values: tuple[Any, ...] = ()
    """To choose from; empty for a range."""
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False

    def suggest(self, trial: optuna.Trial) -> Any:
        """Let a trial pick a value."""
        if self.values:
            return trial.suggest_categorical(self.key, list(self.values))
        return trial.suggest_float(self.key, self.low, self.high, log=self.logarithmic)


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    number: int
    """Its run is the folder `trial-<number, three digits>`."""
    settings: dict[str, Any]
    """What was varied."""
    auc: float | None
    """Best video-level validation AUC of the last stage; None where the run failed."""
    loss: float | None
    """Validation loss of that epoch; breaks ties."""
    reason: str
    """Why there is no AUC."""


def parse_choice(text: str) -> Choice:
    """Read `key=a,b,c` (a choice), `key=low..high` (a range), or `key=low..high,log`.

    Raises:
        UsageError: when it is neither.
    """
    key, separator, right = text.partition("=")
    if not separator or not key.strip() or not right.strip():
        raise UsageError(
            f"--vary {text!r}: expected KEY=a,b,c or KEY=low..high, for example losses.temporal=.01,.05,.1"
        )
    if ".." not in right:
        found = yaml.safe_load(f"[{right}]")
        values = tuple(json.dumps(value) if isinstance(value, list) else value for value in found)
        if len({json.dumps(value, sort_keys=True, default=str) for value in values}) < len(values):
            raise UsageError(f"--vary {text!r}: a value is there twice, and would be trained twice")
        return Choice(key.strip(), values)
    bounds, *log = right.split(",")
    try:
        low, high = (float(part) for part in bounds.split(".."))
    except ValueError:
        raise UsageError(f"--vary {text!r}: a range is two numbers, low..high") from None
    if not low < high or log not in ([], ["log"]) or (log and low <= 0):
        raise UsageError(f"--vary {text!r}: expected low < high, and after it nothing or `,log` (then low above 0)")
    return Choice(key.strip(), low=low, high=high, logarithmic=bool(log))


def sweep(
    source: str | Path,
    overrides: Sequence[str],
    choices: Sequence[Choice],
    folder: Path,
    *,
    sampler: Sampler = "grid",
    num_trials: int | None = None,
) -> list[Trial]:
    """Run the trials that are left, and return all, best first.

    Args:
        source: The recipe, as for `read_recipe`.
        overrides: Settings that all trials share.
        choices: What is varied.
        folder: Of the sweep; continued when it holds the same one.
        sampler: `grid` tries every combination (values only), `tpe` learns where to look, `random` does not.
        num_trials: How many in all; with a grid every combination, else 20, when not given.

    Raises:
        UsageError: when the choices do not fit the recipe or the sampler, or the folder holds another sweep.
    """
    base = _checked(source, overrides, choices, sampler)
    _begin(folder, base, choices, sampler)
    study = _study(folder, sampler, base.seed)
    if sampler == "grid":
        combinations = list(itertools.product(*(choice.values for choice in choices)))
        num_trials = min(num_trials or len(combinations), len(combinations))
        for values in combinations:
            study.enqueue_trial(dict(zip((choice.key for choice in choices), values, strict=True)), skip_if_exists=True)
    total = num_trials or 20
    for kept in study.get_trials(
        states=(optuna.trial.TrialState.RUNNING,)
    ):  # a process was killed or interrupted in it
        _run_trial(study, optuna.Trial(study, kept._trial_id), choices, source, overrides, folder)
    while (left := total - sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))) > 0:
        progress.say(f"{left} of {total} trials to go")
        _run_trial(study, study.ask(), choices, source, overrides, folder)
    found = [_plain(trial) for trial in study.get_trials() if trial.state.is_finished()]
    return sorted(found, key=lambda trial: (trial.auc is None, -(trial.auc or 0), trial.loss or 0, trial.number))


def assignments_of(settings: dict[str, Any]) -> list[str]:
    """Return varied settings as `--set` takes them."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def _checked(source: str | Path, overrides: Sequence[str], choices: Sequence[Choice], sampler: Sampler) -> Recipe:
    """Refuse what cannot work before anything runs."""
    if not choices:
        raise UsageError("nothing to vary: give --vary KEY=a,b,c, or --seeds N for an ensemble")
    base = read_recipe(source, overrides)
    _refuse_processes(base)
    if sampler == "grid" and not all(choice.values for choice in choices):
        raise UsageError("a grid needs values for every setting (KEY=a,b,c); ranges go with --sampler tpe or random")
    for choice in choices:
        for value in choice.values or (choice.low, choice.high):
            _check_value(source, overrides, *assignments_of({choice.key: value}))
    return base


def _check_value(source: str | Path, overrides: Sequence[str], assignment: str) -> None:
    """Refuse a value that the recipe does not take; the rest of the settings is known to be sound."""
    try:
        read_recipe(source, [*overrides, assignment])
    except UsageError as error:
        raise UsageError(str(error).replace(f"--set {assignment}", f"--vary {assignment}")) from None


def _refuse_processes(recipe: Recipe) -> None:
    if recipe.runtime.devices > 1 or recipe.runtime.nodes > 1 or not is_first_process():
        raise UsageError(
            "sweeps and ensembles run in one process: leave runtime.devices and nodes at 1, without torchrun"
        )


def _begin(folder: Path, base: Recipe, choices: Sequence[Choice], sampler: Sampler) -> None:
    """Make the folder, or check that it holds this sweep."""
    facts = {
        "kind": "sweep",
        "sampler": sampler,
        "vary": [{**vars(choice), "values": list(choice.values)} for choice in choices],
        "recipe": comparable(base),
    }
    claim_folder(folder, "a sweep", FACTS_FILE, facts)


def _study(folder: Path, sampler: Sampler, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="sweep", storage=f"sqlite:///{folder / DATABASE_FILE}", direction="maximize", load_if_exists=True
    )
    drawn = seed_from(seed, "sweep", len(study.get_trials(deepcopy=False))) % 2**32  # not the same draws once more
    study.sampler = (
        optuna.samplers.RandomSampler(drawn) if sampler == "random" else optuna.samplers.TPESampler(seed=drawn)
    )
    return study


def _run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    choices: Sequence[Choice],
    source: str | Path,
    overrides: Sequence[str],
    folder: Path,
) -> None:
    """Train one trial, or what is left of it, and tell the study what validation says."""
    assignments = assignments_of({choice.key: choice.suggest(trial) for choice in choices})
    progress.say(f"trial {trial.number}: {', '.join(assignments)}")
    try:
        recipe = read_recipe(source, [*overrides, *assignments])
    except UsageError as error:  # values that do not go together
        _fail(study, trial, error)
        return
    try:
        summary = train(recipe, folder / f"trial-{trial.number:03d}", resume=True)
    except (DivergedError, StageStoppedError) as error:
        _fail(study, trial, error)
        return
    last = summary.stages[-1]
    rows = [row for row in summary.history if row["stage"] == last.name]
    trial.set_user_attr("loss", rows[last.best_epoch]["val_loss"])
    study.tell(trial, last.best_auc)


def _fail(study: optuna.Study, trial: optuna.Trial, error: VeridicalError) -> None:
    trial.set_user_attr("reason", str(error))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _plain(trial: optuna.trial.FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    return Trial(trial.number, dict(trial.params), trial.value, attributes.get("loss"), attributes.get("reason", ""))


def ensemble(source: str | Path, overrides: Sequence[str], folder: Path, seeds: int) -> Path:
    """Train one recipe with several seeds and put the detectors together: their mean logit is the verdict.

    Args:
        source: The recipe, as for `read_recipe`; its seed is the first one.
        overrides: Settings.
        folder: Gets a run per seed, and `model`, calibrated anew on validation.
        seeds: How many, at least 2.

    Returns:
        The folder, which scores like a run.
    """
    if seeds < 2:
        raise UsageError(f"an ensemble needs at least 2 seeds, got {seeds}")
    base = read_recipe(source, overrides)
    _refuse_processes(base)
    detectors = []
    for number in range(base.seed, base.seed + seeds):
        progress.say(f"seed {number}")
        run = train(read_recipe(source, [*overrides, f"seed={number}"]), folder / f"seed-{number}", resume=True).run
        detectors.append(load_detector(run, "cpu"))
    whole = Detector(detectors[0].facts, [member for detector in detectors for member in detector.members])
    data = load_data(base.data, base.inputs)
    scores = score_store(whole, data.store, data.manifest, splits=["val"], conditions=("joint",)).frame()
    clips = data.for_objective("joint", "val", base.hears)
    logits, targets = scores.groupby("video_id")["logit"].mean().dropna(), clips.groupby("video_id")["target"].max()
    judged = logits.index.intersection(targets.index)
    calibration, points = calibrate(targets[judged].to_numpy(), logits[judged].to_numpy())
    facts = whole.facts.model_copy(
        update={"name": f"{base.name}, {seeds} seeds", "calibration": calibration, "operating_points": points}
    )
    save_detector(folder / "model", Detector(facts, whole.members))
    return folder
