"""A detector in Python, evaluated like any other.

    veridical evaluate --detector examples/wrap_python.py:score --on STORE -o verdict

The function takes a clip and returns a logit: any real number, higher = more fake; None where it cannot score the clip. This
one reads a lack of fine detail in the face as a sign of compositing. It is an example, not a good detector.
"""

from __future__ import annotations

import cv2
import numpy as np

from veridical.clips import Clip


def score(clip: Clip) -> float:
    """Score a clip: `clip.frames` is (T, H, W, 3) uint8 RGB, `clip.samples` (S,) int16 at 16 kHz or None."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames]
    detail = [cv2.Laplacian(frame, cv2.CV_64F).var() for frame in grey]
    return float(3.0 - np.log1p(np.mean(detail)))
