"""Settings of an evaluation, with the thresholds of the risk register."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from veridical.settings import Settings

Aggregation = Literal["mean", "max", "top-k", "median"]
FEWEST_REPLICATES = 50
"""Of a bootstrap: fewer say nothing about the ends of an interval."""


class RiskThresholds(Settings):
    """Above which figure a risk is flagged."""

    generator_spread: float = 0.15
    """Highest minus lowest AUC over generators."""
    compression_gap: float = 0.10
    """AUC on the lightest minus AUC on the strongest compression."""
    corpus_gap: float = 0.10
    """AUC on the training corpus minus AUC on another corpus."""
    group_gap: float = 0.05
    """Highest minus lowest AUC over the values of an attribute (gender, race)."""
    ece: float = 0.05
    """Expected calibration error, 10 bins."""
    shortcut_auc: float = 0.65
    """AUC of a property that is not content (presence of sound, frame rate), or of sound alone where no sound is forged."""
    coverage_difference: float = 0.05
    """Difference between the shares of reals and of fakes that have a score."""
    control_drop: float = 0.01
    """Least loss of AUC under a control that destroys a cue; less means that the cue is not used."""
    degradation_drop: float = 0.10
    """Loss of AUC under a degradation."""
    test_looks: int = 5
    """How often a test set may be looked at before the choice of model counts as made on it."""


class EvaluationSettings(Settings):
    """How scores are judged."""

    reference: str | None = None
    """The training corpus: its validation split chooses thresholds and temperature, its test split is what others are compared
    with. None: the one data set that has a validation split, or the only one there is."""
    aggregation: Aggregation = "mean"
    """How the logits of a video's clips become the video's logit."""
    other_aggregations: tuple[Aggregation, ...] = ("max", "top-k", "median")
    """Reported beside it, for whole test sets."""
    window_s: float = Field(default=1.0, gt=0)
    """Length of a scored clip in seconds, for finding the forged stretches of partial fakes."""
    top_k: int = Field(default=3, ge=1)
    """Clips whose mean logit is taken by the aggregation `top-k`."""
    probability_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)
    """Fixed operating points, on the calibrated probability where there is one, and on the raw one."""
    target_tpr: float = Field(default=0.95, gt=0, lt=1)
    """Share of fakes to be found at the operating point `val_tpr`."""
    prevalence: float = Field(default=0.01, gt=0, lt=1)
    """Share of fakes expected in use: the precision that each operating point would have there is reported."""
    error_rate: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of wrong answers allowed to a detector that may say "cannot tell" (conformal abstention)."""
    probabilistic: bool = True
    """False for scores that only rank: what needs a probability is then not evaluable before calibration."""
    ece_bins: int = Field(default=10, ge=2)
    """Bins of the expected calibration error."""
    replicates: int = Field(default=1000, ge=FEWEST_REPLICATES)
    """Bootstrap replicates behind every interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    worst_videos: int = Field(default=10, ge=0)
    """Failures listed for each data set."""
    max_slice_values: int = Field(default=24, ge=2)
    """An attribute with more values than this is not broken down."""
    thresholds: RiskThresholds = RiskThresholds()
    """Thresholds of the risk register."""
