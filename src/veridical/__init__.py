"""Train, test and explain audio-visual deepfake detectors, with numbers that can be trusted."""

from __future__ import annotations

__version__ = "0.1.0"
