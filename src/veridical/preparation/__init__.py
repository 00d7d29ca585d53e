"""Preparation: from videos to clips, or a counted reason why not."""

from veridical.preparation.extract import Extraction, Source, extract_clips
from veridical.preparation.preparing import PrepareSummary, prepare
from veridical.preparation.speech import SpeechDetector
from veridical.preparation.tools import Tools

__all__ = ["Extraction", "PrepareSummary", "Source", "SpeechDetector", "Tools", "extract_clips", "prepare"]
