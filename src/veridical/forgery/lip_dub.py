"""Lip dub: the lower face of other speech of the same person, laid over the target.

The donor's lower face is brought into the target's pose by a similarity fitted on the points that speech does not
move; its light is corrected by the ratio of both pictures' low frequencies around the mouth; a soft window ends under
the nose, on the cheeks and below the chin. Two forgeries: `lip_dub` takes the donor's sound along (the person now
says something else, mouth and voice agree: picture forged, voice genuine), `mouth_replaced` keeps the target's own
sound, which the mouth no longer follows.

Severity 0 keeps pose and light close; 1 has a small, hard window, uncorrected light and a lagging pose.
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
    donor_of,
    picture_forged,
    same_moments,
    samples_in,
    sound_of,
)
from veridical.forgery.shapes import STABLE, FloatArray, face_width, fit_similarity, smooth_over_time, transform
from veridical.forgery.sounds import fit_length
from veridical.forgery.warps import Region, polygon_mask, region_around

LOWER_FACE = (2, 326, 423, 425, 411, 434, 364, 379, 400, 152, 176, 150, 135, 214, 187, 205, 203, 97)
"""A closed line under the nose, over the cheeks and along the chin."""


def lip_dub(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Make the target say what the donor's footage says: its mouth and its sound."""
    sound_of(target)
    speech = donor_of(donor)
    samples = fit_length(sound_of(speech), samples_in(len(target), target.fps))
    return replace(mouth_replaced(target, speech, severity, stream), samples=samples)


def mouth_replaced(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace the target's mouth by that of other speech, under the target's own sound."""
    speech = donor_of(donor)
    moments = same_moments(target, speech)
    goal = target.landmarks.astype(np.float64)
    poses = _poses(speech, goal, moments, severity, stream)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    width = face_width(target.landmarks)
    for n, m in enumerate(moments):
        posed = transform(poses[n], speech.landmarks[m])
        outline = _outline(0.5 * (posed + goal[n]), severity)
        region = region_around(outline, 0.2 * width, frames.shape[1:])
        mouth = _in_pose(speech.frames[m], poses[n], region)
        original = frames[n][region.slices]
        window = _soft_window(polygon_mask(outline, region), width * (0.06 - 0.04 * severity))
        lit = _with_light(mouth, original, window, width * 0.12, strength=1 - 0.6 * severity**2)
        original[...] = np.round(original + (lit - original) * window[..., None]).astype(np.uint8)
        mask[n][region.slices] = window > 0
    return picture_forged(target, frames, mask)


def _poses(
    speech: Footage, goal: FloatArray, moments: npt.NDArray[np.intp], severity: float, stream: np.random.Generator
) -> FloatArray:
    """Return (N, 2, 3): similarities from donor frames to target frames, steadied over time."""
    stable = list(STABLE)
    poses = fit_similarity(speech.landmarks[moments][:, stable], goal[:, stable])
    lag = stream.normal(size=(len(goal), 2)) * 0.03 * severity**2 * face_width(goal)
    poses[:, :, 2] += smooth_over_time(lag, 2)
    return poses


def _outline(landmarks: FloatArray, severity: float) -> FloatArray:
    line = landmarks[list(LOWER_FACE)]
    return np.asarray(line.mean(0) + (line - line.mean(0)) * (1 - 0.15 * severity), np.float64)


def _in_pose(picture: Frames, pose: FloatArray, region: Region) -> Frames:
    matrix = pose.copy()
    matrix[:, 2] -= region.origin
    height, width = region.shape
    posed: Frames = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return posed


def _soft_window(polygon: Frames, softness_px: float) -> npt.NDArray[np.float32]:
    """Return (h, w) weights in [0, 1] that fall off on both sides of the polygon's line; under 1 % they are 0."""
    window = cv2.GaussianBlur(polygon.astype(np.float32) / 255, (0, 0), max(softness_px, 0.5))
    return np.where(window < 0.01, 0, window).astype(np.float32)


def _with_light(
    mouth: Frames, original: Frames, window: npt.NDArray[np.float32], radius_px: float, strength: float
) -> npt.NDArray[np.float32]:
    """Return the mouth times the ratio of both pictures' low frequencies, taken outside the window's core."""
    outside = (1.02 - window)[..., None]
    lights = [cv2.GaussianBlur(picture * outside + 0.0, (0, 0), radius_px) for picture in (original, mouth)]
    gain = np.clip((lights[0] + 1) / (lights[1] + 1), 0.5, 2.0) ** strength
    return np.asarray(np.clip(mouth * gain, 0, 255), np.float32)
