"""Selection of temperatures and thresholds, on validation videos only: `ValidationScores` refuses any other split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from veridical.errors import NotEvaluableError, unknown_name
from veridical.evaluation.evidence import Evidence, describe_condition
from veridical.evaluation.settings import EvaluationSettings
from veridical.metrics import (
    Calibration,
    ConformalRule,
    FloatArray,
    MonotoneMap,
    Temperature,
    at_prevalence,
    fit_beta,
    fit_conformal,
    fit_isotonic,
    fit_temperature,
    threshold_at_eer,
    threshold_at_tpr,
)


@dataclass(frozen=True, eq=False)
class ValidationScores:
    """Scores of validation rows of one condition at one level; refuses rows of any other split."""

    dataset: str
    labels: FloatArray
    """(n,) 0 or 1."""
    logits: FloatArray
    """(n,) finite."""
    splits: tuple[str, ...]
    """The distinct splits of the rows."""

    def __post_init__(self) -> None:
        if set(self.splits) - {"val"}:
            raise ValueError(
                f"thresholds and temperatures are selected on validation rows only, got splits {self.splits}"
            )


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold: call fake what has at least this logit."""

    name: str
    level: str
    logit: float
    chosen_on: str
    """Data set and split, or "fixed"."""
    calibration: str = ""
    """For a fixed probability: the map from logit to probability that it refers to."""


@dataclass(frozen=True)
class Selection:
    """All that was selected, and the reason where it could not be."""

    dataset: str | None
    """Whose validation split was used."""
    reason: str = ""
    """Why nothing could be selected."""
    temperatures: dict[str, Temperature] = field(default_factory=dict)
    """Condition → temperature, fitted on video logits."""
    maps: dict[str, MonotoneMap] = field(default_factory=dict)
    """`beta` and `isotonic` calibration of the primary condition, for comparison."""
    conformal: ConformalRule | None = None
    """When to abstain."""
    conformal_reason: str = ""
    operating_points: tuple[OperatingPoint, ...] = ()
    """Operating points of the primary condition, for clips and videos."""
    num_videos: int = 0
    """Validation videos of the primary condition."""
    share_of_fakes: float = np.nan
    """Share of fakes among them."""
    warnings: tuple[str, ...] = ()

    def calibration(self, condition: str) -> Calibration | None:
        """Return the calibration of a condition's logits by its temperature; None where none was fitted."""
        temperature = self.temperatures.get(condition)
        return None if temperature is None else temperature.calibration

    def p_in_use(self, logits: FloatArray, prevalence: float) -> FloatArray | None:
        """Return (n,) probabilities at a stated prevalence: beta calibration, then Bayes; None where nothing was fitted."""
        beta = self.maps.get("beta")
        return None if beta is None else at_prevalence(beta(logits), self.share_of_fakes, prevalence)


def reference_dataset(evidence: Evidence, settings: EvaluationSettings) -> tuple[str | None, str]:
    """Return the training corpus and, when there is none, the reason.

    Raises:
        UsageError: when the one that was named has no video.
    """
    names = sorted(set(evidence.videos["dataset"]))
    if settings.reference is not None:
        if settings.reference not in names:
            raise unknown_name("data set", settings.reference, names)
        return settings.reference, ""
    validated = sorted(set(evidence.videos.loc[evidence.videos["split"] == "val", "dataset"]))
    if len(validated) == 1:
        return validated[0], ""
    if len(names) == 1:
        return names[0], ""
    number = f"{len(validated)} data sets have" if validated else "no data set has"
    return None, f"{number} a validation split; name the training corpus with --reference"


def validation_scores(
    evidence: Evidence, dataset: str, condition: str, level: str, settings: EvaluationSettings
) -> ValidationScores:
    """Return the validation scores of a data set at level `clip` or `video`."""
    inside = ((evidence.videos["dataset"] == dataset) & (evidence.videos["split"] == "val")).to_numpy()
    if level == "clip":
        clips = evidence.clips[condition]
        rows = inside[clips.video] & np.isfinite(clips.label)
        return ValidationScores(dataset, clips.label[rows], clips.logit[rows], _splits(evidence, clips.video[rows]))
    logits = evidence.video_logits(condition, settings.video_rule)
    labels = evidence.videos["label"].to_numpy(dtype=float)
    rows = inside & np.isfinite(logits) & np.isfinite(labels)
    return ValidationScores(dataset, labels[rows], logits[rows], _splits(evidence, np.flatnonzero(rows)))


def _splits(evidence: Evidence, videos: np.ndarray) -> tuple[str, ...]:
    return tuple(sorted(set(evidence.videos["split"].to_numpy()[videos])))


def select(evidence: Evidence, settings: EvaluationSettings) -> Selection:
    """Fit a temperature for each condition and choose the operating points, on the reference's validation split."""
    dataset, reason = reference_dataset(evidence, settings)
    fixed = tuple(
        OperatingPoint(f"{threshold:g}", level, _logit(threshold), "fixed", "none")
        for level in ("clip", "video")
        for threshold in settings.probability_thresholds
    )
    if dataset is None:
        return Selection(None, reason, operating_points=fixed)
    primary = validation_scores(evidence, dataset, evidence.primary, "video", settings)
    if len(primary.labels) == 0:
        reason = f"{dataset} has no scored video with a label in its validation split"
        return Selection(dataset, reason, operating_points=fixed)
    temperatures, warnings = _temperatures(evidence, dataset, settings)
    points = list(fixed)
    for level in ("clip", "video"):
        scores = validation_scores(evidence, dataset, evidence.primary, level, settings)
        try:
            points += selected_points(scores, level, settings, temperatures.get(evidence.primary))
        except NotEvaluableError as error:
            reason = f"validation split of {dataset}: {error}"
    rule, rule_reason = _conformal(primary, settings)
    return Selection(
        dataset=dataset,
        reason=reason,
        temperatures=temperatures,
        maps=_maps(primary),
        conformal=rule,
        conformal_reason=rule_reason,
        operating_points=tuple(points),
        num_videos=len(primary.labels),
        share_of_fakes=float(primary.labels.mean()),
        warnings=tuple(warnings),
    )


def selected_points(
    validation: ValidationScores, level: str, settings: EvaluationSettings, temperature: Temperature | None
) -> list[OperatingPoint]:
    """Return the thresholds selected on validation scores, and the fixed probabilities after calibration.

    Raises:
        NotEvaluableError: when the validation scores have one class only.
    """
    where = f"{validation.dataset} val"
    labels, logits = validation.labels, validation.logits
    points = [
        OperatingPoint("val_eer", level, threshold_at_eer(labels, logits), where),
        OperatingPoint("val_tpr", level, threshold_at_tpr(labels, logits, settings.target_tpr), where),
    ]
    if temperature is not None:
        for threshold in settings.probability_thresholds:
            logit = _logit(threshold) * temperature.temperature
            points.append(OperatingPoint(f"{threshold:g}", level, logit, "fixed", "temperature"))
    return points


def _maps(validation: ValidationScores) -> dict[str, MonotoneMap]:
    maps = {}
    for name, fit in {"beta": fit_beta, "isotonic": fit_isotonic}.items():
        try:
            maps[name] = fit(validation.labels, validation.logits)
        except NotEvaluableError:
            continue
    return maps


def _conformal(validation: ValidationScores, settings: EvaluationSettings) -> tuple[ConformalRule | None, str]:
    try:
        return fit_conformal(validation.labels, validation.logits, settings.error_rate), ""
    except NotEvaluableError as error:
        return None, str(error)


def _temperatures(
    evidence: Evidence, dataset: str, settings: EvaluationSettings
) -> tuple[dict[str, Temperature], list[str]]:
    temperatures, warnings = {}, []
    for condition in evidence.clips:
        if ":" in condition:
            continue  # controls, degradations and attacks get ranking metrics only
        scores = validation_scores(evidence, dataset, condition, "video", settings)
        try:
            temperatures[condition] = fit_temperature(scores.labels, scores.logits)
        except NotEvaluableError as error:
            warnings.append(
                f"no temperature for {describe_condition(condition)}: {error} in the validation split of {dataset}"
            )
            continue
        if temperatures[condition].at_bound:
            perfect = temperatures[condition].temperature <= 1
            separation = (
                "separate the validation videos perfectly" if perfect else "do not separate the validation videos"
            )
            value = f"{temperatures[condition].temperature:.3g}"
            held = f"is held at {value} for want of evidence" if perfect else f"is at its bound ({value})"
            warnings.append(f"the temperature for {describe_condition(condition)} {held}: the scores {separation}")
    return temperatures, warnings


def _logit(probability: float) -> float:
    return float(np.log(probability) - np.log1p(-probability))
