"""The checklist before training: a row per check, with its verdict and the figure behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from veridical import corpora
from veridical.devices import pick_device, resolve_precision
from veridical.errors import LeakError, MissingWeightsError, UsageError, VeridicalError
from veridical.models import DetectorModel, summarise
from veridical.settings import differences
from veridical.training.data import TrainingData, load_data
from veridical.training.leaks import held_out, refuse_leaks, untested_reason
from veridical.training.outlook import room, stage_costs
from veridical.training.recipe import Recipe, read_recipe

Verdict = Literal["pass", "changed", "fail", "not applicable"]
"""`changed` departs from the strategy, on purpose or not, and can be trained; `fail` stops `veridical train`."""
STRATEGY = "contract-v1"
"""The recipe that states the strategy's values."""
MOST_CHANGES = 8
"""A row names at most so many changed settings."""
SETTING_ROWS: dict[str, tuple[str, ...]] = {
    "inputs": ("inputs",),
    "model": ("model",),
    "augmentation": ("augmentation", "mixing"),
    "batches": ("batches",),
    "optimiser": ("optimiser",),
    "stages": ("pretraining", "stages"),
    "three-term loss": ("losses", "aggregation"),
    "early stopping": ("early_stopping",),
}
"""Row → the parts of the recipe that it compares with the strategy's own."""
STRATEGY_FPS = 5.0
LESS_MEMORY = "take fewer batches.clips or batches.videos, or train fewer parts at a time"
LESS_DISK = "take fewer augmentation.views or data.clips_per_video, set runtime.reuse_features=false, or make room"
TOLERANCE_SHARE, TOLERANCE_MILLIONS = 0.15, 0.2
"""A part may differ from the strategy's round figure by this share or by so many million parameters."""


@dataclass(frozen=True)
class Check:
    """One row of the checklist."""

    name: str
    verdict: Verdict
    detail: str
    """Figure, or reason."""


def preflight(recipe: Recipe, *, quick: bool = False) -> list[Check]:
    """Go through the checklist.

    Args:
        recipe: With or without `data.store`.
        quick: Leave out what training does itself right after: loading the weights, auditing for shortcuts; and the plan.
    """
    return [*_data_rows(recipe, quick), *_model_rows(recipe, quick), *_setting_rows(recipe)]


def _row(name: str, passed: bool, detail: str) -> Check:
    return Check(name, "pass" if passed else "fail", detail)


def _compared(name: str, changes: Sequence[str], note: str = "") -> Check:
    """Return the row of settings that may depart from the strategy."""
    detail = f"changed: {'; '.join(changes)}" if changes else "as the strategy"
    return Check(name, "changed" if changes else "pass", f"{detail}{'; ' * bool(note)}{note}")


def _data_rows(recipe: Recipe, quick: bool) -> Iterator[Check]:
    names = ("frames", "faces", "audio", "speech", "splits", "held-out corpora", "statistics", "shortcuts", "plan")
    if recipe.data.store is None:
        yield from (Check(name, "not applicable", "no store given: --store STORE") for name in names)
        return
    try:
        data = load_data(recipe.data, recipe.inputs)
    except VeridicalError as error:
        yield Check("data", "fail", str(error))
        return
    fps = data.store.settings.fps
    departs = [] if fps == STRATEGY_FPS else [f"{fps:g} fps (strategy {STRATEGY_FPS:g})"]
    yield _compared("frames", departs, f"{fps:g} fps, {data.store.settings.num_frames} per clip")
    yield _faces(data)
    yield from _audio_rows(data, needs_audio=any(stage.objective == "audio" for stage in recipe.schedule))
    yield _splits(data, recipe.data.accept_leaks)
    learned = held_out(data, recipe.data.accept_leaks)
    none = "none in training or validation, except those accepted by name"
    options = " ".join(f"--accept-leak {corpus}" for corpus in learned)
    found = f"{'; '.join(learned.values())}: leave them out, or accept it: {options}" if learned else none
    yield _row("held-out corpora", not learned, found)
    yield _statistics(recipe, data)
    if not quick:
        yield _shortcuts(recipe, data)
        yield from _plan(recipe, data)


def _plan(recipe: Recipe, data: TrainingData) -> Iterator[Check]:
    """Compare time, memory and disk of each stage, as measured in a few steps, with what is there."""
    try:
        costs, there = stage_costs(recipe, data), room(recipe, data)
    except UsageError as error:
        yield Check("plan", "not applicable", f"could not be measured: {error}")
        return
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        yield _row("plan", False, f"a step needs more memory than there is; {LESS_MEMORY}")
        return
    for cost in costs:
        fits = cost.memory <= there.memory
        detail = f"at most {_duration(cost.seconds)} ({cost.epochs} epochs x {cost.batches} batches, features of"
        detail += f" {cost.num_features} clips), {_size(cost.memory)} of memory, {_size(cost.disk)} of disk"
        yield _row(f"plan, {cost.name}", fits, detail if fits else f"{detail}; {LESS_MEMORY}")
    disk, seconds = sum(cost.disk for cost in costs), sum(cost.seconds for cost in costs)
    detail = (
        f"at most {_duration(seconds)}, {_size(max(cost.memory for cost in costs))} of {_size(there.memory)} of memory,"
    )
    detail += f" {_size(disk)} of {_size(there.disk)} of free disk"
    yield _row("plan, all", disk <= there.disk, detail if disk <= there.disk else f"{detail}; {LESS_DISK}")


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.0f} MB"


def _faces(data: TrainingData) -> Check:
    ledger = data.store.ledger()
    usable = int((ledger["status"] == "ok").sum())
    score = data.store.index()["min_detector_score"].median()
    detector = data.store.settings.detector
    return _row(
        "faces", usable > 0, f"in {usable} of {len(ledger)} videos ({detector}, median lowest score {score:.2f})"
    )


def _audio_rows(data: TrainingData, needs_audio: bool) -> Iterator[Check]:
    train = data.clips[data.clips["split"] == "train"]
    for name, column, what in (("audio", "has_audio", "have audio"), ("speech", "usable_audio", "have usable speech")):
        share = float(train[column].astype(bool).mean()) if len(train) else 0.0
        detail = f"{share:.0%} of the training clips {what}"
        if needs_audio or share:
            yield _row(name, share > 0, detail)
        else:
            yield Check(name, "not applicable", f"{detail}, and no stage learns from it")


def _splits(data: TrainingData, accepted: Sequence[str]) -> Check:
    proof = corpora.prove(data.manifest, accepted)
    leaks = [leak for leak in proof.leaks if leak.keys]
    if leaks:
        shared = "; ".join(f"{leak.keys} of {leak.link} in {leak.first} and {leak.second}" for leak in leaks)
        options = " ".join(f"--accept-leak {link}" for link in dict.fromkeys(leak.link for leak in leaks))
        return _row("splits", False, f"{shared}: split anew (see `veridical split`), or accept it: {options}")
    lacking = [f"{absence.split} has no {absence.generator}" for absence in proof.absent]
    return _compared("splits", lacking, "nothing shared" + ("" if lacking else ", every generator in every split"))


def _statistics(recipe: Recipe, data: TrainingData) -> Check:
    """Check that every stage has both classes in training and validation, and count the videos."""
    try:
        for stage in recipe.schedule:
            for split in ("train", "val"):
                data.for_objective(stage.objective, split, recipe.uses_audio)
    except UsageError as error:
        return _row("statistics", False, str(error))
    videos = data.clips.groupby("video_id").agg(split=("split", "first"), label=("label", "max")).dropna()
    counts = pd.crosstab(videos["split"], videos["label"])
    parts = [f"{name} {row.get(0, 0)} real, {row.get(1, 0)} fake" for name, row in counts.iterrows()]
    return _row("statistics", True, f"{len(data.clips)} clips; videos: {'; '.join(parts)}")


def _shortcuts(recipe: Recipe, data: TrainingData) -> Check:
    try:
        result = refuse_leaks(data, recipe.data.accept_leaks)
    except (LeakError, UsageError) as error:
        return _row("shortcuts", False, str(error))
    if reason := untested_reason(result):
        return Check("shortcuts", "not applicable", f"no property could be tested: {reason}")
    return _row(
        "shortcuts", True, "no property other than content separates the classes, except those accepted by name"
    )


def _model_rows(recipe: Recipe, quick: bool) -> Iterator[Check]:
    strategy = read_recipe(STRATEGY)
    named, theirs = (_weights(each) for each in (recipe, strategy))
    if not quick:
        try:
            DetectorModel(recipe.model)
            yield _compared("weights", [] if named == theirs else [f"{named} (strategy {theirs})"])
        except (MissingWeightsError, UsageError) as error:
            yield _row("weights", False, str(error))
    for part in summarise(DetectorModel(recipe.model, load_weights=False)):
        actual, expected = part.parameters / 1e6, part.expected_millions
        if expected is None:
            yield Check(f"parameters, {part.part}", "not applicable", f"{actual:.2f} M; the strategy gives no figure")
            continue
        figure = f"{actual:.2f} M, expected about {expected:g} M"
        close = abs(actual - expected) <= max(TOLERANCE_SHARE * expected, TOLERANCE_MILLIONS)
        if close or recipe.model == strategy.model:
            yield _row(f"parameters, {part.part}", close, figure)
        else:
            yield _compared(f"parameters, {part.part}", [figure])


def _weights(recipe: Recipe) -> str:
    video, audio = recipe.model.video, recipe.model.audio
    return f"{video.backbone}: {video.weights}; {audio.kind}: {audio.weights}"


def _setting_rows(recipe: Recipe) -> Iterator[Check]:
    try:
        device = pick_device(recipe.runtime.accelerator)
        yield _row("device", True, f"{device}, precision {resolve_precision(recipe.runtime.precision, device)}")
    except UsageError as error:
        yield _row("device", False, str(error))
    mine, theirs = (each.model_dump(mode="json") for each in (recipe, read_recipe(STRATEGY)))
    for name, parts in SETTING_ROWS.items():
        apart = differences({part: mine[part] for part in parts}, {part: theirs[part] for part in parts})
        changes = [f"{setting} {_shown(own)} (strategy {_shown(asked)})" for setting, (own, asked) in apart.items()]
        if len(changes) > MOST_CHANGES:
            changes = [*changes[:MOST_CHANGES], f"and {len(changes) - MOST_CHANGES} more"]
        yield _compared(name, changes, _never_acts(recipe) if name == "early stopping" else "")


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _never_acts(recipe: Recipe) -> str:
    patience = recipe.early_stopping.patience
    acts = any(stage.epochs > patience for stage in recipe.schedule)
    return "" if acts else "no stage is longer than the patience, so it never stops one"
