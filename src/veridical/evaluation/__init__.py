"""Evaluation: scores in, figures with intervals, a risk register and a sign-off out. Reads tables only, whoever made them."""

from veridical.evaluation.evaluation import Evaluation, evaluate
from veridical.evaluation.settings import EvaluationSettings, RiskThresholds

__all__ = ["Evaluation", "EvaluationSettings", "RiskThresholds", "evaluate"]
