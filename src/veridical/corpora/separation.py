"""How well a property separates real from fake: area under the ROC curve, its interval over clusters, two tests.

The variance of the area is the larger of the observed one over clusters (Obuchowski) and the expected one under the
hypothesis (Hanley and McNeil; for an area of one half that of the Mann-Whitney test), with clusters for videos, so that a
perfect separation of five videos is not taken for certain.

Two questions, two tests: is there any relation (area one half), and is it more than a harmless one (area at most the
threshold)? Only the first is corrected for the number of properties tried; corrected in the second as well, a perfect
separation of a dozen people would go unnoticed among 26 properties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr

from veridical.metrics import clustered_auc_variance, expected_auc_variance, placements

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUM_FOLDS = 5
_NUM_BINS = 10
_PRIOR_VIDEOS = 5.0


@dataclass(frozen=True)
class Separation:
    """How well one score tells fake from real."""

    auc: float
    """Area under the ROC curve; max(AUC, 1 − AUC) when either direction counts."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p_chance: float
    """p-value of the hypothesis that score and class are unrelated: the area is one half."""
    p_harmless: float
    """p-value of the hypothesis that the area is at most the threshold."""


def separation(score: Floats, label: Ints, cluster: Ints, threshold: float, *, either_direction: bool) -> Separation:
    """Return the area under the curve of finite scores with its interval and tests.

    Args:
        score: (N,) higher is more fake, or either way with `either_direction`.
        label: (N,) 0 real, 1 fake; both must occur.
        cluster: (N,) videos of one cluster are not independent.
        threshold: The area that a harmless property may reach.
        either_direction: Take the better direction, and double the p-values for that.
    """
    clusters = cluster[label == 1], cluster[label == 0]
    fakes, reals = placements(label, score)
    auc = float(fakes.mean())
    observed = clustered_auc_variance(fakes, reals, *clusters)
    counts = len(np.unique(clusters[0])), len(np.unique(clusters[1]))
    if either_direction:
        auc = max(auc, 1 - auc)
    tries = 2 if either_direction else 1
    p_chance, p_harmless = (
        min(1.0, tries * float(ndtr((area - auc) / np.sqrt(max(observed, expected_auc_variance(area, *counts))))))
        for area in (0.5, threshold)
    )
    inside = float(np.clip(auc, 0.5 / max(counts), 1 - 0.5 / max(counts)))
    spread = 1.96 * np.sqrt(max(observed, expected_auc_variance(inside, *counts))) / (inside * (1 - inside))
    low, high = (float(expit(logit(inside) + sign * spread)) for sign in (-1, 1))
    return Separation(auc, min(low, auc), max(high, auc), p_chance, p_harmless)


def folds(cluster: Ints, rng: np.random.Generator) -> Ints:
    """Return (N,) a fold 0 … 4 per video, whole clusters together."""
    names, code = np.unique(cluster, return_inverse=True)
    place = np.arange(len(names)) % NUM_FOLDS
    result: Ints = rng.permutation(place)[code].astype(np.int64)
    return result


def out_of_fold_rate(category: Ints, label: Ints, fold: Ints) -> Floats:
    """Return (N,) the share of fakes of the same category in the other folds, shrunk towards the base rate."""
    num = int(category.max()) + 1
    fakes = np.zeros((NUM_FOLDS, num))
    videos = np.zeros((NUM_FOLDS, num))
    np.add.at(fakes, (fold, category), label)
    np.add.at(videos, (fold, category), 1)
    other_fakes, other_videos = fakes.sum(axis=0) - fakes, videos.sum(axis=0) - videos
    base = other_fakes.sum(axis=1, keepdims=True) / np.maximum(other_videos.sum(axis=1, keepdims=True), 1)
    rate = (other_fakes + _PRIOR_VIDEOS * base) / (other_videos + _PRIOR_VIDEOS)
    # The base rate differs between folds: only what exceeds it may count. Rounding keeps equals equal.
    result: Floats = np.round((rate - base)[fold, category], 9)
    return result


def bins(values: Floats) -> Ints:
    """Return (N,) up to ten bins of equal counts, missing values in a bin of their own."""
    known = np.isfinite(values)
    edges = (
        np.unique(np.quantile(values[known], np.linspace(0, 1, _NUM_BINS + 1)[1:-1])) if known.any() else np.empty(0)
    )
    return np.where(known, np.searchsorted(edges, np.where(known, values, 0.0), side="right"), len(edges) + 1)
