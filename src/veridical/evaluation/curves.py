"""The points behind the plots of a report: ROC with its band, reliability before and after calibration, score histograms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from pydantic import ConfigDict
from scipy.special import expit

from veridical.errors import NotEvaluableError
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.figures import Sample
from veridical.evaluation.protocol import MODALITY_CONDITIONS
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell, video_sample
from veridical.metrics import FloatArray, RocCurves, equal_width_edges, reliability, roc_curve, share_limits

MAX_POINTS = 300
_BAND_AT = np.linspace(0, 1, 61)
Points = tuple[float, ...]


@dataclass(frozen=True)
class RocPoints:
    """The ROC curve of a test set under one condition."""

    dataset: str
    split: str
    condition: str
    fpr: Points
    """At most 300."""
    tpr: Points
    band_fpr: Points = ()
    """Where the band is given; empty: no band."""
    band_low: Points = ()
    """The 95 % interval of the TPR, point by point."""
    band_high: Points = ()


@dataclass(frozen=True)
class ReliabilityPoints:
    """The reliability diagram of a test set: a point per bin that holds videos."""

    dataset: str
    split: str
    calibration: str
    """`none` or `temperature`."""
    count: tuple[int, ...]
    mean_p_fake: Points
    fake_share: Points


@dataclass(frozen=True)
class ScoreHistogram:
    """Videos of a test set by their logit; what lies beyond the ends is counted in the outermost bins."""

    dataset: str
    split: str
    edges: Points
    """(bins + 1,) logits."""
    real: tuple[int, ...]
    fake: tuple[int, ...]


@dataclass(frozen=True)
class Curves:
    """The points of all plots."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    roc: tuple[RocPoints, ...]
    reliability: tuple[ReliabilityPoints, ...]
    histogram: tuple[ScoreHistogram, ...]


def curves(evidence: Evidence, cells: Iterable[Cell], selection: Selection, settings: EvaluationSettings) -> Curves:
    """Return the curves of the test sets among the cells."""
    tested = [cell for cell in cells if cell.is_test]
    primary = [(cell, _sample(evidence, cell, settings, evidence.primary)) for cell in tested]
    drawn = [(cell, sample) for cell, sample in primary if len(set(sample.labels)) == 2]
    return Curves(
        roc=tuple(chain.from_iterable(_roc_curves(evidence, cell, settings) for cell in tested)),
        reliability=tuple(
            chain.from_iterable(
                _reliability(cell, sample, evidence.primary, selection, settings) for cell, sample in drawn
            )
        ),
        histogram=tuple(score_histogram(cell, sample) for cell, sample in drawn),
    )


def _sample(evidence: Evidence, cell: Cell, settings: EvaluationSettings, condition: str) -> Sample:
    logits = evidence.video_logits(condition, settings.video_rule)
    return video_sample(evidence, cell, settings, condition=condition, logits=logits)


def _roc_curves(evidence: Evidence, cell: Cell, settings: EvaluationSettings) -> Iterator[RocPoints]:
    """Yield the curve of the primary condition, with its band, and of every modality condition."""
    for condition in dict.fromkeys((evidence.primary, *MODALITY_CONDITIONS)):
        if condition in evidence.clips:
            sample = _sample(evidence, cell, settings, condition)
            try:
                yield roc_points(cell, sample, condition, band=condition == evidence.primary)
            except NotEvaluableError:
                continue


def roc_points(cell: Cell, sample: Sample, condition: str, *, band: bool) -> RocPoints:
    """Return the ROC curve of a sample, and with `band` its 95 % band.

    Raises:
        NotEvaluableError: when there are not both reals and fakes.
    """
    exact = roc_curve(sample.labels, sample.logits)
    fpr, tpr = _thinned(exact.fpr[:, 0], exact.tpr[:, 0])
    bands: tuple[Points, ...] = ()
    if band:
        bands = tuple(map(_rounded, _band(sample, exact)))
    return RocPoints(cell.dataset, cell.split, condition, _rounded(fpr), _rounded(tpr), *bands)


def _band(sample: Sample, exact: RocCurves) -> tuple[FloatArray, ...]:
    """Return FPR, lower and upper TPR of the 95 % band, point by point; empty where people are too few."""
    replicates = next(iter(sample.bootstrap.curves(sample.labels, sample.logits, sample.rows)))
    defined = np.flatnonzero((replicates.real_weight > 0) & (replicates.fake_weight > 0))
    if sample.support.too_few or len(defined) < 20:
        return ()
    at = np.stack([np.interp(_BAND_AT, replicates.fpr[:, index], replicates.tpr[:, index]) for index in defined])
    tpr, groups = np.interp(_BAND_AT, exact.fpr[:, 0], exact.tpr[:, 0]), sample.support.fewest
    variance = at.var(axis=0) * groups / (groups - 1)
    low, high = share_limits(tpr, variance, sample.support.num_fake, groups, confidence=sample.confidence)
    quantiles = np.quantile(at, [0.025, 0.975], axis=0)
    low, high = np.minimum(low, quantiles[0]), np.maximum(high, quantiles[1])
    low[-1] = 1.0  # at an FPR of 1 everything is called fake
    return _BAND_AT, low, high


def score_histogram(cell: Cell, sample: Sample, bins: int = 40) -> ScoreHistogram:
    """Return the histogram of a sample's logits."""
    low, high = np.quantile(sample.logits, [0.002, 0.998])
    reach = max(high - low, 1e-3) * 0.04
    edges = np.linspace(low - reach, high + reach, bins + 1)
    clipped = np.clip(sample.logits, edges[0], edges[-1])
    real, fake = (np.histogram(clipped[sample.labels == label], edges)[0].tolist() for label in (0, 1))
    return ScoreHistogram(cell.dataset, cell.split, _rounded(edges), tuple(real), tuple(fake))


def _reliability(
    cell: Cell, sample: Sample, condition: str, selection: Selection, settings: EvaluationSettings
) -> Iterator[ReliabilityPoints]:
    calibrated = selection.calibration(condition)
    maps: dict[str, FloatArray] = {}
    if settings.probabilistic:
        maps["none"] = expit(sample.logits)
    if calibrated is not None:
        maps["temperature"] = calibrated.p_fake(sample.logits)
    for calibration, p_fake in maps.items():
        table = reliability(sample.labels, p_fake, equal_width_edges(settings.ece_bins))
        full = table.count > 0
        yield ReliabilityPoints(
            cell.dataset,
            cell.split,
            calibration,
            tuple(map(int, table.count[full])),
            _rounded(table.mean_p_fake[full]),
            _rounded(table.fake_share[full]),
        )


def _thinned(fpr: FloatArray, tpr: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Keep the corners of a ROC curve, and of those at most 300, evenly along its length."""
    turns = np.ones(len(fpr), dtype=bool)
    turns[1:-1] = (np.diff(fpr)[:-1] != 0) != (np.diff(fpr)[1:] != 0)
    turns[1:-1] |= (np.diff(fpr)[:-1] * np.diff(tpr)[:-1] != 0) | (np.diff(fpr)[1:] * np.diff(tpr)[1:] != 0)
    fpr, tpr = fpr[turns], tpr[turns]
    if len(fpr) <= MAX_POINTS:
        return fpr, tpr
    length = np.concatenate([[0], np.cumsum(np.diff(fpr) + np.diff(tpr))])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MAX_POINTS)))
    return fpr[kept], tpr[kept]


def _rounded(values: FloatArray) -> Points:
    return tuple(round(float(value), 5) for value in values)
