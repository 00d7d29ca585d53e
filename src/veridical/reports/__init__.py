"""Reports: evaluation folders in, one self-contained HTML page out. No torch."""

from veridical.reports.card import write_model_card
from veridical.reports.report import write_report
from veridical.reports.source import ReportExtras

__all__ = ["ReportExtras", "write_model_card", "write_report"]
