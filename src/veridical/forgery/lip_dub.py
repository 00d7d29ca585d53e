"""Lip dub: the lower face from other speech of the same person replaces the target's.

A similarity fitted to points that speech does not move brings the donor's lower face into the target's pose; the ratio of both
frames' low frequencies around the mouth corrects its lighting; a soft window ends below the nose, on the cheeks and below the
chin. There are two forgeries: `lip_dub` also takes the donor's audio (the person now says something else, mouth and voice
agree: video forged, audio genuine); `mouth_replaced` keeps the target's own audio, which the mouth no longer follows.

Severity 0 matches pose and lighting closely; 1 has a small, hard window, partly corrected lighting and a drifting pose.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from veridical.forgery.footage import (
    Footage,
    Forged,
    Frames,
    frames_at_same_time,
    require_audio,
    require_donor,
    samples_in,
    video_forged,
)
from veridical.forgery.shapes import STABLE, FloatArray, face_width, fit_similarity, smooth_over_time, transform
from veridical.forgery.sounds import fit_length
from veridical.forgery.warps import Region, polygon_mask, region_around

LOWER_FACE = (2, 326, 423, 425, 411, 434, 364, 379, 400, 152, 176, 150, 135, 214, 187, 205, 203, 97)
"""A closed line below the nose, across the cheeks and along the chin."""


def lip_dub(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Make the target say what the donor's footage says: replace the mouth and the audio."""
    require_audio(target)
    speech = require_donor(donor)
    samples = fit_length(require_audio(speech), samples_in(len(target), target.fps))
    return replace(mouth_replaced(target, speech, severity, stream), samples=samples)


def mouth_replaced(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace the target's mouth by that of other speech and keep the target's own audio."""
    speech = require_donor(donor)
    matches = frames_at_same_time(target, speech)
    goal = target.landmarks.astype(np.float64)
    poses = _poses(speech, goal, matches, severity, stream)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    width = face_width(target.landmarks)
    for n, m in enumerate(matches):
        posed = transform(poses[n], speech.landmarks[m])
        outline = _outline(0.5 * (posed + goal[n]), severity)
        region = region_around(outline, 0.2 * width, frames.shape[1:])
        mouth = _in_pose(speech.frames[m], poses[n], region)
        original = frames[n][region.slices]
        window = _soft_window(polygon_mask(outline, region), width * (0.06 - 0.04 * severity))
        lit = _with_light(mouth, original, window, width * 0.12, strength=1 - 0.6 * severity**2)
        original[...] = np.round(original + (lit - original) * window[..., None]).astype(np.uint8)
        mask[n][region.slices] = window > 0
    return video_forged(target, frames, mask)


def _poses(
    speech: Footage, goal: FloatArray, matches: npt.NDArray[np.intp], severity: float, stream: np.random.Generator
) -> FloatArray:
    """Return (N, 2, 3) similarities from donor frames to target frames, with a drift that grows with severity."""
    stable = list(STABLE)
    poses = fit_similarity(speech.landmarks[matches][:, stable], goal[:, stable])
    drift = stream.normal(size=(len(goal), 2)) * 0.03 * severity**2 * face_width(goal)
    poses[:, :, 2] += smooth_over_time(drift, 2)
    return poses


def _outline(landmarks: FloatArray, severity: float) -> FloatArray:
    line = landmarks[list(LOWER_FACE)]
    return np.asarray(line.mean(0) + (line - line.mean(0)) * (1 - 0.15 * severity), np.float64)


def _in_pose(frame: Frames, pose: FloatArray, region: Region) -> Frames:
    matrix = pose.copy()
    matrix[:, 2] -= region.origin
    size = region.shape[::-1]
    posed: Frames = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return posed


def _soft_window(polygon: Frames, softness_px: float) -> npt.NDArray[np.float32]:
    """Return (h, w) weights in [0, 1] that fall off across the polygon's outline; below 1 % they are 0."""
    window = cv2.GaussianBlur(polygon.astype(np.float32) / 255, (0, 0), max(softness_px, 0.5))
    return np.where(window < 0.01, 0, window).astype(np.float32)


def _with_light(
    mouth: Frames, original: Frames, window: npt.NDArray[np.float32], radius_px: float, strength: float
) -> npt.NDArray[np.float32]:
    """Relight the mouth by the ratio of both images' low frequencies, measured outside the core of the window."""
    outside = (1.02 - window)[..., None]
    lights = [cv2.GaussianBlur(image * outside + 0.0, (0, 0), radius_px) for image in (original, mouth)]
    gain = np.clip((lights[0] + 1) / (lights[1] + 1), 0.5, 2.0) ** strength
    return np.asarray(np.clip(mouth * gain, 0, 255), np.float32)
