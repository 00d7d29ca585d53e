"""Metrics: pure functions of numpy arrays, each held against an outside reference. No torch.

Labels are 0 real, 1 fake; scores are higher when more fake. What cannot be computed raises `NotEvaluableError` with
the reason.
"""

from veridical.metrics.bootstrap import GroupBootstrap, Interval, bootstrap_interval, draw_groups, group_bootstrap_auc
from veridical.metrics.calibration import (
    Calibration,
    Temperature,
    adaptive_ece,
    brier,
    ece,
    ece_by_chance,
    fit_beta,
    fit_isotonic,
    fit_temperature,
    log_loss,
    logit_of,
    reliability,
)
from veridical.metrics.ranking import average_precision, eer, fpr_at_tpr, roc_auc, roc_curve, tpr_at_fpr
from veridical.metrics.significance import Difference, delong_interval, delong_test, holm, paired_group_bootstrap
from veridical.metrics.threshold import decision_metric, threshold_at_eer, threshold_at_tpr

__all__ = [
    "Calibration",
    "Difference",
    "GroupBootstrap",
    "Interval",
    "Temperature",
    "adaptive_ece",
    "average_precision",
    "bootstrap_interval",
    "brier",
    "decision_metric",
    "delong_interval",
    "delong_test",
    "draw_groups",
    "ece",
    "ece_by_chance",
    "eer",
    "fit_beta",
    "fit_isotonic",
    "fit_temperature",
    "fpr_at_tpr",
    "group_bootstrap_auc",
    "holm",
    "log_loss",
    "logit_of",
    "paired_group_bootstrap",
    "reliability",
    "roc_auc",
    "roc_curve",
    "threshold_at_eer",
    "threshold_at_tpr",
    "tpr_at_fpr",
]
