"""Simulated detectors with known truth: people with several videos, and an effect of the person in both classes.

A score is normal in each class; a share `ICC` of its variance is the person's, who has another (correlated) effect on reals
than on fakes. So every figure of the population can be computed, not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from veridical.metrics import FloatArray, IntArray, RocCurves, bin_index, decision_metrics, equal_width_edges
from veridical.metrics.ranking import curves_from_counts

ICC = 0.4
"""Share of the variance of scores within a class that is the person's."""
CLASS_CORRELATION = 0.5
"""Of a person's effect on reals with that on fakes."""
APART = 20.0
"""Distance of the classes that stands for an area of 1."""
LAYOUTS = ("1:1", "1:8", "1:8 sparse", "ties", "disjoint")
"""Reals to fakes of a person. `1:1`: 2 to 5 of each. `1:8`: one real, eight fakes. `1:8 sparse`: 2 to 5 fakes, an eighth as
many reals, of some of the people. `ties`: 1:1 with scores rounded to whole deviations. `disjoint`: other people in each class."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """Videos of one test set."""

    labels: IntArray
    """(n,)."""
    scores: FloatArray
    """(n,) zero half-way between the classes."""
    person: IntArray
    """(n,)."""


def distance_of(auc: float) -> float:
    """Return how far apart the means of the classes are, in deviations."""
    return APART if auc >= 1 else float(np.sqrt(2) * scipy.stats.norm.ppf(auc))


def share_of_fakes(layout: str) -> float:
    """Return the share of fakes of a layout."""
    return 8 / 9 if layout.startswith("1:8") else 0.5


def people(number: int, layout: str, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return (n,) persons and labels."""
    fakes = np.full(number, 8) if layout == "1:8" else rng.integers(2, 6, number)
    if layout == "1:8":
        reals = np.ones(number, int)
    elif layout == "1:8 sparse":
        reals = np.bincount(rng.integers(0, number, max(1, round(fakes.sum() / 8))), minlength=number)
    else:
        reals = rng.integers(2, 6, number)
    real, fake = np.repeat(np.arange(number), reals), np.repeat(np.arange(number), fakes)
    if layout == "disjoint":
        fake = fake + number
    person = np.concatenate([real, fake])
    return person.astype(np.int64), (np.arange(len(person)) >= len(real)).astype(np.int64)


def noise(person: IntArray, labels: IntArray, rng: np.random.Generator, icc: float = ICC) -> FloatArray:
    """Return (n,) standard normal noise with the person's effect."""
    effect = rng.normal(size=(2, int(person.max()) + 1))
    effect[1] = CLASS_CORRELATION * effect[0] + np.sqrt(1 - CLASS_CORRELATION**2) * effect[1]
    return np.asarray(np.sqrt(icc) * effect[labels, person] + np.sqrt(1 - icc) * rng.normal(size=len(person)))


def simulated(number: int, auc: float, layout: str, rng: np.random.Generator, icc: float = ICC) -> Simulated:
    """Return the videos of so many people, judged by a detector of this area."""
    person, labels = people(number, layout, rng)
    distance = distance_of(auc)
    scores = distance * (labels - 0.5) + noise(person, labels, rng, icc)
    return Simulated(labels, np.round(scores) if layout == "ties" else scores, person)


def p_fake(scores: FloatArray, auc: float, layout: str, sharpness: float = 1.0) -> FloatArray:
    """Return calibrated probabilities; too sure of themselves with a sharpness above 1."""
    share = share_of_fakes(layout)
    logits = distance_of(auc) * scores + np.log(share / (1 - share))
    return np.asarray(1 / (1 + np.exp(-np.clip(sharpness * logits, -500, 500))))


def population(auc: float, layout: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (K,) ascending scores and the share of all videos that are fakes, and reals, with each."""
    half, share = distance_of(auc) / 2, share_of_fakes(layout)
    edges = np.linspace(-8 - half, 8 + half, 160_001)
    if layout == "ties":
        edges = np.arange(np.floor(edges[0]), np.ceil(edges[-1]) + 1) + 0.5
    fake, real = (np.diff(scipy.stats.norm.cdf(edges - mean)) for mean in (half, -half))
    return (edges[1:] + edges[:-1]) / 2, share * fake, (1 - share) * real


def true_curves(auc: float, layout: str) -> RocCurves:
    """Return the ROC curve of the population."""
    scores, fake, real = population(auc, layout)
    return curves_from_counts(scores[::-1], fake[::-1, None], real[::-1, None])


def true_decisions(auc: float, layout: str) -> dict[str, float]:
    """Return the decision metrics of the population at the threshold 0."""
    scores, fake, real = population(auc, layout)
    called = scores >= 0
    counts = np.array([fake[called].sum(), real[called].sum(), real[~called].sum(), fake[~called].sum()])
    return {name: float(value) for name, value in decision_metrics(counts).items()}


def true_calibration(auc: float, layout: str, sharpness: float, bins: int = 10) -> dict[str, float]:
    """Return the expected calibration error and the Brier score of the population."""
    scores, fake, real = population(auc, layout)
    probability = p_fake(scores, auc, layout, sharpness)
    surplus = probability * (fake + real) - fake
    in_bins = np.bincount(bin_index(probability, equal_width_edges(bins)), weights=surplus, minlength=bins)
    return {
        "ece": float(np.abs(in_bins).sum()),
        "brier": float((fake * (1 - probability) ** 2 + real * probability**2).sum()),
    }


def second_detector(
    videos: Simulated, auc: float, other: float, rng: np.random.Generator, relation: float = 0.6
) -> FloatArray:
    """Return (n,) scores of a detector of the area `other`, whose noise is related to that of the first (of area `auc`)."""
    first = videos.scores - distance_of(auc) * (videos.labels - 0.5)
    mixed = relation * first + np.sqrt(1 - relation**2) * noise(videos.person, videos.labels, rng)
    return np.asarray(distance_of(other) * (videos.labels - 0.5) + mixed)


Mask = NDArray[np.bool_]
