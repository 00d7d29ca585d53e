"""How well a property separates two classes: area under the curve, its error over groups, two tests, Holm's correction.

Variance over clusters: Obuchowski, Biometrics 1997. Variance under a hypothesis: Hanley and McNeil, Radiology 1982 (for an
area of one half it is that of Mann and Whitney's test). The larger of the two is used, with clusters for videos, so that a
perfect separation of five videos is not taken for certain.

Two questions, two tests: is there any relation (area one half), and is it more than a harmless one (area at most the
threshold)? The first is what many properties can get wrong by chance, and what is corrected for their number; asked of the
second, the correction would hide a perfect separation of a dozen people among 26 properties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUM_FOLDS = 5
_NUM_BINS = 10
_PRIOR_VIDEOS = 5.0


@dataclass(frozen=True)
class Separation:
    """Area under the curve of a score for telling fake from real."""

    auc: float
    """max(AUC, 1 − AUC) when either direction counts."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p_chance: float
    """Of the hypothesis that score and class have nothing to do with each other: the area is one half."""
    p_harmless: float
    """Of the hypothesis that the area is at most the threshold."""


def separation(score: Floats, label: Ints, cluster: Ints, threshold: float, *, either_direction: bool) -> Separation:
    """Return the area of finite scores with its interval and test.

    Args:
        score: (N,) higher is more fake, or either way with `either_direction`.
        label: (N,) 0 real, 1 fake; both must occur.
        cluster: (N,) videos of one cluster are not independent.
        threshold: The area that a harmless property may reach.
        either_direction: Take the better direction, and count the test twice for that.
    """
    fake = label == 1
    ranks = _ranks(score)
    num_fake, num_real = int(fake.sum()), int((~fake).sum())
    # Share of the other class below each video, ties half: its mean over the fakes is the area.
    above = (ranks[fake] - _ranks(score[fake])) / num_real
    below = 1 - (ranks[~fake] - _ranks(score[~fake])) / num_fake
    auc = float(above.mean())
    over_clusters = _cluster_variance(above - auc, below - auc, cluster[fake], cluster[~fake])
    counts = len(np.unique(cluster[fake])), len(np.unique(cluster[~fake]))
    if either_direction:
        auc = max(auc, 1 - auc)
    tries = 2 if either_direction else 1
    p_chance, p_harmless = (
        min(1.0, tries * float(ndtr((area - auc) / np.sqrt(max(over_clusters, _null_variance(area, *counts))))))
        for area in (0.5, threshold)
    )
    inside = float(np.clip(auc, 0.5 / max(counts), 1 - 0.5 / max(counts)))
    spread = 1.96 * np.sqrt(max(over_clusters, _null_variance(inside, *counts))) / (inside * (1 - inside))
    low, high = (float(expit(logit(inside) + sign * spread)) for sign in (-1, 1))
    return Separation(auc, min(low, auc), max(high, auc), p_chance, p_harmless)


def _ranks(score: Floats) -> Floats:
    """Return (N,) ranks from 1, equals sharing their mean rank."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _cluster_variance(above: Floats, below: Floats, cluster_fake: Ints, cluster_real: Ints) -> float:
    """Return the variance of an area from centred placements summed over clusters."""
    _, code = np.unique(np.concatenate([cluster_fake, cluster_real]), return_inverse=True)
    size, num_fake, num_real = int(code.max()) + 1, len(above), len(below)
    fakes = np.bincount(code[:num_fake], weights=above, minlength=size) / num_fake
    reals = np.bincount(code[num_fake:], weights=below, minlength=size) / num_real
    return float(((fakes + reals) ** 2).sum() * size / max(size - 1, 1))


def _null_variance(auc: float, num_fake: int, num_real: int) -> float:
    """Return the variance of an area that is truly `auc`, from so many independent fakes and reals."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (num_fake - 1) * (one - auc**2) + (num_real - 1) * (two - auc**2)
    return spread / (num_fake * num_real)


def folds(cluster: Ints, rng: np.random.Generator) -> Ints:
    """Return (N,) a fold 0 … 4 per video, whole clusters together."""
    names, code = np.unique(cluster, return_inverse=True)
    place = np.arange(len(names)) % NUM_FOLDS
    result: Ints = rng.permutation(place)[code].astype(np.int64)
    return result


def out_of_fold_rate(category: Ints, label: Ints, fold: Ints) -> Floats:
    """Return (N,) the share of fakes of the same category in the other folds, drawn a little to the base rate."""
    num = int(category.max()) + 1
    fakes = np.zeros((NUM_FOLDS, num))
    videos = np.zeros((NUM_FOLDS, num))
    np.add.at(fakes, (fold, category), label)
    np.add.at(videos, (fold, category), 1)
    other_fakes, other_videos = fakes.sum(axis=0) - fakes, videos.sum(axis=0) - videos
    base = other_fakes.sum(axis=1, keepdims=True) / np.maximum(other_videos.sum(axis=1, keepdims=True), 1)
    rate = (other_fakes + _PRIOR_VIDEOS * base) / (other_videos + _PRIOR_VIDEOS)
    # The base rate differs between folds; only what is above it may count, and rounding must not make an order of equals.
    result: Floats = np.round((rate - base)[fold, category], 9)
    return result


def bins(values: Floats) -> Ints:
    """Return (N,) up to ten bins of equal counts, missing values in a bin of their own."""
    known = np.isfinite(values)
    edges = (
        np.unique(np.quantile(values[known], np.linspace(0, 1, _NUM_BINS + 1)[1:-1])) if known.any() else np.empty(0)
    )
    return np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="right"), len(edges) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, p_values[index] * (len(order) - place)))
        adjusted[index] = worst
    return [float(value) for value in adjusted]
