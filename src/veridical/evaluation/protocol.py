"""The protocol: which figures are computed for which data set, split, level, condition and slice.

Test splits (and videos without a split) are evaluated in full; training and validation splits get their ranking metrics only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from veridical.evaluation.combined import difference, linear, precision_in_use, spread
from veridical.evaluation.evidence import Evidence, describe_condition
from veridical.evaluation.figures import (
    CALIBRATION_METRICS,
    SLICE_METRICS,
    Figure,
    FigureTable,
    Key,
    Sample,
    calibration_figures,
    decision_figures,
    ece_at_prevalence,
    not_evaluable,
    rank_figures,
    share_figures,
)  # fmt: skip
from veridical.evaluation.localisation import localisation_figures
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import (
    BANDS,
    HEAD_TARGETS,
    Cell,
    choose_test_splits,
    clip_sample,
    fake_slices,
    slices,
    video_sample,
)
from veridical.metrics import ABSTAIN, DECISION_METRICS, FloatArray, logit_of
from veridical.progress import track

MODALITY_CONDITIONS = ("audio_masked", "video_masked", "video_head", "audio_head")

CONTRIBUTIONS: dict[str, tuple[float, float, float]] = {
    "contribution_video": (0.5, 0.5, -0.5),
    "contribution_audio": (0.5, -0.5, 0.5),
}
"""Shapley values from the AUC with video and audio, with video alone, with audio alone, and .5 with neither."""


def compute_figures(
    evidence: Evidence, parts: list[Cell], selection: Selection, settings: EvaluationSettings
) -> FigureTable:
    """Return all figures of an evaluation."""
    table = FigureTable()
    for cell in track(parts, "evaluate", unit="split"):
        figures = CellFigures(evidence, cell, selection, settings, table)
        figures.headline()
        if cell.is_test:
            figures.in_full()
    _gaps(table, parts, evidence.primary, selection, settings)
    return table


class CellFigures:
    """The figures of one cell, each added to the table as it is computed."""

    def __init__(
        self,
        evidence: Evidence,
        cell: Cell,
        selection: Selection,
        settings: EvaluationSettings,
        table: FigureTable,
    ) -> None:
        self.evidence, self.cell, self.selection, self.settings = evidence, cell, selection, settings
        self.table = table

    def headline(self) -> None:
        """Add the ranking metrics of the videos under the primary condition."""
        self._add(rank_figures(self._videos(self.evidence.primary)), condition=self.evidence.primary)

    def in_full(self) -> None:
        """Add all others: clips, aggregations, decisions, calibration, slices, modalities, other conditions."""
        primary = self.evidence.primary
        for level, sample in (
            ("video", self._videos(primary)),
            ("clip", clip_sample(self.evidence, self.cell, self.settings, primary)),
        ):
            if level == "clip":
                self._add(rank_figures(sample), condition=primary, level=level)
            self._decisions(sample, level)
            self._calibration(sample, level, primary)
            if level == "video":
                self._alternatives(sample, primary)
                self._abstention(sample, primary)
        self._own_probabilities()
        self._add(localisation_figures(self.evidence, self.cell, self.settings), condition=primary)
        for aggregation in self.settings.other_aggregations:
            if aggregation.rule != self.settings.video_rule.rule:
                logits = self.evidence.video_logits(primary, aggregation)
                figures = rank_figures(self._videos(primary, logits=logits), SLICE_METRICS)
                self._add(figures, condition=primary, aggregation=aggregation.rule)
        self._slices(primary, slices(self.evidence, self.cell, self.settings))
        self._modalities(primary)
        for condition in self.evidence.clips:
            if condition != primary and condition not in MODALITY_CONDITIONS:
                self._add(rank_figures(self._videos(condition), SLICE_METRICS), condition=condition)
                self._drop(primary, condition)

    def _videos(
        self,
        condition: str,
        *,
        target: str = "label",
        mask: NDArray[np.bool_] | None = None,
        logits: FloatArray | None = None,
    ) -> Sample:
        if logits is None:
            logits = self.evidence.video_logits(condition, self.settings.video_rule)
        return video_sample(
            self.evidence, self.cell, self.settings, condition=condition, logits=logits, target=target, mask=mask
        )

    def _key(self, metric: str, **facts: str) -> Key:
        aggregation = facts.pop("aggregation", self.settings.video_rule.rule if facts.get("level") != "clip" else "")
        return Key(self.cell.dataset, self.cell.split, metric, aggregation=aggregation, **facts)

    def _add(self, figures: dict[str, Figure], **facts: str) -> None:
        for metric, figure in figures.items():
            self.table.add(self._key(metric, **facts), figure)

    def _decisions(self, sample: Sample, level: str) -> None:
        primary = self.evidence.primary
        for point in self.selection.operating_points:
            if point.level != level:
                continue
            if point.calibration == "none" and not self.settings.probabilistic:
                reason = "the scores rank, they are not probabilities"
                figures = {name: not_evaluable(sample, reason) for name in DECISION_METRICS}
            else:
                figures = decision_figures(sample, point.logit)
            figures["precision_at_prevalence"] = precision_in_use(
                figures["recall"], figures["fpr"], self.settings.prevalence
            )
            facts = {"level": level, "calibration": point.calibration, "operating_point": point.name}
            self._add(figures, condition=primary, **facts)
        selected = {point.name for point in self.selection.operating_points if point.level == level}
        for name in ("val_eer", "val_tpr"):
            if name not in selected:
                figures = {metric: not_evaluable(sample, self.selection.reason) for metric in DECISION_METRICS}
                self._add(figures, condition=primary, level=level, operating_point=name)

    def _abstention(self, sample: Sample, condition: str) -> None:
        """Add how often a detector that may abstain does so, and how often its decisions are wrong."""
        names = ("abstained", "error_if_decided", "label_excluded_real", "label_excluded_fake")
        rule = self.selection.conformal
        if rule is None or len(sample.labels) == 0:
            reason = self.selection.conformal_reason or self.selection.reason
            figures = {name: not_evaluable(sample, reason) for name in names}
        else:
            decision = rule.decide(sample.logits)
            decided = (decision != ABSTAIN).astype(float)
            wrong = (decision != sample.labels).astype(float)
            excluded = rule.excludes(sample.labels, sample.logits).astype(float)
            real, fake = ((sample.labels == label).astype(float) for label in (0, 1))
            counted = (1 - decided, wrong, excluded, excluded)
            among = (np.ones_like(decided), decided, real, fake)
            figures = share_figures(sample, dict(zip(names, zip(counted, among, strict=True), strict=True)))
        self._add(figures, condition=condition, operating_point=f"conformal_{self.settings.error_rate:g}")

    def _calibration(self, sample: Sample, level: str, condition: str, **facts: str) -> None:
        bins, seed = self.settings.ece_bins, self.settings.seed
        figures = calibration_figures(sample, expit(sample.logits), bins, seed)
        if not self.settings.probabilistic:
            figures = {name: not_evaluable(sample, "the scores rank, they are not probabilities") for name in figures}
        self._add(figures, level=level, condition=condition, calibration="none", **facts)
        scaled = self.selection.calibration(condition)
        if scaled is not None:
            figures = calibration_figures(sample, scaled.p_fake(sample.logits), bins, seed)
        else:
            reason = self.selection.reason or f"no temperature could be fitted for {describe_condition(condition)}"
            figures = {name: not_evaluable(sample, reason) for name in (*CALIBRATION_METRICS, "ece_by_chance")}
        self._add(figures, level=level, condition=condition, calibration="temperature", **facts)

    def _alternatives(self, sample: Sample, condition: str) -> None:
        """Add beta and isotonic calibration, fitted on the same validation videos, for comparison."""
        for name, calibrate in self.selection.maps.items():
            p_fake = calibrate(sample.logits)
            figures = calibration_figures(sample, p_fake, self.settings.ece_bins, self.settings.seed)
            self._add(figures, condition=condition, calibration=name)
        p_in_use = self.selection.p_in_use(sample.logits, self.settings.prevalence)
        if p_in_use is None:
            figure = not_evaluable(sample, self.selection.reason or "beta calibration could not be fitted")
        else:
            figure = ece_at_prevalence(sample, p_in_use, self.settings.prevalence, self.settings.ece_bins)
        self._add({"ece_at_prevalence": figure}, condition=condition, calibration="beta")

    def _own_probabilities(self) -> None:
        """Add the calibration of the model's own probabilities, where it gave one for every clip."""
        primary = self.evidence.primary
        clips = self.evidence.clips[primary]
        inside = self.cell.place[clips.video] >= 0
        if not inside.any() or not np.isfinite(clips.p_fake[inside]).all():
            return
        calibrated, videos = logit_of(clips.p_fake[inside]), clips.video[inside]
        logits = self.settings.video_rule.video_logits(calibrated, videos, len(self.evidence.videos))
        sample = self._videos(primary, logits=logits)
        figures = calibration_figures(sample, expit(sample.logits), self.settings.ece_bins, self.settings.seed)
        self._add(figures, condition=primary, calibration="model")

    def _slices(self, condition: str, masks: dict[str, NDArray[np.bool_]]) -> None:
        for name, mask in masks.items():
            figures = rank_figures(self._videos(condition, mask=mask), SLICE_METRICS)
            self._add(figures, condition=condition, slice=name)
        for prefix in dict.fromkeys(name.partition("=")[0] for name in masks):
            if prefix in ("forged", "audio"):
                continue
            parts = self.table.slices(self._key("auc", condition=condition), prefix)
            if len(parts) < 2:
                figure = Figure(reason=f"fewer than two values of {prefix} stand on enough people")
            else:
                figure = spread(parts.values(), self.settings.confidence)
            self.table.add(self._key("auc_spread", condition=condition, slice=prefix), figure)

        for fact in BANDS:
            if not any(name.startswith(f"{fact}=") for name in masks):
                known = int(self.evidence.videos[fact].iloc[self.cell.videos].notna().sum())
                reason = f"all {known} videos are of one band" if known else f"{fact} is not known for any video"
                self.table.add(self._key("auc_spread", condition=condition, slice=fact), Figure(reason=reason))

    def _modalities(self, primary: str) -> None:
        """Add every modality condition against the video's label, and the heads against that of their own modality as well."""
        masks = fake_slices(self.evidence.videos.iloc[self.cell.videos])
        for condition in MODALITY_CONDITIONS:
            if condition == primary:
                continue
            sample = self._videos(condition)
            self._add(rank_figures(sample), condition=condition)
            if condition not in self.evidence.clips:
                continue
            self._calibration(sample, "video", condition)
            for name, mask in masks.items():
                self._add(
                    rank_figures(self._videos(condition, mask=mask), SLICE_METRICS), condition=condition, slice=name
                )
            if condition in HEAD_TARGETS:
                target = HEAD_TARGETS[condition]
                figures = rank_figures(self._videos(condition, target=target))
                self._add(figures, condition=condition, slice=f"against={target}")
        self._contributions(primary)

    def _contributions(self, primary: str) -> None:
        """Add the Shapley values of video and audio, the mean gain in AUC above .5, on the videos that have all scores."""
        used = (primary, "audio_masked", "video_masked")
        together = np.ones(len(self.cell.videos), dtype=bool)
        for condition in used:
            sample = self._videos(condition)
            if sample.reason:
                for metric in CONTRIBUTIONS:
                    self.table.add(self._key(metric, condition=primary), Figure(reason=sample.reason))
                return
            present = np.zeros(len(together), dtype=bool)
            present[sample.rows] = True
            together &= present
        figures = [rank_figures(self._videos(condition, mask=together), ("auc",))["auc"] for condition in used]
        for metric, weights in CONTRIBUTIONS.items():
            gain = linear(figures, weights, -0.25, self.settings.confidence)
            self.table.add(self._key(metric, condition=primary), gain)

    def _drop(self, primary: str, condition: str) -> None:
        """Add the loss of AUC under a degradation, control or attack, on the videos that have both scores."""
        both = np.zeros(len(self.cell.videos), dtype=bool)
        shared = np.intersect1d(self._videos(primary).rows, self._videos(condition).rows)
        both[shared] = True
        samples = [self._videos(name, mask=both) for name in (primary, condition)]
        first, second = (rank_figures(sample, ("auc",))["auc"] for sample in samples)
        drop = difference(first, second, self.settings.confidence)
        if drop.evaluable and np.allclose(samples[0].logits, samples[1].logits):
            drop = replace(drop, value=0.0, low=0.0, high=0.0)  # no score has changed: that is certain
        self.table.add(self._key("auc_drop", condition=condition), drop)


def test_set(parts: list[Cell], dataset: str) -> Cell | None:
    """Return the test set of a data set: its test split, else its videos without a split."""
    split = choose_test_splits((cell.dataset, cell.split) for cell in parts).get(dataset)
    return next((cell for cell in parts if (cell.dataset, cell.split) == (dataset, split)), None)


def _gaps(
    table: FigureTable, parts: list[Cell], primary: str, selection: Selection, settings: EvaluationSettings
) -> None:
    """Add AUC on the reference minus AUC on each other data set."""
    source = test_set(parts, selection.dataset) if selection.dataset is not None else None
    for dataset in dict.fromkeys(cell.dataset for cell in parts):
        target = test_set(parts, dataset)
        if dataset == selection.dataset or target is None:
            continue
        facts = {"condition": primary, "aggregation": settings.video_rule.rule}
        key = Key(f"{selection.dataset or '?'}->{dataset}", target.split, "auc_gap", **facts)
        if source is None:
            reason = selection.reason or f"the training corpus {selection.dataset} has no test split with scores"
            table.add(key, Figure(reason=reason))
            continue
        first, second = (table.get(Key(cell.dataset, cell.split, "auc", **facts)) for cell in (source, target))
        gap = difference(first, second, settings.confidence, paired=False)
        if gap.evaluable:
            gap = replace(gap, n_real=second.n_real, n_fake=second.n_fake)
        table.add(key, gap)
