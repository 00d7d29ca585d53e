"""Audit of shortcuts: each property that is not content is tried as a detector, then all of them together.

A property that the model can see and that separates the classes is a leak: training on such data proves nothing. One
that only the file shows is a warning: it does not reach the model, but shows that the classes were made differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from veridical.artefacts import Manifest
from veridical.corpora.groups import LINKS, attribute_column, codes
from veridical.corpora.held_out import HELD_OUT
from veridical.corpora.people import target_groups
from veridical.corpora.proof import NO_GENERATOR, Categories, generators
from veridical.corpora.properties import PROPERTIES, Property
from veridical.corpora.separation import NUM_FOLDS, Separation, bins, folds, out_of_fold_rate, separation
from veridical.errors import UsageError, unknown_name
from veridical.metrics import holm
from veridical.randomness import stream

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

THRESHOLD = 0.65
"""An area under the ROC curve up to this is harmless."""
ALPHA = 0.05
"""Chance, after Holm's correction, of a false alarm where no property is related to the class."""
ALPHA_HARMLESS = 0.01
"""Chance that a property whose true area is the threshold is called more than harmless."""
ALL = "all"
"""All generators; all data sets."""
SEEN, UNSEEN = "all that the model sees", "all that only the file shows"
_JOINT = {SEEN: True, UNSEEN: False}
_FEWEST_GROUPS = 2 * NUM_FOLDS
_FEWEST_OF_A_GENERATOR = NUM_FOLDS
"""A generator is tried by itself when its fakes show at least this many people."""
_MOST_VIDEOS = 50_000
_INDEX_COLUMNS = {
    "mean_box_size_px": "box_size_px", "min_detector_score": "detector_score", "num_interpolated": "interpolated",
}  # fmt: skip
"""Columns of a clip store's index → properties."""
COLUMNS = (
    "property", "target", "dataset", "verdict", "auc", "low", "high", "p_adjusted", "num_real", "num_fake", "generator",
    "generator_auc", "by_generator", "reason", "advice",
)  # fmt: skip
"""`dataset`: the data set that it was tried within, `all` for all of several together. `by_generator`: AUC on the fakes of
each generator that was tried by itself, a mapping."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """A row per property, label it was tried on, and data set, worst first."""

    table: pd.DataFrame
    """Columns `COLUMNS`. verdict: leak, accepted, warns, ok, or unknown (then `reason` says why)."""

    @property
    def tried(self) -> pd.DataFrame:
        """The rows that were testable."""
        return self.table[self.table["verdict"] != "unknown"]

    @property
    def leaks(self) -> tuple[str, ...]:
        """Names of the properties that are leaks and were not accepted."""
        return tuple(dict.fromkeys(self.table.loc[self.table["verdict"] == "leak", "property"]))

    @property
    def verdict(self) -> str:
        """The worst verdict of all."""
        verdicts = set(self.table["verdict"])
        return next((name for name in ("leak", "accepted", "warns", "ok") if name in verdicts), "unknown")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to do about each property that separates the classes, and why others were not judged."""
        lines = []
        several = ALL in set(self.table["dataset"])
        for name, rows in self.tried[self.tried["advice"] != ""].groupby("property", sort=False):
            worst = rows["generator"].iloc[0]
            datasets = [dataset for dataset in dict.fromkeys(rows["dataset"]) if dataset != ALL]
            where = f" in {', '.join(datasets)}" if several and datasets else ""
            where += f", most in {worst}" if isinstance(worst, str) else ""
            lines.append(f"{rows['verdict'].iloc[0]}: {name}{where}: {rows['advice'].iloc[0]}")
        unjudged = self.table[self.table["verdict"] == "unknown"]
        for (dataset, reason), rows in unjudged.groupby(["dataset", "reason"], sort=False):
            where = f" within {dataset}" if several and dataset != ALL else ""
            lines.append(f"not judged{where}: {', '.join(dict.fromkeys(rows['property']))} ({reason})")
        return tuple(lines)

    @property
    def conclusion(self) -> tuple[str, ...]:
        """The leaks, or that nothing was testable; empty when all is well."""
        if self.tried.empty:
            return ("nothing was testable; this does not count as a pass",)
        return (f"leaks: {', '.join(self.leaks)}",) if self.leaks else ()

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        plain = self.table.astype(object).where(self.table.notna(), None)
        return {"verdict": self.verdict, "leaks": list(self.leaks), "properties": plain.to_dict(orient="records")}


@dataclass(frozen=True)
class _Trial:
    """One property tried against one label within some videos: on all fakes, and on the fakes of each generator."""

    name: str
    target: str
    dataset: str
    num_real: int
    num_fake: int
    separations: Mapping[str, Separation]
    """Generator → separation of its fakes from all reals; ALL → of all fakes. Empty when it could not be tried."""
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Videos:
    """The videos that all trials are made on."""

    cluster: Ints
    """(N,) videos of one cluster show the same person."""
    fold: Ints
    generator: Categories
    labels: Mapping[str, Ints]
    """label, visual_label, audio_label → (N,) 0, 1, or −1 for unknown."""
    scopes: Mapping[str, Flags]
    """Data set, or `ALL` for all of several → (N,) the videos within which properties are tried."""


def audit(
    manifest: Manifest, clips: pd.DataFrame | None = None, *, accept: Sequence[str] = (), seed: int = 0
) -> AuditResult:
    """Try every known property as a detector, within each data set that has both classes and in all of them together.

    Only videos of which a property is known take part: that it is unknown is no property of the video.

    Args:
        manifest: The videos; file properties are known after `scan --probe`.
        clips: A row per clip with `video_id` and any of the content properties (see `clips.content_facts`; the index of a
            clip store will do), or None.
        accept: Properties whose leak is known and accepted; they take no part in the joint trials. Links that
            splits share (`LINKS`) and held-out corpora (`HELD_OUT`) may be among them; the audit does not look at these.
        seed: Seed of the cross-validation folds.

    Raises:
        UsageError: when an accepted property is not known.
    """
    for name in accept:
        if name not in (*PROPERTIES, *_JOINT, *LINKS, *HELD_OUT):
            raise unknown_name("property", name, [*PROPERTIES, *_JOINT, *LINKS, *HELD_OUT])
    table, rng = property_table(manifest, clips), stream(seed, "audit")
    cluster = target_groups(manifest)
    labels = {name: _label(manifest, name) for name in ("label", "visual_label", "audio_label")}
    videos = _Videos(cluster, folds(cluster, rng), generators(manifest), labels, _scopes(manifest, labels, cluster))
    measured = _measured(manifest, table, clips)
    trials = []
    for scope in videos.scopes:
        for name, facts in PROPERTIES.items():
            for target in _targets(facts, labels):
                trials.append(_try_one(name, table[name], measured[facts.about], target, videos, scope))
        for name, reaches in _JOINT.items():
            columns = [key for key, facts in PROPERTIES.items() if facts.reaches_model == reaches and key not in accept]
            trials.append(_try_all(name, table[columns], measured, videos, scope, rng))
    return AuditResult(_judged(trials, set(accept)))


def _scopes(manifest: Manifest, labels: Mapping[str, Ints], cluster: Ints) -> dict[str, Flags]:
    """Return within which videos properties are tried: all, and each data set in which real and fake can be compared."""
    numbers, names = codes(manifest.table["dataset"])
    if len(names) == 1:
        return {names[0]: np.ones(len(manifest), dtype=bool)}
    scopes = {ALL: np.ones(len(manifest), dtype=bool)}
    for number, name in enumerate(names):
        inside = numbers == number
        if not _why_not(labels["label"], inside & (labels["label"] >= 0), cluster):
            scopes[name] = inside
    return scopes


def _measured(manifest: Manifest, table: pd.DataFrame, clips: pd.DataFrame | None) -> dict[str, Flags]:
    """Return what a property is about → (N,) where its absence is a finding, and not merely unknown.

    A video whose clips were measured may have no onset of speech; one that was not prepared, or has no audio track, says
    nothing about speech.
    """
    inside = np.zeros(len(table), dtype=bool) if clips is None else np.asarray(table.index.isin(clips["video_id"]))
    silent = manifest.table["has_audio"].fill_null(True).to_numpy(zero_copy_only=False)
    return {"file": np.zeros(len(table), dtype=bool), "video": inside, "audio": inside & silent}


def property_table(manifest: Manifest, clips: pd.DataFrame | None) -> pd.DataFrame:
    """Return a row per video, in the manifest's order, and a column per property (NaN or None where unknown)."""
    index = pd.Index(manifest.table["video_id"].to_pylist())
    table = pd.DataFrame(index=index)
    if clips is not None and "video_id" not in clips:
        raise UsageError(f"clips: expected a column video_id, found {', '.join(map(str, clips.columns))}")
    per_video = None if clips is None else _per_video(clips).reindex(index)
    for name, facts in PROPERTIES.items():
        if per_video is not None and name in per_video:
            values: Any = per_video[name].to_numpy(dtype=float)
        elif name == "container":
            values = attribute_column(manifest, name).to_pylist()
        elif name in manifest.table.schema.names:
            values = manifest.table[name].to_pylist()
        elif name == "prepared":
            values = np.nan if clips is None else index.isin(clips["video_id"]).astype(float)
        else:
            values = np.nan
        table[name] = pd.Series(values, index=index, dtype=float if facts.kind == "number" else object)
    return table


def _per_video(clips: pd.DataFrame) -> pd.DataFrame:
    """Return the median over each video's clips; of the onset the earliest, where the first clip of the video is known."""
    clips = clips.rename(columns=_INDEX_COLUMNS)
    known = [name for name in PROPERTIES if name in clips]
    numbers = clips[known].astype(float).assign(video_id=clips["video_id"])
    grouped = numbers.groupby("video_id", sort=False)
    table = grouped[known].median()
    if "speech_onset_s" in known:
        table["speech_onset_s"] = grouped["speech_onset_s"].min()
        if "start_s" in clips:
            begins = clips.groupby("video_id", sort=False)["start_s"].min() == 0
            table["speech_onset_s"] = table["speech_onset_s"].where(begins)
    return table


def _label(manifest: Manifest, name: str) -> Ints:
    """Return 0, 1, or −1 for unknown."""
    values = manifest.table[name].cast(pa.int64()).fill_null(-1)
    label: Ints = values.to_numpy()
    return label


def _targets(facts: Property, labels: dict[str, Ints]) -> list[str]:
    """Return the labels a property is tried against: `label`, and that of its modality where it differs."""
    own = {"video": "visual_label", "audio": "audio_label"}.get(facts.about)
    if own is None:
        return ["label"]
    known = labels[own] >= 0
    differs = (labels[own][known] != labels["label"][known]).any() and len(set(labels[own][known])) == 2
    return ["label", own] if differs else ["label"]


def _try_one(name: str, column: pd.Series[Any], measured: Flags, target: str, videos: _Videos, scope: str) -> _Trial:
    facts, label, known = PROPERTIES[name], videos.labels[target], _known(column)
    inside = (label >= 0) & videos.scopes[scope]
    reason = _why_not(label, inside & known, videos.cluster)
    used = inside & (known | measured)
    parts = {}
    if not reason:
        parts[ALL] = _separated(facts, column, label, used, videos)
        for generator, rows in _by_generator(label, used, videos):
            if not _why_not(label, rows & known, videos.cluster):
                parts[generator] = _separated(facts, column, label, rows, videos)
    return _Trial(
        name, target, scope, int((used & (label == 0)).sum()), int((used & (label == 1)).sum()), parts, reason
    )


def _known(column: pd.Series[Any]) -> Flags:
    """Return (N,) where a property has a value that can be compared."""
    known: Flags
    if column.dtype.kind == "f":
        known = np.isfinite(column.to_numpy(dtype=float))
    else:
        known = column.notna().to_numpy() & ~column.isin(["", "unknown"]).to_numpy()
    return known


def _by_generator(label: Ints, used: Flags, videos: _Videos) -> Iterator[tuple[str, Flags]]:
    """Yield (generator, its fakes and all reals) when there are several generators.

    Fakes that do not say what made them, or that show few people, are no generator by which anything could be judged.
    """
    fakes = used & (label == 1)
    names = [name for name in videos.generator.categories if (videos.generator[fakes] == name).any()]
    for name in names if len(names) > 1 else []:
        own = fakes & np.asarray(videos.generator == name)
        if name not in NO_GENERATOR and len(np.unique(videos.cluster[own])) >= _FEWEST_OF_A_GENERATOR:
            yield str(name), own | (used & (label == 0))


def _separated(facts: Property, column: pd.Series[Any], label: Ints, used: Flags, videos: _Videos) -> Separation:
    """Return how well a property separates the used videos; numbers are tried as they are and in bins."""
    values = column.to_numpy()
    categories = pd.factorize(column)[0] + 1 if facts.kind == "category" else bins(values.astype(float))
    score = out_of_fold_rate(categories[used], label[used], videos.fold[used])
    best = separation(score, label[used], videos.cluster[used], THRESHOLD, either_direction=False)
    if facts.kind == "category":
        return best
    plain = used & _known(column)
    direct = separation(values[plain], label[plain], videos.cluster[plain], THRESHOLD, either_direction=True)
    # Bins catch relations that are not monotone, and missing values; the plain value is sharper where it is monotone.
    if direct.p_chance <= best.p_chance or (best.p_chance > ALPHA and direct.auc >= best.auc):
        best = direct
    return replace(best, p_chance=min(1.0, 2 * best.p_chance))


def _why_not(label: Ints, used: Flags, cluster: Ints) -> str:
    """Return why a property cannot be tried; empty when it can."""
    if not used.any():
        return "not known for any labelled video; use scan --probe, or audit a store"
    real, fake = used & (label == 0), used & (label == 1)
    if not real.any() or not fake.any():
        return f"known for {int(real.sum())} real and {int(fake.sum())} fake videos; both are needed"
    groups = len(np.unique(cluster[used]))
    return f"only {groups} groups of people, at least {_FEWEST_GROUPS} are needed" if groups < _FEWEST_GROUPS else ""


def _try_all(
    name: str, table: pd.DataFrame, measured: Mapping[str, Flags], videos: _Videos, scope: str, rng: np.random.Generator
) -> _Trial:
    """Try all properties together: a classifier trained on four fifths of the groups and tested on the remaining fifth."""
    label = videos.labels["label"]
    used = (label >= 0) & videos.scopes[scope]
    columns = [key for key in table if len(table[key][used].unique()) > 1]
    counts = int((used & (label == 0)).sum()), int((used & (label == 1)).sum())
    reason = _why_not(label, used, videos.cluster) or ("" if columns else "none of its properties varies")
    if reason:
        return _Trial(name, "label", scope, *counts, {}, reason)
    if used.sum() > _MOST_VIDEOS:
        used &= rng.random(len(used)) < _MOST_VIDEOS / used.sum()
    features = np.column_stack(
        [_feature(table[key], used, measured[PROPERTIES[str(key)].about], rng) for key in columns]
    )
    score = _out_of_fold_scores(features, label, used, videos.fold)
    scored = np.isfinite(score)
    if _why_not(label, scored, videos.cluster):
        return _Trial(
            name, "label", scope, *counts, {}, "too few people of one class to train on some and test on others"
        )
    joint = separation(score[scored], label[scored], videos.cluster[scored], THRESHOLD, either_direction=False)
    return _Trial(name, "label", scope, *counts, {ALL: joint})


def _feature(column: pd.Series[Any], used: Flags, measured: Flags, rng: np.random.Generator) -> Floats:
    """Return (N,) a property as numbers; where it is unknown, that of some other video, so that this tells nothing."""
    known = _known(column)
    values = np.asarray(column if column.dtype.kind == "f" else pd.factorize(column)[0], dtype=float)
    unknown = used & ~known & ~measured
    if unknown.any() and (used & known).any():
        values = values.copy()
        values[unknown] = rng.choice(values[used & known], int(unknown.sum()))
    return np.where(known | unknown, values, np.nan)


def _out_of_fold_scores(features: Floats, label: Ints, used: Flags, fold: Ints) -> Floats:
    """Return (N,) scores of a classifier trained on the other folds; NaN where there is none."""
    # Imported here: scikit-learn takes seconds to load, and a scan or a split does not need it.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    score = np.full(len(label), np.nan)
    with threadpool_limits(1):  # idle OpenMP threads would spin; the tables are small
        for number in range(NUM_FOLDS):
            train, test = used & (fold != number), used & (fold == number)
            if test.any() and len(set(label[train])) == 2:
                model = HistGradientBoostingClassifier(
                    max_iter=40, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0, early_stopping=False,
                    random_state=0,
                )  # fmt: skip
                score[test] = model.fit(features[train], label[train]).decision_function(features[test])
    return score


def _judged(trials: list[_Trial], accept: set[str]) -> pd.DataFrame:
    """Return the table: a trial falls when one of its separations is beyond chance (after Holm over all) and not harmless."""
    adjusted = iter(holm([part.p_chance for trial in trials for part in trial.separations.values()]).tolist())
    rows = [_row(trial, {name: next(adjusted) for name in trial.separations}, accept) for trial in trials]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    worst = {"leak": 0, "accepted": 1, "warns": 2, "ok": 3, "unknown": 4}
    order = np.lexsort((-table["auc"].astype(float).fillna(0), table["verdict"].map(worst)))
    return table.iloc[order].reset_index(drop=True)


def _row(trial: _Trial, adjusted: Mapping[str, float], accept: set[str]) -> dict[str, object]:
    row = dict.fromkeys(COLUMNS) | {
        "property": trial.name, "target": trial.target, "dataset": trial.dataset,
        "num_real": trial.num_real, "num_fake": trial.num_fake,
        "reason": trial.reason, "advice": "", "verdict": "unknown" if trial.reason else "ok",
    }  # fmt: skip
    if trial.reason:
        return row
    parts, overall = trial.separations, trial.separations[ALL]
    row["by_generator"] = {name: round(part.auc, 4) for name, part in parts.items() if name != ALL}
    row |= {"auc": overall.auc, "low": overall.low, "high": overall.high, "p_adjusted": min(adjusted.values())}
    generator = max((name for name in parts if name != ALL), key=lambda name: parts[name].auc, default=None)
    if generator is not None:
        row |= {"generator": generator, "generator_auc": parts[generator].auc}
    if any(p < ALPHA and parts[name].p_harmless < ALPHA_HARMLESS for name, p in adjusted.items()):
        joint = trial.name in _JOINT
        reaches = _JOINT[trial.name] if joint else PROPERTIES[trial.name].reaches_model
        leak = "accepted" if trial.name in accept else "leak"
        advice = "see the single properties" if joint else PROPERTIES[trial.name].advice
        row |= {"verdict": leak if reaches else "warns", "advice": advice}
    return row
