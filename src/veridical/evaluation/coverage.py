"""Which videos have a score, and the bounds of the AUC if the others had been scored all right or all wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from veridical.errors import NotEvaluableError
from veridical.evaluation.evidence import Evidence
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell
from veridical.metrics import roc_auc


@dataclass(frozen=True)
class Coverage:
    """Videos of one data set and split, with and without a score under the primary condition."""

    dataset: str
    split: str
    num_videos: int
    """In the manifest; without one, in the score table."""
    num_real: int
    num_fake: int
    num_unlabelled: int
    real_without_score: int
    fake_without_score: int
    share: float
    """Share of all videos that have a score."""
    auc_if_missing_right: float | None
    """AUC if every missing video had been scored right; None when AUC is not evaluable."""
    auc_if_missing_wrong: float | None
    known_from_manifest: bool
    """False: without a manifest, missing videos cannot be counted."""
    ungrouped: int
    """Videos without a leak group, each counted as its own group."""


def coverage(evidence: Evidence, cell: Cell, settings: EvaluationSettings) -> Coverage:
    """Count the videos of a cell."""
    facts = evidence.videos.iloc[cell.videos]
    logits = evidence.video_logits(evidence.primary, settings.video_rule)[cell.videos]
    labels, missing = facts["label"].to_numpy(dtype=float), ~np.isfinite(logits)
    real, fake = labels == 0, labels == 1
    right, wrong = (_bound(labels, logits, fake_logit=side) for side in (np.inf, -np.inf))
    return Coverage(
        dataset=cell.dataset,
        split=cell.split,
        num_videos=len(facts),
        num_real=int(real.sum()),
        num_fake=int(fake.sum()),
        num_unlabelled=int(np.isnan(labels).sum()),
        real_without_score=int((real & missing).sum()),
        fake_without_score=int((fake & missing).sum()),
        share=float((~missing).mean()),
        auc_if_missing_right=right,
        auc_if_missing_wrong=wrong,
        known_from_manifest=bool(facts["in_manifest"].all()) and evidence.has_manifest,
        ungrouped=cell.ungrouped,
    )


def _bound(labels: np.ndarray, logits: np.ndarray, *, fake_logit: float) -> float | None:
    known = np.isfinite(labels)
    labels, scores = labels[known], logits[known]
    missing = np.isnan(scores)
    if missing.all():
        return None
    beyond = float(np.abs(scores[~missing]).max()) + 1
    scores = np.where(missing, np.sign(fake_logit) * np.where(labels == 1, beyond, -beyond), scores)
    try:
        return roc_auc(labels, scores)
    except NotEvaluableError:
        return None
