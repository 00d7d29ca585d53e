"""The risk register: ways in which a good figure can mislead, each with a measurement, a threshold and a mitigation.

How a figure becomes one of four verdicts: `verdicts.py`. What the tables cannot show is NOT EVALUABLE, with what would be needed.
One function per risk; a function may yield several rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from veridical.corpora import DEMOGRAPHICS, demographic
from veridical.evaluation.combined import difference
from veridical.evaluation.data_risks import (
    duplicates_across_splits,
    leaks_across_splits,
    near_duplicates_across_splits,
    presence_of_audio,
    seen_in_training,
    shortcuts,
)  # fmt: skip
from veridical.evaluation.figures import Figure, Key
from veridical.evaluation.slices import Cell, choose_test_splits
from veridical.evaluation.tables import RISK_COLUMNS
from veridical.evaluation.verdicts import Measurements, Risk, among_many, unmeasured, verdict
from veridical.interventions import INTERVENTIONS, find_intervention
from veridical.metrics import Estimate, linear_interval, share_interval

COMPRESSION_ORDER = ("c0", "raw", "c23", "c40")


def risk_register(measured: Measurements) -> pd.DataFrame:
    """Return risks.csv: every risk, evaluable or not."""
    rows = [vars(risk) for assess in RISKS for risk in assess(measured)]
    return pd.DataFrame(rows, columns=list(RISK_COLUMNS))


def _no_reference(measured: Measurements) -> str:
    return measured.selection.reason or f"the training corpus {measured.selection.dataset} has no scored test split"


def generator_overfitting(measured: Measurements) -> Iterator[Risk]:
    """Spread of the AUC over the generators of the training corpus."""
    name, mitigation = "generator overfitting", "balance the generators; add blended fakes that belong to no generator"
    limit = measured.settings.thresholds.generator_spread
    cell = measured.reference
    if cell is None:
        yield unmeasured(name, limit, _no_reference(measured), mitigation)
        return
    parts = measured.table.slices(measured.key(cell, "auc"), "generator")
    figure = measured.get(cell, "auc_spread", slice="generator")
    if not figure.evaluable:
        known = sum(
            key.slice.startswith("generator=") for key, _ in measured.named("auc") if key.dataset == cell.dataset
        )
        reason = (
            figure.reason if known > 1 else f"{'one' if known else 'no'} generator has scores, at least two are needed"
        )
        figure = Figure(reason=f"{cell.dataset}: {reason}")
    note = ", ".join(f"{generator} {part.value:.3f}" for generator, part in parts.items())
    yield verdict(name, figure, limit, mitigation, note=f"AUC by generator: {note}" if note else "")


def compression_shortcut(measured: Measurements) -> Iterator[Risk]:
    """AUC on the lightest compression minus AUC on a stronger one."""
    name, mitigation = "compression shortcut", "train on mixed compression; re-encode reals and fakes alike"
    limit = measured.settings.thresholds.compression_gap
    cell = measured.reference
    if cell is None:
        yield unmeasured(name, limit, _no_reference(measured), mitigation)
        return
    parts = measured.table.slices(measured.key(cell, "auc"), "compression")
    ordered = [level for level in COMPRESSION_ORDER if level in parts]
    if len(ordered) < 2:
        levels = ", ".join(sorted(set(measured.evidence.videos["compression"]) - {""})) or "none stated"
        needed = "scores of enough people at two of the compression levels c0, c23, c40 are needed"
        reason = f"{cell.dataset}: {needed}; levels here: {levels}"
        yield unmeasured(name, limit, reason, mitigation)
        return
    figure = difference(parts[ordered[0]], parts["c23" if "c23" in ordered[1:] else ordered[-1]])
    worst = difference(parts[ordered[0]], parts[ordered[-1]])
    figure = worst if worst.value > figure.value else figure
    note = ", ".join(f"{level} {parts[level].value:.3f}" for level in ordered)
    yield verdict(name, figure, limit, mitigation, note=f"AUC by compression: {note}")


def audio_leakage(measured: Measurements) -> Iterator[Risk]:
    """Audio alone on fakes with genuine audio; video alone beside video and audio; audio alone against both; its presence."""
    limit = measured.settings.thresholds.shortcut_auc
    fix = "look for traces of production in the audio (leading silence, codec, loudness); trim and re-encode both classes alike"
    for cell in measured.test_sets:
        where = f"({cell.dataset})"
        audio = measured.get(cell, "auc", condition="video_masked")
        genuine = measured.get(cell, "auc", condition="video_masked", slice="forged=video")
        if not genuine.evaluable:
            known = genuine.reason != "not computed"
            genuine = Figure(
                reason=audio.reason or (genuine.reason if known else "no fake with genuine audio is known")
            )
        note = "AUC of audio alone on fakes with genuine audio; .5 is expected" if genuine.evaluable else ""
        yield verdict(f"audio-only leakage {where}", genuine, limit, fix, note=note, no_fault=0.5)
        joint = measured.get(cell, "auc")
        yield _video_only(measured, cell, fix)
        gain = difference(audio, joint)
        note = f"AUC of audio alone {audio.value:.3f} minus video and audio {joint.value:.3f}" if gain.evaluable else ""
        fix_dominance = "increase the modality dropout of audio; balance the forged modalities"
        yield verdict(f"audio dominates {where}", gain, 0.0, fix_dominance, note=note)
        yield presence_of_audio(measured, cell)


def _video_only(measured: Measurements, cell: Cell, mitigation: str) -> Risk:
    """Return the row of the video-only ablation: on fakes whose audio is genuine, audio must add nothing to video."""
    limit = measured.settings.thresholds.audio_gain
    beside = []
    for what, part in (("all fakes", ""), ("fakes with genuine audio", "forged=video")):
        joint = measured.get(cell, "auc", slice=part)
        video = measured.get(cell, "auc", condition="audio_masked", slice=part)
        gain = difference(joint, video)
        if gain.evaluable:
            beside.append(f"{what}: AUC of video only {video.value:.3f} beside video and audio {joint.value:.3f}")
    if beside and not gain.evaluable:
        gain = Figure(reason=f"{beside[0]}; which fakes have genuine audio is not known")
    name = f"audio-only leakage, video-only ablation ({cell.dataset})"
    return verdict(name, gain, limit, mitigation, note="; ".join(beside) if gain.evaluable else "")


def temporal_shortcut(measured: Measurements) -> Iterator[Risk]:
    """Loss of AUC on other corpora."""
    limit = measured.settings.thresholds.corpus_gap
    mitigation = "stronger regularisation and augmentation; blended fakes; more training corpora"
    gaps = measured.named("auc_gap")
    for key, figure in gaps:
        yield verdict(f"temporal shortcut ({key.dataset})", figure, limit, mitigation)
    if not gaps:
        yield unmeasured("temporal shortcut", limit, "scores of one corpus only; a second one is needed", mitigation)


def group_bias(measured: Measurements) -> Iterator[Risk]:
    """Spread of the AUC over the values of each demographic attribute."""
    limit = measured.settings.thresholds.group_gap
    mitigation = "collect more videos of the weaker group; weight it in training; report figures by group"
    spreads = [(key, figure) for key, figure in measured.named("auc_spread") if demographic(key.slice) is not None]
    raised = among_many([figure.p_chance for _, figure in spreads])
    for (key, figure), p_chance in zip(spreads, raised, strict=True):
        parts = measured.table.slices(Key(**{**vars(key), "metric": "auc", "slice": ""}), key.slice)
        note = ", ".join(f"{value} {part.value:.3f}" for value, part in parts.items())
        name = f"speaker / demographic bias: {key.slice} ({key.dataset})"
        yield verdict(name, replace(figure, p_chance=p_chance), limit, mitigation, note=note)
    if not spreads:
        reason = f"no demographic attribute ({', '.join(DEMOGRAPHICS)}) with at least two values is known"
        yield unmeasured("speaker / demographic bias", limit, reason, mitigation)


def overconfidence(measured: Measurements) -> Iterator[Risk]:
    """Expected calibration error of the reported probabilities."""
    limit = measured.settings.thresholds.ece
    mitigation = "fit the temperature on validation; refit it for the target corpus; abstain near .5"
    for cell in measured.test_sets:
        raw, scaled, beta = (measured.get(cell, "ece", calibration=name) for name in ("none", "temperature", "beta"))
        figure = scaled if scaled.evaluable else raw
        stage = "after temperature scaling" if scaled.evaluable else "raw, no temperature could be fitted"
        note = f"{stage}; raw {raw.observed:.3f} as measured" if figure.evaluable else ""
        if figure.evaluable and beta.evaluable and beta.value < figure.value - 0.01:
            note += f"; {beta.observed:.3f} with beta calibration, which corrects the share of fakes as well"
        yield verdict(f"overconfidence ({cell.dataset})", figure, limit, mitigation, note=note)


def unequal_coverage(measured: Measurements) -> Iterator[Risk]:
    """Difference between the shares of reals and fakes that have a score."""
    limit = measured.settings.thresholds.coverage_difference
    mitigation = "find the cause (face detection, decoding); count the missing videos as errors"
    tested = choose_test_splits((item.dataset, item.split) for item in measured.coverage).items()
    for item in measured.coverage:
        if (item.dataset, item.split) not in tested:
            continue
        name = f"unequal coverage ({item.dataset})"
        if not item.known_from_manifest or not item.num_real or not item.num_fake:
            reason = "a manifest that lists all videos of both classes is needed"
            yield unmeasured(name, limit, reason, mitigation)
            continue
        shares = item.real_without_score / item.num_real, item.fake_without_score / item.num_fake
        figure = _distance(*shares, item.num_real, item.num_fake)
        note = (
            f"without a score: {item.real_without_score} of {item.num_real} reals,"
            f" {item.fake_without_score} of {item.num_fake} fakes"
        )
        yield verdict(name, figure, limit, mitigation, note=note, no_fault=0.0)


def _distance(first: float, second: float, first_size: int, second_size: int) -> Figure:
    """Return how far two shares of independent videos lie apart, whichever is the higher; exact where both are 0."""
    if first == second == 0.0:
        return Figure(0.0, 0.0, 0.0)
    shares = [
        Estimate(share, share_interval(share, share * (1 - share) / size, trials=size, groups=size))
        for share, size in ((first, first_size), (second, second_size))
    ]
    apart = linear_interval(shares, (1.0, -1.0))
    ends = sorted((abs(apart.interval.low), abs(apart.interval.high)))
    spans = apart.interval.low < 0 < apart.interval.high
    return Figure(abs(apart.value), 0.0 if spans else ends[0], ends[1])


CUES = {
    "frame order": ("frame order ignored", "sample frames more densely, or train the temporal encoder longer"),
    "audio": ("audio ignored", "modality dropout of video; forged audio in training"),
    "synchrony": ("desynchrony unseen", "desynchronised videos in training; the lip-sync branch at 25 fps"),
}
"""Cue of controls → the risk when the detector loses nothing without it, and what to do."""


def ignored_cues(measured: Measurements) -> Iterator[Risk]:
    """Loss of AUC under controls that destroy a cue (frame order, audio, synchrony)."""
    limit = measured.settings.thresholds.control_drop
    for cue, (risk, mitigation) in CUES.items():
        controls = [item.name for item in INTERVENTIONS.values() if (item.kind, item.cue) == ("control", cue)]
        destroyed = []
        for key, figure in measured.named("auc_drop"):
            item = find_intervention(key.condition)
            if item is not None and item.name in controls:
                destroyed.append((key, figure))
        for key, figure in destroyed:
            name = f"{risk}: {key.condition.removeprefix('control:')} ({key.dataset})"
            yield verdict(name, figure, limit, mitigation, below=True, note="loss of AUC when the cue is destroyed")
        if not destroyed:
            needed = f"no scores under {' or '.join(f'control:{name}' for name in controls)}: score with --intervention"
            yield unmeasured(risk, limit, needed, mitigation)


def only_composites(measured: Measurements) -> Iterator[Risk]:
    """AUC on self-blended reals minus AUC on the hardest generator: whether the detector sees more than traces of blending."""
    name, limit = "compositing artefacts only", measured.settings.thresholds.generator_spread
    mitigation = "train on fakes without blending as well (whole-face synthesis, re-rendered mouths)"
    cell = measured.reference
    parts = measured.table.slices(measured.key(cell, "auc"), "generator") if cell is not None else {}
    blends = {name: figure for name, figure in parts.items() if "self_blend" in name.lower()}
    others = {name: figure for name, figure in parts.items() if name not in blends}
    if not blends or not others:
        reason = "self-blended reals among the test videos are needed: veridical forge --method self_blend"
        yield unmeasured(name, limit, reason, mitigation)
        return
    hardest = min(others, key=lambda other: others[other].value)
    figure = difference(next(iter(blends.values())), others[hardest])
    yield verdict(name, figure, limit, mitigation, note=f"AUC on self-blended reals minus AUC on {hardest}")


def fragile(measured: Measurements) -> Iterator[Risk]:
    """Loss of AUC under degradations and attacks."""
    limit, mitigation = measured.settings.thresholds.degradation_drop, "train with this degradation as augmentation"
    drops = measured.named("auc_drop")
    degraded = [(key, figure) for key, figure in drops if key.condition.startswith(("degrade:", "attack:"))]
    for key, figure in degraded:
        yield verdict(f"fragile: {key.condition} ({key.dataset})", figure, limit, mitigation, note="loss of AUC")
    if not degraded:
        yield unmeasured("fragile", limit, "no scores under a condition degrade:… or attack:…", mitigation)


def selection_on_test(measured: Measurements) -> Iterator[Risk]:
    """Number of looks at the test sets."""
    name, limit = "selection on the test set", measured.settings.thresholds.test_looks
    mitigation = "select on validation only; keep a sealed test set for the final evaluation"
    if measured.looks is None:
        yield unmeasured(name, limit, "looks at the test set were not counted", mitigation)
        return
    figure = Figure(float(measured.looks), float(measured.looks), float(measured.looks))
    yield verdict(name, figure, limit, mitigation, note="looks at the test set, this one included")


RISKS: tuple[Callable[[Measurements], Iterator[Risk]], ...] = (
    generator_overfitting,
    compression_shortcut,
    audio_leakage,
    temporal_shortcut,
    group_bias,
    overconfidence,
    leaks_across_splits,
    duplicates_across_splits,
    seen_in_training,
    near_duplicates_across_splits,
    unequal_coverage,
    shortcuts,
    ignored_cues,
    only_composites,
    fragile,
    selection_on_test,
)
