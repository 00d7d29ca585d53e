"""Reports: evaluations in, one self-contained HTML page and a model card out."""

from veridical.reports.card import write_model_card
from veridical.reports.report import ReportExtras, write_report

__all__ = ["ReportExtras", "write_model_card", "write_report"]
