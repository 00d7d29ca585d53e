"""The risk register: ways in which a good figure can mislead, each with a measured figure, a threshold and a mitigation.

A row is FLAG when its figure is beyond the threshold, and `certain` when the whole interval is on the same side of the
threshold as the figure. What the tables do not show is NOT EVALUABLE, with what would be needed. One function per
risk; a function may return several rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from veridical.artefacts import RISK_COLUMNS
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.evidence import MEDIA_FACTS, Evidence
from veridical.evaluation.figures import Figure, FigureTable, Key, difference, rank_figures
from veridical.evaluation.protocol import judged_cell
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell, video_sample

COMPRESSION_ORDER = ("c0", "raw", "c23", "c40")


@dataclass(frozen=True)
class Risk:
    """One row of risks.csv."""

    risk: str
    figure: float
    low: float
    high: float
    threshold: float
    verdict: str
    certain: bool
    reason: str
    mitigation: str


@dataclass(frozen=True, eq=False)
class Findings:
    """What a risk may look at."""

    evidence: Evidence
    parts: list[Cell]
    selection: Selection
    settings: EvaluationSettings
    table: FigureTable
    coverage: list[Coverage]
    looks: int | None

    @property
    def reference(self) -> Cell | None:
        """The reference's judged cell."""
        return judged_cell(self.parts, self.selection.dataset) if self.selection.dataset is not None else None

    @property
    def judged(self) -> list[Cell]:
        """One judged cell for each data set, the reference first."""
        names = dict.fromkeys([cell.dataset for cell in self.parts])
        found = [
            judged_cell(self.parts, name) for name in sorted(names, key=lambda name: name != self.selection.dataset)
        ]
        return [cell for cell in found if cell is not None]

    def key(self, cell: Cell, metric: str, **facts: str) -> Key:
        """Return the key of a video-level figure of the primary condition."""
        condition = facts.pop("condition", self.evidence.primary)
        return Key(
            cell.dataset, cell.split, metric, aggregation=self.settings.aggregation, condition=condition, **facts
        )


def risk_register(findings: Findings) -> pd.DataFrame:
    """Return risks.csv: every risk, whether it can be judged or not."""
    rows = [vars(risk) for judge in RISKS.values() for risk in judge(findings)]
    return pd.DataFrame(rows, columns=list(RISK_COLUMNS))


def verdict(
    name: str, figure: Figure, threshold: float, mitigation: str, *, below: bool = False, note: str = ""
) -> Risk:
    """Return the row of a figure.

    Args:
        name: The risk.
        figure: What was measured.
        threshold: Beyond it the risk is flagged.
        mitigation: What to do about it.
        below: True: flagged when the figure is below the threshold.
        note: Said beside the verdict.
    """
    if not figure.evaluable:
        return Risk(name, np.nan, np.nan, np.nan, threshold, "NOT EVALUABLE", False, figure.reason, mitigation)
    flagged = figure.value < threshold if below else figure.value > threshold
    certain = figure.high < threshold if flagged else figure.low >= threshold
    if not below:
        certain = figure.low > threshold if flagged else figure.high <= threshold
    reason = "; ".join(part for part in (note, figure.reason) if part)
    return Risk(
        name,
        figure.value,
        figure.low,
        figure.high,
        threshold,
        "FLAG" if flagged else "PASS",
        bool(certain),
        reason,
        mitigation,
    )


def _without(name: str, threshold: float, reason: str, mitigation: str) -> Risk:
    return verdict(name, Figure(reason=reason), threshold, mitigation)


def _no_reference(findings: Findings) -> str:
    return findings.selection.reason or f"the training corpus {findings.selection.dataset} has no scored test split"


def generator_overfitting(findings: Findings) -> Iterator[Risk]:
    """Spread of AUC over the generators of the training corpus."""
    name, mitigation = "generator overfitting", "balance the generators; add blended fakes that belong to no generator"
    limit = findings.settings.thresholds.generator_spread
    cell = findings.reference
    if cell is None:
        yield _without(name, limit, _no_reference(findings), mitigation)
        return
    parts = findings.table.slices(findings.key(cell, "auc"), "generator")
    figure = findings.table.get(findings.key(cell, "auc_spread", slice="generator"))
    if len(parts) < 2:
        figure = Figure(reason=f"{cell.dataset}: {len(parts)} generator with scores, at least 2 are needed")
    note = ", ".join(f"{generator} {part.value:.3f}" for generator, part in parts.items())
    yield verdict(name, figure, limit, mitigation, note=f"AUC by generator: {note}" if note else "")


def compression_shortcut(findings: Findings) -> Iterator[Risk]:
    """AUC on the lightest compression minus AUC on the strongest."""
    name, mitigation = "compression shortcut", "train on mixed compression; re-encode reals and fakes alike"
    limit = findings.settings.thresholds.compression_gap
    cell = findings.reference
    if cell is None:
        yield _without(name, limit, _no_reference(findings), mitigation)
        return
    parts = findings.table.slices(findings.key(cell, "auc"), "compression")
    ordered = [level for level in COMPRESSION_ORDER if level in parts]
    if len(ordered) < 2:
        found = ", ".join(sorted(set(findings.evidence.videos["compression"]) - {""})) or "none stated"
        reason = f"{cell.dataset}: AUC at two compression levels of c0, c23, c40 is needed; levels: {found}"
        yield _without(name, limit, reason, mitigation)
        return
    figure = difference(parts[ordered[0]], parts["c23" if "c23" in ordered[1:] else ordered[-1]])
    worst = difference(parts[ordered[0]], parts[ordered[-1]])
    figure = worst if worst.value > figure.value else figure
    note = ", ".join(f"{level} {parts[level].value:.3f}" for level in ordered)
    yield verdict(name, figure, limit, mitigation, note=f"AUC by compression: {note}")


def sound_leakage(findings: Findings) -> Iterator[Risk]:
    """Sound alone on fakes whose sound is genuine; sound alone against sound and picture; presence of sound."""
    limit = findings.settings.thresholds.shortcut_auc
    fix = "look for traces of the production in the sound (silence at the start, codec, loudness); trim and re-encode alike"
    for cell in findings.judged:
        where = f"({cell.dataset})"
        sound = findings.table.get(findings.key(cell, "auc", condition="video_masked"))
        genuine = findings.table.get(findings.key(cell, "auc", condition="video_masked", slice="forged=picture"))
        if not genuine.evaluable:
            genuine = Figure(reason=sound.reason or "no fake with genuine sound is known")
        note = "AUC of sound alone on fakes whose sound is genuine; .5 expected"
        yield verdict(f"audio-only leakage {where}", genuine, limit, fix, note=note if genuine.evaluable else "")
        joint = findings.table.get(findings.key(cell, "auc"))
        gain = difference(sound, joint)
        note = f"AUC of sound alone {sound.value:.3f} minus of both {joint.value:.3f}" if gain.evaluable else ""
        fix_dominance = "raise modality dropout of the sound; balance the forged modalities"
        yield verdict(f"sound dominates {where}", gain, 0.0, fix_dominance, note=note)
        figure, note = _property_auc(findings, cell, "has_audio")
        yield verdict(f"presence of sound {where}", figure, limit, "give both classes sound, or none", note=note)


def temporal_shortcut(findings: Findings) -> Iterator[Risk]:
    """Loss of AUC on other corpora."""
    limit = findings.settings.thresholds.corpus_gap
    mitigation = "stronger regularisation and augmentation; blended fakes; more source corpora"
    gaps = [(key.dataset, figure) for key, figure in findings.table.items() if key.metric == "auc_gap"]
    for name, figure in gaps:
        yield verdict(f"temporal shortcut ({name})", figure, limit, mitigation)
    if not gaps:
        yield _without("temporal shortcut", limit, "scores of one corpus only; a second one is needed", mitigation)


DEMOGRAPHICS = ("gender", "race", "ethnicity", "skin", "age", "accent", "language")


def group_bias(findings: Findings) -> Iterator[Risk]:
    """Spread of AUC over the values of each attribute."""
    limit = findings.settings.thresholds.group_gap
    mitigation = "collect more of the weaker group; weight it in training; report figures by group"
    found = False
    for key, figure in findings.table.items():
        if key.metric == "auc_spread" and key.slice in DEMOGRAPHICS:
            found = True
            parts = findings.table.slices(Key(**{**vars(key), "metric": "auc", "slice": ""}), key.slice)
            note = ", ".join(f"{value} {part.value:.3f}" for value, part in parts.items())
            yield verdict(
                f"speaker / demographic bias: {key.slice} ({key.dataset})", figure, limit, mitigation, note=note
            )
    if not found:
        reason = f"no attribute about people ({', '.join(DEMOGRAPHICS)}) with at least two values is known"
        yield _without("speaker / demographic bias", limit, reason, mitigation)


def overconfidence(findings: Findings) -> Iterator[Risk]:
    """Expected calibration error of the probabilities that are given out."""
    limit = findings.settings.thresholds.ece
    mitigation = "fit the temperature on validation; refit for the target corpus; say `cannot tell` near .5"
    for cell in findings.judged:
        raw, scaled = (
            findings.table.get(findings.key(cell, "ece", calibration=name)) for name in ("none", "temperature")
        )
        figure = scaled if scaled.evaluable else raw
        stage = "after temperature scaling" if scaled.evaluable else "raw, no temperature could be fitted"
        chance = findings.table.get(
            findings.key(cell, "ece_by_chance", calibration="temperature" if scaled.evaluable else "none")
        )
        beta = findings.table.get(findings.key(cell, "ece", calibration="beta"))
        note = f"{stage}; raw {raw.value:.3f}; chance alone gives {chance.value:.3f}" if figure.evaluable else ""
        if figure.evaluable and beta.evaluable and beta.value < figure.value - 0.01:
            note += f"; beta calibration, which corrects the share of fakes as well, {beta.value:.3f}"
        yield verdict(f"overconfidence ({cell.dataset})", figure, limit, mitigation, note=note)


def leaks_across_splits(findings: Findings) -> Iterator[Risk]:
    """Leak groups with videos in training and in test."""
    name, mitigation = "identity leak across splits", "split again over leak groups: veridical split --scheme repaired"
    videos = findings.evidence.videos
    videos = videos[videos["group"] != ""]
    splits = {str(split): set(rows["group"]) for split, rows in videos.groupby("split")}
    if "test" not in splits or not set(splits) & {"train", "val"}:
        reason = "a manifest with leak groups in a training or validation split and in a test split is needed"
        yield _without(name, 0.0, reason, mitigation)
        return
    before = set().union(*(splits[split] for split in ("train", "val") if split in splits))
    shared = len(before & splits["test"])
    figure = Figure(float(shared), float(shared), float(shared))
    yield verdict(
        name, figure, 0.0, mitigation, note=f"{shared} of {len(splits['test'])} leak groups of the test split"
    )


def duplicates_across_splits(findings: Findings) -> Iterator[Risk]:
    """Files with the same content in training or validation and in test."""
    name, mitigation = "duplicates across splits", "drop one of each pair and split again"
    videos = findings.evidence.videos
    videos = videos[videos["sha256"] != ""]
    before = set(videos.loc[videos["split"].isin(["train", "val"]), "sha256"])
    test = set(videos.loc[videos["split"] == "test", "sha256"])
    if not before or not test:
        reason = (
            "a manifest with content hashes of training or validation and of test files is needed: scan with --probe"
        )
        yield _without(name, 0.0, reason, mitigation)
        return
    shared = len(before & test)
    figure = Figure(float(shared), float(shared), float(shared))
    yield verdict(
        name, figure, 0.0, mitigation, note=f"{shared} of {len(test)} test files; equal bytes, not equal looks"
    )


def unequal_coverage(findings: Findings) -> Iterator[Risk]:
    """Difference between the shares of reals and fakes that have a score."""
    limit = findings.settings.thresholds.coverage_difference
    mitigation = "find out why (face detector, decoding); judge the missing videos as wrong"
    for item in findings.coverage:
        if item.split not in ("test", ""):
            continue
        name = f"unequal coverage ({item.dataset})"
        if not item.known_from_manifest or not item.num_real or not item.num_fake:
            reason = "a manifest that lists all videos of both classes is needed"
            yield _without(name, limit, reason, mitigation)
            continue
        shares = item.real_without_score / item.num_real, item.fake_without_score / item.num_fake
        variances = [p * (1 - p) / n for p, n in zip(shares, (item.num_real, item.num_fake), strict=True)]
        reach = 1.96 * float(np.sqrt(sum(variances)))
        value = abs(shares[0] - shares[1])
        figure = Figure(value, max(value - reach, 0.0), value + reach)
        note = (
            f"without a score: {item.real_without_score} of {item.num_real} reals,"
            f" {item.fake_without_score} of {item.num_fake} fakes"
        )
        yield verdict(name, figure, limit, mitigation, note=note)


def container_shortcut(findings: Findings) -> Iterator[Risk]:
    """How well single facts of the file (frame rate, size, bitrate, duration) separate the classes of a test set."""
    limit = findings.settings.thresholds.shortcut_auc
    mitigation = "re-encode both classes alike; `veridical audit` judges all properties together"
    for cell in findings.judged:
        found = {fact: _property_auc(findings, cell, fact) for fact in MEDIA_FACTS}
        judged = {fact: figure for fact, (figure, _) in found.items() if figure.evaluable}
        name = f"file properties ({cell.dataset})"
        if not judged:
            yield _without(name, limit, "no file was probed: scan with --probe and give the manifest", mitigation)
            continue
        worst = max(judged, key=lambda fact: judged[fact].value)
        yield verdict(name, judged[worst], limit, mitigation, note=f"highest of {len(judged)} properties: {worst}")


def ignored_cues(findings: Findings) -> Iterator[Risk]:
    """A control that destroys a cue (frame order, sound, synchrony) must cost AUC."""
    limit = findings.settings.thresholds.control_drop
    mitigation = "the cue is not used: denser frames for order; modality dropout and desynchronised fakes for sound"
    drops = [(key, figure) for key, figure in findings.table.items() if key.metric == "auc_drop"]
    controls = [(key, figure) for key, figure in drops if key.condition.startswith("control:")]
    for key, figure in controls:
        name = f"cue ignored: {key.condition.removeprefix('control:')} ({key.dataset})"
        yield verdict(name, figure, limit, mitigation, below=True, note="loss of AUC when the cue is destroyed")
    if not controls:
        yield _without("cue ignored", limit, "no scores under a condition control:… (frame order, sound)", mitigation)
    limit, mitigation = findings.settings.thresholds.degradation_drop, "train with this degradation as augmentation"
    degraded = [(key, figure) for key, figure in drops if key.condition.startswith(("degrade:", "attack:"))]
    for key, figure in degraded:
        yield verdict(f"fragile: {key.condition} ({key.dataset})", figure, limit, mitigation, note="loss of AUC")
    if not degraded:
        yield _without("fragile", limit, "no scores under a condition degrade:… or attack:…", mitigation)


def choosing_on_test(findings: Findings) -> Iterator[Risk]:
    """How often the test sets were looked at."""
    name, limit = "choosing on the test set", findings.settings.thresholds.test_looks
    mitigation = "choose on validation only; keep a sealed test set for the last look"
    if findings.looks is None:
        yield _without(name, limit, "looks at the test set were not counted", mitigation)
        return
    figure = Figure(float(findings.looks), float(findings.looks), float(findings.looks))
    yield verdict(name, figure, limit, mitigation, note="looks at the test set so far, this one included")


def not_in_tables(findings: Findings) -> Iterator[Risk]:
    """Shortcuts that scores and manifests do not show; named so that nobody takes silence for safety."""
    needed = {
        "leading silence in fakes": "speech onset is not in the tables: `veridical audit STORE` measures it",
        "crop scale and face-detector failure": "box geometry is not in the tables: `veridical audit STORE` measures it",
    }
    for name, reason in needed.items():
        yield _without(
            name, findings.settings.thresholds.shortcut_auc, reason, "remove or equalise the property; retest"
        )


def _property_auc(findings: Findings, cell: Cell, fact: str) -> tuple[Figure, str]:
    """Return how well a fact of the videos separates the classes of a cell: max(AUC, 1 - AUC)."""
    values = findings.evidence.videos[fact].to_numpy(dtype=float)
    sample = video_sample(
        findings.evidence, cell, findings.settings, condition=findings.evidence.primary, logits=values
    )
    if len(sample.labels) == 0:
        return Figure(reason=f"{fact} is not known for any video"), ""
    figure = rank_figures(sample, ("auc",))["auc"]
    if figure.evaluable and figure.value < 0.5:
        figure = rank_figures(replace(sample, logits=-sample.logits), ("auc",))["auc"]
    if len(set(sample.logits)) == 1 and figure.evaluable:
        return figure, f"{fact} is the same for all {len(sample.logits)} videos"
    return figure, f"AUC of {fact} alone" if figure.evaluable else ""


RISKS: dict[str, Callable[[Findings], Iterator[Risk]]] = {
    "generator overfitting": generator_overfitting,
    "compression shortcut": compression_shortcut,
    "sound": sound_leakage,
    "temporal shortcut": temporal_shortcut,
    "bias": group_bias,
    "overconfidence": overconfidence,
    "leaks": leaks_across_splits,
    "duplicates": duplicates_across_splits,
    "coverage": unequal_coverage,
    "file properties": container_shortcut,
    "cues": ignored_cues,
    "test set": choosing_on_test,
    "not in the tables": not_in_tables,
}
