"""The points behind the plots of a report: ROC with its band, reliability before and after calibration, score histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.errors import NotEvaluableError
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.figures import Sample
from veridical.evaluation.protocol import MODALITY_CONDITIONS
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell, video_sample
from veridical.metrics import FloatArray, equal_width_edges, reliability, roc_curve

MAX_POINTS = 300
_BAND_AT = np.linspace(0, 1, 61)


def curves(evidence: Evidence, cell: Cell, selection: Selection, settings: EvaluationSettings) -> dict[str, list[Any]]:
    """Return plain lists for JSON: `roc`, `reliability` and `histogram`, each a list of curves of this cell."""
    found: dict[str, list[Any]] = {"roc": [], "reliability": [], "histogram": []}
    where = {"dataset": cell.dataset, "split": cell.split}
    for condition in (evidence.primary, *MODALITY_CONDITIONS):
        if condition not in evidence.clips or (condition in MODALITY_CONDITIONS and condition == evidence.primary):
            continue
        logits = evidence.video_logits(condition, settings.aggregation, settings.top_k)
        sample = video_sample(evidence, cell, settings, condition=condition, logits=logits)
        try:
            points = roc_points(sample, band=condition == evidence.primary)
        except NotEvaluableError:
            continue
        found["roc"].append({**where, "condition": condition, **points})
        if condition == evidence.primary:
            found["histogram"].append({**where, **score_histogram(sample)})
            found["reliability"] += [{**where, **item} for item in _reliability(sample, condition, selection, settings)]
    return found


def roc_points(sample: Sample, *, band: bool) -> dict[str, list[float]]:
    """Return `fpr` and `tpr` (at most 300 points), and with a band `band_fpr`, `band_low`, `band_high` (95 %, pointwise)."""
    exact = roc_curve(sample.labels, sample.logits)
    fpr, tpr = _thinned(exact.fpr[:, 0], exact.tpr[:, 0])
    points = {"fpr": _rounded(fpr), "tpr": _rounded(tpr)}
    if band:
        replicates = next(iter(sample.bootstrap.curves(sample.labels, sample.logits, sample.rows)))
        defined = np.flatnonzero((replicates.real_weight > 0) & (replicates.fake_weight > 0))
        if len(defined) >= 20:
            at = [np.interp(_BAND_AT, replicates.fpr[:, index], replicates.tpr[:, index]) for index in defined]
            low, high = np.quantile(np.stack(at), [0.025, 0.975], axis=0)
            points |= {"band_fpr": _rounded(_BAND_AT), "band_low": _rounded(low), "band_high": _rounded(high)}
    return points


def score_histogram(sample: Sample, bins: int = 40) -> dict[str, list[float]]:
    """Return `edges` (bins + 1, logits) and the number of `real` and `fake` videos in each bin; ends collect what is beyond."""
    low, high = np.quantile(sample.logits, [0.002, 0.998])
    reach = max(high - low, 1e-3) * 0.04
    edges = np.linspace(low - reach, high + reach, bins + 1)
    clipped = np.clip(sample.logits, edges[0], edges[-1])
    counts = {
        name: np.histogram(clipped[sample.labels == label], edges)[0] for name, label in (("real", 0), ("fake", 1))
    }
    return {"edges": _rounded(edges), **{name: [int(count) for count in values] for name, values in counts.items()}}


def _reliability(
    sample: Sample, condition: str, selection: Selection, settings: EvaluationSettings
) -> list[dict[str, Any]]:
    temperature = selection.temperatures.get(condition)
    maps: dict[str, FloatArray] = {}
    if settings.probabilistic:
        maps["none"] = 1 / (1 + np.exp(-np.clip(sample.logits, -500, 500)))
    if temperature is not None:
        maps["temperature"] = temperature(sample.logits)
    found = []
    for calibration, p_fake in maps.items():
        table = reliability(sample.labels, p_fake, equal_width_edges(settings.ece_bins))
        full = table.count > 0
        found.append(
            {
                "calibration": calibration,
                "count": [int(count) for count in table.count[full]],
                "mean_p_fake": _rounded(table.mean_p_fake[full]),
                "fake_share": _rounded(table.fake_share[full]),
            }
        )
    return found


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


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), 5) for value in values]
