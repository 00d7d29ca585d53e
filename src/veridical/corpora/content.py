"""Cheap properties of a prepared clip for the audit: loudness, onset, light, blur, block grid, box. Never a feature."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

ONSET_LEVEL = 5e-4
"""Audio begins where its absolute value first exceeds this (full scale 1); digital silence and codec noise stay below."""
_SAMPLE_RATE_HZ = 16_000
_BLOCK = 8


def clip_facts(
    frames: npt.NDArray[np.uint8],
    boxes: npt.NDArray[np.float32],
    detector_score: npt.NDArray[np.float32],
    samples: npt.NDArray[np.int16] | None,
    speech: npt.NDArray[np.bool_] | None,
    start_s: float,
) -> dict[str, float]:
    """Return the content properties of one clip by name; NaN where there is no audio.

    Args:
        frames: (T, H, W, 3) RGB faces.
        boxes: (T, 4) x0, y0, x1, y1 in pixels of the source frame.
        detector_score: (T,) 0 where the box is interpolated.
        samples: (S,) 16 kHz mono, or None.
        speech: (V,) 20 ms speech mask, or None.
        start_s: Start of the clip in its video, seconds.
    """
    grey = cv2.cvtColor(frames[len(frames) // 2], cv2.COLOR_RGB2GRAY)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    facts = {
        "box_size_px": float(np.sqrt(np.maximum(width * height, 0)).mean()),
        "box_x": float((boxes[:, 0] + boxes[:, 2]).mean() / 2),
        "box_y": float((boxes[:, 1] + boxes[:, 3]).mean() / 2),
        "box_aspect": float((width / np.maximum(height, 1e-6)).mean()),
        "detector_score": float(detector_score[detector_score > 0].mean()) if (detector_score > 0).any() else np.nan,
        "interpolated": float((detector_score == 0).mean()),
        "brightness": float(frames.mean()),
        "contrast": float(grey.std()),
        "sharpness": float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var())),
        "jpeg_grid": _grid_strength(grey),
        "speech_onset_s": np.nan,
        "loudness_dbfs": np.nan,
        "speech_share": np.nan,
    }
    if samples is not None and len(samples):
        waveform = samples.astype(np.float64) / 32768.0
        loud = np.flatnonzero(np.abs(waveform) > ONSET_LEVEL)
        facts["speech_onset_s"] = start_s + loud[0] / _SAMPLE_RATE_HZ if len(loud) else np.nan
        facts["loudness_dbfs"] = float(20 * np.log10(max(np.sqrt((waveform**2).mean()), 1e-6)))
        facts["speech_share"] = float(speech.mean()) if speech is not None else np.nan
    return facts


def _grid_strength(grey: npt.NDArray[np.uint8]) -> float:
    """Return the logarithm of how much larger steps across 8-pixel block edges are than other steps; 0 is no grid."""
    steps = np.abs(np.diff(grey.astype(np.float64), axis=1)).mean(axis=0)
    edge = np.arange(len(steps)) % _BLOCK == _BLOCK - 1
    return float(np.log((steps[edge].mean() + 1e-3) / (steps[~edge].mean() + 1e-3)))
