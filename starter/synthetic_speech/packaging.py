"""From cached features to the shipped detector: held-out scores, calibration, operating point, figures, final weights.

Run as `python -m synthetic_speech.packaging [TAG ...]`: each TAG names a light network trained on all six folds and on everything
(`cache/cnn_TAG`), taken as a further member.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from synthetic_speech.audio import RATE_HZ, WINDOW
from synthetic_speech.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    scale_of,
    threshold_for,
)
from synthetic_speech.detector import Facts, Member, SpeechDetector, pack_linear
from synthetic_speech.evaluation import SystemFigure, equal_error_rate, interval, system_figures
from synthetic_speech.extraction import read
from synthetic_speech.folds import Fold, strict_folds
from synthetic_speech.heads import Linear
from synthetic_speech.material import Utterance
from synthetic_speech.members import Dose, domain, fit_member, held_out
from synthetic_speech.quantised import quantise

Array = npt.NDArray[np.float64]
LINEAR = {"whisper": (("whisper1", "whisper2"), Dose())}
SHARES = {"whisper": 1.0, "network": 0.5}
VARIANTS = {0: "clean", 1: "light channel", 2: "recording and codec", 3: "telephone"}
FALSE_ALARMS = 0.1


def matrices(cache: Path) -> dict[str, Array]:
    """Features of each linear member."""
    return {
        name: np.concatenate(list(read(cache / "features", names).values()), 1) for name, (names, _) in LINEAR.items()
    }


def member_scores(
    utterances: list[Utterance], folds: list[Fold], cache: Path, x: dict[str, Array], tags: list[str]
) -> dict[str, list[Array]]:
    """Held-out scores of every member by fold; those of linear members are kept under the recipe's name."""
    found = {}
    for name, (_, dose) in LINEAR.items():
        kept = cache / f"held_out_{name}_{dose.augmented}_{dose.copies}_{dose.penalty}.npz"
        if not kept.exists():
            np.savez(kept, *held_out(utterances, x[name], folds, dose))
        with np.load(kept) as file:
            found[name] = [file[f"arr_{k}"] for k in range(len(folds))]
    for tag in tags:
        found[f"network_{tag}"] = [np.load(cache / f"cnn_{tag}" / f"{fold.name}.npy") for fold in folds]
    return found


def pooled_rows(utterances: list[Utterance], folds: list[Fold]) -> tuple[npt.NDArray[np.int64], Array]:
    """Rows of all folds' trainable test utterances and the mask by concatenated position."""
    rows = np.concatenate([fold.test for fold in folds])
    return rows, np.array([utterances[r].use == "train" for r in rows])


def combine(scores: dict[str, list[Array]], members: tuple[Member, ...]) -> list[Array]:
    """Weighted sum of the members on their common scale, by fold."""
    count = len(next(iter(scores.values())))
    return [sum(m.share * (scores[m.name][k] - m.centre) / m.spread for m in members) for k in range(count)]  # type: ignore[misc]


def describe(scores: dict[str, list[Array]], utterances: list[Utterance], folds: list[Fold]) -> tuple[Member, ...]:
    """Scale each member by its held-out scores and give it its share."""
    rows, trainable = pooled_rows(utterances, folds)
    is_fake = np.array([utterances[r].is_fake for r in rows])[trainable]
    members = []
    for name, by_fold in scores.items():
        centre, spread = scale_of(np.concatenate(by_fold)[trainable], is_fake)
        kind = "linear" if name in LINEAR else "network"
        share = SHARES[name.split("_")[0]] / sum(n.split("_")[0] == name.split("_")[0] for n in scores)
        members.append(Member(name, kind, LINEAR[name][0] if name in LINEAR else (), centre, spread, share))
    total = sum(m.share for m in members)
    return tuple(Member(m.name, m.kind, m.features, m.centre, m.spread, m.share / total) for m in members)


def even_weights(utterances: list[Utterance], rows: npt.NDArray[np.int64]) -> Array:
    """Each system alike, each domain of genuine speech alike."""
    groups = [utterances[r].system or domain(utterances[r]) for r in rows]
    size = {g: groups.count(g) for g in set(groups)}
    return np.array([1 / size[g] for g in groups])


def calibrated(
    utterances: list[Utterance], folds: list[Fold], logits: list[Array]
) -> tuple[Calibration, float, dict[str, object]]:
    """Calibration and threshold from held-out scores of all variants, and what they give."""
    rows, trainable = pooled_rows(utterances, folds)
    rows, flat = rows[trainable], np.concatenate(logits)[trainable]
    is_fake = np.array([float(utterances[r].is_fake) for r in rows])
    weight = even_weights(utterances, rows)
    calibration = fit_calibration(flat, is_fake, weight)
    p = calibration.p_fake(flat)
    threshold = threshold_for(p[is_fake == 0], FALSE_ALARMS)
    variant = np.array([utterances[r].variant for r in rows])
    where = np.array([domain(utterances[r]) for r in rows])
    found: dict[str, object] = {"expected_calibration_error": expected_calibration_error(p, is_fake, weight)}
    for v, name in VARIANTS.items():
        for d in ("studio", "GRID", "web"):
            chosen = (is_fake == 0) & (variant == v) & (where == d)
            found[f"false alarms, held out: {d}, {name}"] = [int((p[chosen] >= threshold).sum()), int(chosen.sum())]
        fakes = (is_fake == 1) & (variant == v)
        found[f"detected, unseen systems: {name}"] = float(np.average(p[fakes] >= threshold, weights=weight[fakes]))
    return calibration, threshold, found


def never_trained_on(
    utterances: list[Utterance],
    x: dict[str, Array],
    heads: dict[str, Linear],
    members: tuple[Member, ...],
    calibration: Calibration,
    threshold: float,
) -> dict[str, list[int]]:
    """False alarms of the final linear members on genuine speech that no model was trained on, by channel."""
    rows = np.flatnonzero([u.use != "train" for u in utterances])
    linear = [m for m in members if m.kind == "linear"]
    total = np.sum([m.share * (heads[m.name](x[m.name][rows]) - m.centre) / m.spread for m in linear], 0)
    called = calibration.p_fake(total) >= threshold
    found = {}
    for use, source in (("choose", "web, never trained on"), ("coded", "studio through Opus or Speex, as published")):
        for v, name in VARIANTS.items():
            chosen = np.array([utterances[r].use == use and utterances[r].variant == v for r in rows])
            found[f"false alarms: {source}, {name}"] = [int(called[chosen].sum()), int(chosen.sum())]
    return found


def tables(utterances: list[Utterance], folds: list[Fold], logits: list[Array]) -> dict[str, object]:
    """AUC by system, family and channel with intervals over systems."""
    found: dict[str, object] = {}
    for v, name in VARIANTS.items():
        figures = [g for fold, s in zip(folds, logits, strict=True) for g in system_figures(utterances, fold, s, (v,))]
        found[name] = by_family(figures)
        if v == 0:
            found["systems"] = [asdict(g) for g in figures]
    rows, trainable = pooled_rows(utterances, folds)
    keep = trainable & np.array([utterances[r].variant == 0 for r in rows])
    flat, fake = np.concatenate(logits)[keep], np.array([utterances[r].is_fake for r in rows])[keep]
    found["equal error rate, pooled, clean"] = equal_error_rate(flat[fake], flat[~fake])
    return found


def by_family(figures: list[SystemFigure]) -> dict[str, list[float]]:
    """Mean AUC with interval over systems, by family, all, and all without codecs."""
    groups = {f: [g.auc for g in figures if g.family == f] for f in sorted({g.family for g in figures})}
    groups["all"] = [g.auc for g in figures]
    groups["without codecs"] = [g.auc for g in figures if g.family != "codec"]
    return {f: [float(np.mean(v)), *interval(np.array(v)), len(v)] for f, v in groups.items()}


def final_heads(utterances: list[Utterance], x: dict[str, Array]) -> dict[str, Linear]:
    """Linear members trained on everything."""
    rows = np.flatnonzero([u.use == "train" for u in utterances])
    return {name: fit_member(utterances, x[name], rows, dose) for name, (_, dose) in LINEAR.items()}


def final_weights(heads: dict[str, Linear], cache: Path, tags: list[str]) -> dict[str, torch.Tensor]:
    """Weights of all members and of the encoder by their names in the file."""
    weights = {f"encoder.{k}": v for k, v in quantise(load_file(cache / "whisper_early_2.safetensors")).items()}
    for name, head in heads.items():
        weights |= pack_linear(name, head)
    for tag in tags:
        state = torch.load(cache / f"cnn_{tag}" / "all.pt", weights_only=True)["average"]
        kept = {k.removeprefix("module."): v.contiguous() for k, v in state.items() if k.startswith("module.")}
        weights |= {f"network_{tag}.{k}": v for k, v in kept.items()}
    return weights


def utterances_of(material: Path) -> list[Utterance]:
    """The table alone, without the sound."""
    found = []
    for path in sorted(material.glob("part_*.npz")):
        with np.load(path) as part:
            found += [Utterance(**row) for row in json.loads(str(part["utterances"]))]
    return found


def main(tags: list[str]) -> None:
    """Evaluate by folds, fit on everything, write `model/` and `report.json`."""
    here = Path(__file__).parents[1]
    utterances, cache = utterances_of(here / "cache" / "material"), here / "cache"
    folds, x = list(strict_folds(utterances)), matrices(cache)
    scores = member_scores(utterances, folds, cache, x, tags)
    members = describe(scores, utterances, folds)
    logits = combine(scores, members)
    calibration, threshold, alarms = calibrated(utterances, folds, logits)
    print(json.dumps(alarms, indent=1), flush=True)
    heads = final_heads(utterances, x)
    alarms |= never_trained_on(utterances, x, heads, members, calibration, threshold)
    detector = tables(utterances, folds, logits)
    words = f"threshold at which {FALSE_ALARMS:.0%} of held-out genuine utterances (studio, GRID, web; clean and through channels) are called fake"
    facts = Facts(
        RATE_HZ,
        WINDOW / RATE_HZ,
        8,
        0.9,
        members,
        2,
        8,
        calibration,
        threshold,
        words,
        _material_words(),
        detector | alarms,
    )
    SpeechDetector(facts, final_weights(heads, cache, tags)).save(here / "model")
    report = {
        "members": {n: tables(utterances, folds, s) for n, s in scores.items()},
        "detector": detector,
        "operating point": alarms,
    }
    (here / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps({k: v for k, v in detector.items() if k != "systems"} | alarms, indent=1))


def _material_words() -> str:
    return "wild/speech (329 outputs of 41 synthesisers, 131 genuine), GRID, genuine web video, own copies; channels on both classes"


if __name__ == "__main__":
    main(sys.argv[1:])
