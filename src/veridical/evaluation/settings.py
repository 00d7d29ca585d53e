"""Settings of an evaluation, and the thresholds of the risk register."""

from __future__ import annotations

from typing import get_args

from pydantic import Field

from veridical.metrics import Aggregation, AggregationRule
from veridical.settings import Settings

FEWEST_REPLICATES = 50
"""Fewest bootstrap replicates: fewer do not determine the ends of an interval."""


class RiskThresholds(Settings):
    """The limits of the risk register: a figure beyond its limit is flagged."""

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
    """AUC of a cue that is not content (presence of audio, frame rate), or of audio alone where no audio is forged."""
    audio_gain: float = 0.05
    """AUC of video and audio minus AUC of video alone on fakes whose audio is genuine."""
    coverage_difference: float = 0.05
    """Difference between the shares of reals and of fakes that have a score."""
    control_drop: float = 0.01
    """Smallest loss of AUC under a control that destroys a cue; below it, the detector does not use the cue."""
    degradation_drop: float = 0.10
    """Loss of AUC under a degradation."""
    test_looks: int = 5
    """Looks at a test set after which the model counts as selected on it."""


class EvaluationSettings(Settings):
    """How a score table is evaluated."""

    reference: str | None = None
    """The training corpus: thresholds and temperatures are selected on its validation split, and the AUC on its test split is
    the baseline of the generalisation gap. None: the one data set with a validation split, or the only data set."""
    aggregation: Aggregation | None = None
    """How clip logits become a video logit. None: as the score table says, else the mean."""
    other_aggregations: tuple[Aggregation, ...] = tuple(Aggregation(rule=rule) for rule in get_args(AggregationRule))
    """Rules whose AUC and EER are reported as well, for whole test sets."""
    window_s: float = Field(default=1.0, gt=0)
    """Length of a scored clip in seconds, used to localise forged segments in partial fakes."""
    probability_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)
    """Fixed operating points, applied to the raw and, where there is one, the calibrated probability."""
    target_tpr: float = Field(default=0.95, gt=0, lt=1)
    """Share of fakes detected at the operating point `val_tpr`."""
    prevalence: float = Field(default=0.01, gt=0, lt=1)
    """Share of fakes expected in deployment, at which precision is reported."""
    error_rate: float = Field(default=0.1, gt=0, lt=0.5)
    """Error rate per class of a detector that may abstain (conformal prediction)."""
    probabilistic: bool = True
    """False for scores that only rank: figures that need a probability are then not evaluable before calibration."""
    ece_bins: int = Field(default=10, ge=2)
    """Bins of the expected calibration error."""
    replicates: int = Field(default=1000, ge=FEWEST_REPLICATES)
    """Bootstrap replicates behind every interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    worst_videos: int = Field(default=10, ge=0)
    """Worst videos listed for each test set."""
    max_slice_values: int = Field(default=24, ge=2)
    """An attribute with more values than this is not broken down."""
    thresholds: RiskThresholds = RiskThresholds()
    """Thresholds of the risk register."""

    @property
    def video_rule(self) -> Aggregation:
        """The aggregation in force: `aggregation`, or the mean where it is not set."""
        return self.aggregation or Aggregation()
