"""Evaluation: scores in; figures with intervals, a risk register and a sign-off out. Reads tables only, whoever made them."""

from veridical.evaluation.compare import ComparedSet, Comparison, compare
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.curves import RocPoints
from veridical.evaluation.evaluating import evaluate
from veridical.evaluation.evidence import CONDITION_NAMES
from veridical.evaluation.external import ColumnMeaning, ExternalScores, HigherIs, ScoreKind, read_scores
from veridical.evaluation.failures import Failure
from veridical.evaluation.result import EVALUATION_VERSION, RUN_EVALUATION, Attachments, Evaluation, Facts
from veridical.evaluation.settings import EvaluationSettings, RiskThresholds
from veridical.evaluation.slices import choose_test_splits
from veridical.evaluation.tables import METRIC_COLUMNS, RISK_COLUMNS, read_metrics, read_risks

__all__ = [
    "CONDITION_NAMES",
    "EVALUATION_VERSION",
    "METRIC_COLUMNS",
    "RISK_COLUMNS",
    "RUN_EVALUATION",
    "Attachments",
    "ColumnMeaning",
    "ComparedSet",
    "Comparison",
    "Coverage",
    "Evaluation",
    "EvaluationSettings",
    "ExternalScores",
    "Facts",
    "Failure",
    "HigherIs",
    "RiskThresholds",
    "RocPoints",
    "ScoreKind",
    "choose_test_splits",
    "compare",
    "evaluate",
    "read_metrics",
    "read_risks",
    "read_scores",
]
