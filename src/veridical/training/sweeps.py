"""Sweeps: many runs of one recipe with varied settings, the best selected on validation alone; and ensembles of seeds.

Optuna (Akiba et al. 2019, arXiv:1907.10902) keeps the trials in an SQLite file, so that an interrupted sweep continues, also
within the trial that was under way. Every trial is a run folder of its own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from veridical import progress
from veridical.artefacts import claim_folder, read_json, write_json
from veridical.corpora import resampling_units
from veridical.errors import DivergedError, StageStoppedError, UsageError, VeridicalError
from veridical.inference import Detector, load_detector, read_worth, save_detector, score_store
from veridical.randomness import seed_from
from veridical.settings import parse_yaml
from veridical.training.calibration import calibrate
from veridical.training.data import load_data
from veridical.training.distributed import is_first_process
from veridical.training.loop import train
from veridical.training.recipe import Recipe, read_recipe
from veridical.training.run import Run, comparable
from veridical.training.validation import video_table

if TYPE_CHECKING:  # Optuna takes a while to load
    import optuna

Sampler = Literal["grid", "tpe", "random"]
DATABASE_FILE, FACTS_FILE, FAILURES_FILE = "sweep.sqlite", "sweep.json", "failures.json"


@dataclass(frozen=True)
class Choice:
    """A setting to vary."""

    key: str
    """Dotted name, as in `--set`."""
    values: tuple[Any, ...] = ()
    """To choose from; empty for a range."""
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """What Optuna draws the value from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        if self.values:
            return CategoricalDistribution(self.values)
        return FloatDistribution(self.low, self.high, log=self.logarithmic)


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    number: int
    """Its run is the folder `trial-<number, three digits>`."""
    settings: dict[str, Any]
    """The varied settings."""
    auc: float | None
    """Best video-level validation AUC of the last stage; None if the run failed."""
    loss: float | None
    """Validation loss of that epoch; breaks ties."""
    reason: str
    """Why the run failed."""


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
        items = parse_yaml(f"[{right}]", f"--vary {text!r}")
        values = tuple(json.dumps(value) if isinstance(value, list) else value for value in items)
        if len({json.dumps(value, sort_keys=True, default=str) for value in values}) < len(values):
            raise UsageError(f"--vary {text!r}: a value is given twice, and would be trained twice")
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
    """Run the trials that are left, and return all of them, best first.

    Args:
        source: The recipe, as for `read_recipe`.
        overrides: Settings that all trials share.
        choices: The settings to vary.
        folder: Of the sweep; continued when it holds the same one.
        sampler: `grid` tries every combination (values only), `tpe` learns from earlier trials, `random` does not.
        num_trials: How many in all; by default every combination of a grid, else 20.

    Raises:
        UsageError: when the choices do not fit the recipe or the sampler, or the folder holds another sweep.
    """
    import optuna

    base = _checked(source, overrides, choices, sampler)
    _begin(folder, base, choices, sampler)
    study = _study(folder, sampler, base.seed)
    runner = _Runner(study, source, overrides, folder)
    combinations = _grid(choices) if sampler == "grid" else []
    for values in combinations:
        study.enqueue_trial(values, skip_if_exists=True)
    total = min(num_trials or len(combinations), len(combinations)) if combinations else num_trials or 20
    for kept in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # interrupted, or its process was killed
        runner.run(kept.number, combinations[kept.number] if combinations else kept.params)
    while (left := total - len(runner.finished())) > 0:
        progress.say(f"{left} of {total} trials to go")
        trial = study.ask({choice.key: choice.distribution for choice in choices})
        runner.run(trial.number, trial.params)
    trials = runner.finished()
    return sorted(trials, key=lambda trial: (trial.auc is None, -(trial.auc or 0), trial.loss or 0, trial.number))


def tied_trials(trials: Sequence[Trial], folder: Path) -> str:
    """Return a sentence when validation cannot tell the best trial from others, else an empty string.

    Args:
        trials: Best first.
        folder: Of the sweep.
    """
    best, *others = [trial for trial in trials if trial.auc is not None]
    worth = read_worth(folder / f"trial-{best.number:03d}")
    if worth is None or not others:
        return ""
    tied = [trial for trial in others if worth.low is None or (trial.auc or 0) >= worth.low]
    if not tied:
        return ""
    which = f"all {len(others)} others" if len(tied) == len(others) else f"{len(tied)} of {len(others)} others"
    return f"validation cannot tell the best trial from {which}: {worth} of trial-{best.number:03d}; prefer the strategy's value"


def _grid(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """Return every combination of values; a trial of a grid has that of its number."""
    keys = [choice.key for choice in choices]
    return [
        dict(zip(keys, values, strict=True)) for values in itertools.product(*(choice.values for choice in choices))
    ]


def assignments_of(settings: dict[str, Any]) -> list[str]:
    """Return varied settings in the form that `--set` takes."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def _checked(source: str | Path, overrides: Sequence[str], choices: Sequence[Choice], sampler: Sampler) -> Recipe:
    """Return the recipe, and refuse what cannot work before anything runs."""
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
    """Refuse a value that the recipe does not accept; the other settings are known to be valid."""
    try:
        read_recipe(source, [*overrides, assignment])
    except UsageError as error:
        raise UsageError(str(error).replace(f"--set {assignment}", f"--vary {assignment}")) from None


def _refuse_processes(recipe: Recipe) -> None:
    if recipe.runtime.devices > 1 or recipe.runtime.nodes > 1 or not is_first_process():
        raise UsageError(
            "sweeps and ensembles run in one process: leave runtime.devices and runtime.nodes at 1, and do without torchrun"
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
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="sweep", storage=f"sqlite:///{folder / DATABASE_FILE}", direction="maximize", load_if_exists=True
    )
    drawn = seed_from(seed, "sweep", len(study.get_trials(deepcopy=False))) % 2**32  # not the same draws once more
    study.sampler = (
        optuna.samplers.RandomSampler(drawn) if sampler == "random" else optuna.samplers.TPESampler(seed=drawn)
    )
    return study


@dataclass(frozen=True)
class _Runner:
    """Trains the trials of a study."""

    study: optuna.Study
    source: str | Path
    overrides: Sequence[str]
    folder: Path

    def run(self, number: int, settings: dict[str, Any]) -> None:
        """Train one trial, or what is left of it, and report its validation AUC to the study."""
        assignments = assignments_of(settings)
        progress.say(f"trial {number}: {', '.join(assignments)}")
        try:
            recipe = read_recipe(self.source, [*self.overrides, *assignments])
        except UsageError as error:  # values that do not go together
            self._fail(number, error)
            return
        try:
            summary = train(recipe, self._run(number).path, resume=True)
        except (DivergedError, StageStoppedError) as error:
            self._fail(number, error)
            return
        self.study.tell(number, summary.stages[-1].best_auc)

    def _run(self, number: int) -> Run:
        return Run(self.folder / f"trial-{number:03d}")

    def _fail(self, number: int, error: VeridicalError) -> None:
        import optuna

        write_json(self.folder / FAILURES_FILE, {**self._failures(), str(number): str(error)})
        self.study.tell(number, state=optuna.trial.TrialState.FAIL)

    def _failures(self) -> dict[str, str]:
        path = self.folder / FAILURES_FILE
        return read_json(path) if path.exists() else {}

    def finished(self) -> list[Trial]:
        """Return the trials that have ended, well or not."""
        failures = self._failures()
        trials = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.is_finished():
                loss = None if trial.value is None else self._loss(trial.number, trial.value)
                reason = failures.get(str(trial.number), "")
                trials.append(Trial(trial.number, dict(trial.params), trial.value, loss, reason))
        return trials

    def _loss(self, number: int, auc: float) -> float:
        """Return the validation loss of the epoch that was selected in the last stage."""
        history = self._run(number).history()
        last = [row for row in history if row["stage"] == history[-1]["stage"]]
        return min(float(row["val_loss"]) for row in last if row["val_auc"] == auc)


def ensemble(source: str | Path, overrides: Sequence[str], folder: Path, seeds: int) -> Path:
    """Train one recipe with several seeds and combine the models into one detector: their mean logit is the verdict.

    Args:
        source: The recipe, as for `read_recipe`; its seed is the first one.
        overrides: Settings.
        folder: Gets a run per seed, and the ensemble in `model`, calibrated on validation.
        seeds: How many, at least 2.

    Returns:
        The folder, which can be scored like a run.
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
    whole = Detector(
        detectors[0].facts, [member for detector in detectors for member in detector.members], detectors[0].seen
    )
    data = load_data(base.data, base.inputs)
    scores = score_store(whole, data.store, data.manifest, splits=["val"], conditions=("joint",)).frame()
    clips = data.for_objective("joint", "val", base.uses_audio)
    keys = ["video_id", "start_s", "person"]
    scored = clips.merge(scores[[*keys, "logit"]], on=keys).dropna(subset=["logit"])
    videos = video_table(scored, base.aggregation)
    videos = videos.assign(group=resampling_units(data.manifest, videos["video_id"].tolist()))
    calibration, points, worth = calibrate(videos, base.aggregation)
    facts = whole.facts.model_copy(
        update={
            "name": f"{base.name}, {seeds} seeds",
            "calibration": calibration,
            "operating_points": points,
            "worth": worth,
        }
    )
    save_detector(folder / "model", Detector(facts, whole.members, whole.seen))
    return folder
