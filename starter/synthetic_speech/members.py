"""The members of the detector on held-out folds: their weights of training rows, their scores, their scales."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthetic_speech.folds import Fold, Index
from synthetic_speech.heads import Linear, fit_linear
from synthetic_speech.material import Utterance

Array = npt.NDArray[np.float64]
DOMAINS = {"studio": 1.0, "GRID": 0.2, "web": 0.2}


@dataclass(frozen=True)
class Dose:
    """How much of what a linear member trains on."""

    augmented: float = 0.5
    copies: float = 0.2
    left_out: tuple[str, ...] = ("copy:world",)
    penalty: float = 0.03


def domain(u: Utterance) -> str:
    """Kind of recording: studio, GRID, web."""
    return u.corpus if u.corpus in DOMAINS else "studio"


def row_weights(utterances: list[Utterance], rows: Index, dose: Dose) -> Array:
    """Weights with equal classes: genuine by domain, systems by the root of their size, copies and channels in their dose."""
    chosen = [utterances[r] for r in rows]
    groups = [u.system if u.is_fake else domain(u) for u in chosen]
    size = Counter(groups)
    weight = np.array(
        [size[g] ** -0.5 if u.is_fake else DOMAINS[g] / size[g] for u, g in zip(chosen, groups, strict=True)]
    )
    weight[[g in dose.left_out for g in groups]] = 0
    is_copy = np.array([u.family == "copy" for u in chosen])
    is_fake = np.array([u.is_fake for u in chosen])
    if weight[is_copy].sum() > 0:
        weight[is_copy] *= dose.copies * weight[is_fake & ~is_copy].sum() / weight[is_copy].sum()
    weight *= np.array([dose.augmented / 3 if u.variant else 1 - dose.augmented for u in chosen])
    for kind in (False, True):
        weight[is_fake == kind] /= weight[is_fake == kind].sum()
    return weight


def fit_member(utterances: list[Utterance], x_ND: Array, rows: Index, dose: Dose) -> Linear:
    """Fit the linear head on some rows."""
    weight = row_weights(utterances, rows, dose)
    kept, weight = rows[weight > 0], weight[weight > 0]
    y = np.array([float(utterances[r].is_fake) for r in kept])
    return fit_linear(x_ND[kept], y, weight, dose.penalty * len(kept) / 400)


def held_out(utterances: list[Utterance], x_ND: Array, folds: list[Fold], dose: Dose) -> list[Array]:
    """Scores of each fold's test rows by a head that has not heard the fold."""
    return [fit_member(utterances, x_ND, fold.train, dose)(x_ND[fold.test]) for fold in folds]
