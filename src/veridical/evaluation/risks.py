"""The risk register: ways in which a good figure can mislead, each with a measured figure, a threshold and a mitigation.

A row is FLAG when its figure is beyond the threshold, and `certain` when the whole interval is on the same side of the
threshold as the figure. What the tables do not show is NOT EVALUABLE, with what would be needed. One function per
risk; a function may return several rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from veridical.artefacts import RISK_COLUMNS
from veridical.evaluation.figures import Figure, Key, difference
from veridical.evaluation.risk import Findings, Risk, not_judged, verdict
from veridical.evaluation.shortcuts import (
    duplicates_across_splits,
    leaks_across_splits,
    near_duplicates_across_splits,
    presence_of_sound,
    revealing_properties,
)  # fmt: skip

COMPRESSION_ORDER = ("c0", "raw", "c23", "c40")


def risk_register(findings: Findings) -> pd.DataFrame:
    """Return risks.csv: every risk, whether it can be judged or not."""
    rows = [vars(risk) for judge in RISKS.values() for risk in judge(findings)]
    return pd.DataFrame(rows, columns=list(RISK_COLUMNS))


def _no_reference(findings: Findings) -> str:
    return findings.selection.reason or f"the training corpus {findings.selection.dataset} has no scored test split"


def generator_overfitting(findings: Findings) -> Iterator[Risk]:
    """Spread of AUC over the generators of the training corpus."""
    name, mitigation = "generator overfitting", "balance the generators; add blended fakes that belong to no generator"
    limit = findings.settings.thresholds.generator_spread
    cell = findings.reference
    if cell is None:
        yield not_judged(name, limit, _no_reference(findings), mitigation)
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
        yield not_judged(name, limit, _no_reference(findings), mitigation)
        return
    parts = findings.table.slices(findings.key(cell, "auc"), "compression")
    ordered = [level for level in COMPRESSION_ORDER if level in parts]
    if len(ordered) < 2:
        found = ", ".join(sorted(set(findings.evidence.videos["compression"]) - {""})) or "none stated"
        reason = f"{cell.dataset}: AUC at two compression levels of c0, c23, c40 is needed; levels: {found}"
        yield not_judged(name, limit, reason, mitigation)
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
        yield presence_of_sound(findings, cell)


def temporal_shortcut(findings: Findings) -> Iterator[Risk]:
    """Loss of AUC on other corpora."""
    limit = findings.settings.thresholds.corpus_gap
    mitigation = "stronger regularisation and augmentation; blended fakes; more source corpora"
    gaps = [(key.dataset, figure) for key, figure in findings.table.items() if key.metric == "auc_gap"]
    for name, figure in gaps:
        yield verdict(f"temporal shortcut ({name})", figure, limit, mitigation)
    if not gaps:
        yield not_judged("temporal shortcut", limit, "scores of one corpus only; a second one is needed", mitigation)


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
        yield not_judged("speaker / demographic bias", limit, reason, mitigation)


def overconfidence(findings: Findings) -> Iterator[Risk]:
    """Expected calibration error of the probabilities that are given out."""
    limit = findings.settings.thresholds.ece
    mitigation = "fit the temperature on validation; refit for the target corpus; say “cannot tell” near .5"
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
            yield not_judged(name, limit, reason, mitigation)
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


CUES = {
    "frame order ignored": (
        ("shuffle", "freeze", "reverse"),
        "denser frames, or a temporal encoder that is trained longer",
    ),
    "sound ignored": (
        ("drop_sound", "swap_sound", "silence"),
        "modality dropout of the picture; forged sound in training",
    ),
    "desynchrony unseen": (("shift_sound",), "desynchronised videos in training; the lip-sync branch at 25 fps"),
}
"""Cue → controls that destroy it, and what to do when that costs nothing."""


def ignored_cues(findings: Findings) -> Iterator[Risk]:
    """A control that destroys a cue (frame order, sound, synchrony) must cost AUC."""
    limit = findings.settings.thresholds.control_drop
    drops = [(key, figure) for key, figure in findings.table.items() if key.metric == "auc_drop"]
    controls = {key: figure for key, figure in drops if key.condition.startswith("control:")}
    for cue, (names, mitigation) in CUES.items():
        mine = {key: controls[key] for key in controls if key.condition.split(":")[1] in names}
        for key, figure in mine.items():
            name = f"{cue}: {key.condition.removeprefix('control:')} ({key.dataset})"
            yield verdict(name, figure, limit, mitigation, below=True, note="loss of AUC when the cue is destroyed")
        if not mine:
            needed = f"no scores under {' or '.join(f'control:{name}' for name in names)}: score with --control"
            yield not_judged(cue, limit, needed, mitigation)


def only_composites(findings: Findings) -> Iterator[Risk]:
    """Fakes that hold no composite, against fakes that hold little else: whether traces of blending are all that is seen."""
    name, limit = "compositing artefacts only", findings.settings.thresholds.generator_spread
    mitigation = "train on fakes without blending as well (whole-face synthesis, re-rendered mouths)"
    cell = findings.reference
    parts = findings.table.slices(findings.key(cell, "auc"), "generator") if cell is not None else {}
    blends = {name: figure for name, figure in parts.items() if "self_blend" in name.lower()}
    others = {name: figure for name, figure in parts.items() if name not in blends}
    if not blends or not others:
        reason = "self-blended reals among the judged fakes are needed: veridical forge --method self_blend"
        yield not_judged(name, limit, reason, mitigation)
        return
    hardest = min(others, key=lambda other: others[other].value)
    figure = difference(next(iter(blends.values())), others[hardest])
    yield verdict(name, figure, limit, mitigation, note=f"AUC on self-blended reals minus on {hardest}")


def fragile(findings: Findings) -> Iterator[Risk]:
    """Loss of AUC under degradations and attacks."""
    limit, mitigation = findings.settings.thresholds.degradation_drop, "train with this degradation as augmentation"
    drops = [(key, figure) for key, figure in findings.table.items() if key.metric == "auc_drop"]
    degraded = [(key, figure) for key, figure in drops if key.condition.startswith(("degrade:", "attack:"))]
    for key, figure in degraded:
        yield verdict(f"fragile: {key.condition} ({key.dataset})", figure, limit, mitigation, note="loss of AUC")
    if not degraded:
        yield not_judged("fragile", limit, "no scores under a condition degrade:… or attack:…", mitigation)


def choosing_on_test(findings: Findings) -> Iterator[Risk]:
    """How often the test sets were looked at."""
    name, limit = "choosing on the test set", findings.settings.thresholds.test_looks
    mitigation = "choose on validation only; keep a sealed test set for the last look"
    if findings.looks is None:
        yield not_judged(name, limit, "looks at the test set were not counted", mitigation)
        return
    figure = Figure(float(findings.looks), float(findings.looks), float(findings.looks))
    yield verdict(name, figure, limit, mitigation, note="looks at the test set so far, this one included")


RISKS: dict[str, Callable[[Findings], Iterator[Risk]]] = {
    "generator overfitting": generator_overfitting,
    "compression shortcut": compression_shortcut,
    "sound": sound_leakage,
    "temporal shortcut": temporal_shortcut,
    "bias": group_bias,
    "overconfidence": overconfidence,
    "leaks": leaks_across_splits,
    "duplicates": duplicates_across_splits,
    "near duplicates": near_duplicates_across_splits,
    "coverage": unequal_coverage,
    "properties": revealing_properties,
    "cues": ignored_cues,
    "composites": only_composites,
    "degradations": fragile,
    "test set": choosing_on_test,
}
