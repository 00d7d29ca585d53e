"""Temporal localisation in partial fakes: clip scores become proposed segments, compared with those of the manifest.

A proposal is a maximal run of neighbouring clips that all score at least some level, for every level that occurs; its score is
their mean. So its bounds are as fine as the clips: a forged word of .3 s cannot be localised with clips of one second, and the
figures show it. Segments of video and audio are merged. On reals every proposal is a false positive; fakes without segments are
left out.
"""

from __future__ import annotations

import numpy as np

from veridical.evaluation.evidence import Clips, Evidence
from veridical.evaluation.figures import Figure, Sample, figure_from
from veridical.evaluation.interval_rules import share_rule
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell
from veridical.metrics import FloatArray, IntArray, Segments, ranked_hits, recalled_segments, segment_average_precision

IOUS = (0.5, 0.75, 0.95)
PROPOSALS = (10, 20, 50, 100)
LOCALISATION_METRICS = (*(f"ap_at_iou_{iou:g}" for iou in IOUS), *(f"ar_at_{number}" for number in PROPOSALS))
_CHUNK = 100


def localisation_figures(evidence: Evidence, cell: Cell, settings: EvaluationSettings) -> dict[str, Figure]:
    """Return AP at IoU .5, .75, .95 and AR of the best 10 to 100 proposals, of the primary condition."""
    if not any(video in evidence.segments for video in cell.videos):
        return dict.fromkeys(
            LOCALISATION_METRICS, Figure(reason="no fake of this split has forged segments in the manifest")
        )
    clips = evidence.clips[evidence.primary]
    labels = evidence.videos["label"].to_numpy(dtype=float)
    timed = np.zeros(len(labels), dtype=bool)
    timed[clips.video[np.isfinite(clips.start_s)]] = True
    videos = [v for v in cell.videos if timed[v] and (labels[v] == 0 or v in evidence.segments)]
    if not any(video in evidence.segments for video in videos):
        reason = "no fake with forged segments has scores of clips with their times"
        return dict.fromkeys(LOCALISATION_METRICS, Figure(reason=reason))
    truths = {str(v): evidence.segments.get(v, np.empty((0, 2))) for v in videos}
    proposed = proposals(clips, np.asarray(videos), settings.window_s)
    return _figures(proposed, truths, labels[videos].astype(np.int64), cell.place[videos], cell, settings)


def proposals(clips: Clips, videos: IntArray, window_s: float) -> dict[str, Segments]:
    """Return the proposed segments of each video, by its position as text."""
    order = np.lexsort((clips.start_s, clips.video))
    order = order[np.isin(clips.video[order], videos) & np.isfinite(clips.start_s[order])]
    edges = np.flatnonzero(np.diff(clips.video[order], prepend=-1))
    parts = np.split(order, edges[1:])
    return {str(clips.video[rows[0]]): runs(clips.start_s[rows], clips.logit[rows], window_s) for rows in parts}


def runs(start_s: FloatArray, logit: FloatArray, window_s: float) -> Segments:
    """Return every run of clips that are all at least as high as some level; clips (n,) in order of time."""
    runs_by_bounds: dict[tuple[float, float], float] = {}
    for level in np.unique(logit):
        high = np.flatnonzero(logit >= level)
        apart = np.flatnonzero(start_s[high][1:] > start_s[high][:-1] + window_s + 1e-6) + 1
        for rows in np.split(high, apart):
            bounds = float(start_s[rows[0]]), float(start_s[rows[-1]] + window_s)
            runs_by_bounds[bounds] = float(logit[rows].mean())
    return Segments(np.array(list(runs_by_bounds), dtype=float).reshape(-1, 2), np.array(list(runs_by_bounds.values())))


def _figures(
    proposed: dict[str, Segments],
    truths: dict[str, FloatArray],
    labels: IntArray,
    rows: IntArray,
    cell: Cell,
    settings: EvaluationSettings,
) -> dict[str, Figure]:
    sample = Sample(labels, np.zeros(len(labels)), rows, cell.bootstrap, settings.confidence)
    counts = np.array([float(len(segments)) for segments in truths.values()])
    groups = len(np.unique(cell.bootstrap.cluster[rows[labels == 1]]))
    interval = share_rule(float(counts.sum()), groups, sample.confidence)
    weights = cell.bootstrap.weights[cell.bootstrap.cluster[rows]].astype(float)
    total = counts @ weights
    figures = {}
    for iou in IOUS:
        correct, video = ranked_hits(proposed, truths, iou)
        value = segment_average_precision(correct, np.ones((len(correct), 1)), counts.sum(keepdims=True))[0]
        parts = [
            segment_average_precision(correct, weights[video, at : at + _CHUNK], total[at : at + _CHUNK])
            for at in range(0, weights.shape[1], _CHUNK)
        ]
        figures[f"ap_at_iou_{iou:g}"] = figure_from(float(value), np.concatenate(parts), sample, interval)
    for number in PROPOSALS:
        hit = recalled_segments(proposed, truths, number)
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = (hit @ weights) / total
        figures[f"ar_at_{number}"] = figure_from(float(hit.sum() / counts.sum()), replicates, sample, interval)
    return figures
