"""Self-blending: a slightly altered copy of the face is blended over itself, which leaves only the traces of blending.

After Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images" (2022), written from the paper and extended to
video: the random parameters (colour, sharpness, shift, scale, shape of the mask) are drawn once per video, with a slow drift
over time.

Severity scales all changes; at 0 they are barely visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import FACE_OVAL, LEFT_EYEBROW, LIPS_OUTER, RIGHT_EYEBROW
from veridical.forgery.footage import Footage, Forged, video_forged
from veridical.forgery.shapes import FloatArray, face_width, smooth_over_time
from veridical.forgery.warps import Region, region_around

PARTS: dict[str, tuple[int, ...]] = {
    "face": FACE_OVAL,
    "below_brows": (*LEFT_EYEBROW, *RIGHT_EYEBROW, *FACE_OVAL[6:31]),
    "inner_face": (*LEFT_EYEBROW, *RIGHT_EYEBROW, *LIPS_OUTER, 50, 280, 205, 425, 200),
    "lower_face": (*FACE_OVAL[8:29], 6, 50, 280),
}
"""The blended region is the convex hull of one of these sets of landmarks."""
LOWEST_WEIGHT = 0.01


@dataclass(frozen=True)
class _Change:
    """The random parameters of one video."""

    part: str
    gain: FloatArray
    """(3,) factor per colour channel."""
    bias: FloatArray
    """(3,) offset per colour channel, in grey levels."""
    sharpness: float
    """Amount of sharpening; negative blurs."""
    matrices: FloatArray
    """(N, 2, 2) scale and rotation per frame."""
    shifts: FloatArray
    """(N, 2) shift per frame, in pixels."""
    bend: npt.NDArray[np.float32]
    """(4, 4, 2) coarse displacement field of the mask, in pixels."""
    edge_px: float
    opacity: float


def self_blend(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Blend an altered copy of the face over itself."""
    width = face_width(target.landmarks)
    change = _draw(len(target), width, severity, stream)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    for n, landmarks in enumerate(target.landmarks):
        points = landmarks[list(PARTS[change.part])]
        region = region_around(points, 0.25 * width, frames.shape[1:])
        weight = _bent_mask(points, region, change)
        original = frames[n][region.slices]
        copy = _changed(original, points.mean(0) - region.origin, change, n, width)
        inside = weight > LOWEST_WEIGHT
        mixed = original + (copy - original) * (change.opacity * weight)[..., None]
        original[inside] = np.clip(np.round(mixed[inside]), 0, 255).astype(np.uint8)
        mask[n][region.slices] = inside
    return video_forged(target, frames, mask)


def _draw(num_frames: int, width: float, severity: float, stream: np.random.Generator) -> _Change:
    amount = 0.3 + severity
    part = list(PARTS)[int(stream.integers(len(PARTS)))]
    turn = 0.02 * amount * stream.uniform(-1, 1)
    scale = 1 + 0.025 * amount * stream.uniform(-1, 1) + 0.004 * amount * _drift(num_frames, stream)
    shift = amount * width * (0.018 * stream.uniform(-1, 1, size=2) + 0.004 * _drift(num_frames, stream, 2))
    sharpness = stream.choice([-1, 1]) * stream.uniform(0.4, 1) * amount
    turned = np.array([[1, -turn], [turn, 1]]) * scale[:, None, None]
    bend = stream.normal(size=(4, 4, 2)) * 0.05 * width
    return _Change(
        part=part,
        gain=1 + 0.07 * amount * stream.uniform(-1, 1) + 0.04 * amount * stream.uniform(-1, 1, size=3),
        bias=8 * amount * stream.uniform(-1, 1, size=3),
        sharpness=float(sharpness),
        matrices=turned,
        shifts=shift,
        bend=bend.astype(np.float32),
        edge_px=float(width * stream.uniform(0.02, 0.09) * (1.3 - 0.6 * severity)),
        opacity=float(np.clip(stream.choice([0.5, 0.75, 1.0, 1.0]) + 0.25 * severity, 0, 1)),
    )


def _drift(num_frames: int, stream: np.random.Generator, *shape: int) -> FloatArray:
    """Draw (N, ...) slow noise of about unit size."""
    noise = smooth_over_time(stream.normal(size=(num_frames, *shape)), 5)
    return noise / max(float(noise.std()), 1e-6) if num_frames > 1 else noise


def _bent_mask(points: npt.ArrayLike, region: Region, change: _Change) -> npt.NDArray[np.float32]:
    """Return (h, w) weights in [0, 1]: the hull of the points, displaced and blurred."""
    hull = cv2.convexHull((np.asarray(points, np.float64) - region.origin).astype(np.float32))
    mask = np.zeros(region.shape, np.float32)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1.0)
    field = cv2.resize(change.bend, region.shape[::-1], interpolation=cv2.INTER_CUBIC)
    ys, xs = np.mgrid[: region.shape[0], : region.shape[1]].astype(np.float32)
    bent = cv2.remap(mask, xs + field[..., 0], ys + field[..., 1], cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(bent, (0, 0), max(change.edge_px, 0.8))
    border = np.zeros_like(soft)
    border[1:-1, 1:-1] = 1
    return np.asarray(soft * cv2.blur(border, (5, 5)), np.float32)


def _changed(
    image: npt.NDArray[np.uint8], centre: npt.NDArray[np.float64], change: _Change, n: int, width: float
) -> npt.NDArray[np.float32]:
    """Return the image rotated and scaled about `centre`, shifted, recoloured, and sharpened or blurred."""
    linear = change.matrices[n]
    matrix = np.hstack([linear, (centre + change.shifts[n] - linear @ centre)[:, None]])
    size = image.shape[1::-1]
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved = moved.astype(np.float32)
    sigma = max(0.008 * width, 0.5)
    soft = cv2.GaussianBlur(moved, (0, 0), sigma)
    moved = moved + np.float32(change.sharpness) * (moved - soft)
    return np.asarray(np.clip(moved * change.gain + change.bias, 0, 255), np.float32)
