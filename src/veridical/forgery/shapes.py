"""Landmark geometry: named points, head poses as similarity transforms, pose-free shapes, and matching of frames.

Landmarks follow the FaceMesh topology. A similarity is a (2, 3) matrix that maps points as `A @ (x, y, 1)`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from veridical.faces import invert

FloatArray = npt.NDArray[np.float64]

STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 5, 10, 151, 9, 127, 356, 234, 454, 93, 323)
"""Points that speech and facial expressions hardly move: eye corners, bridge of the nose, forehead, temples."""
INNER_LIPS = (13, 14, 78, 308)
"""Upper, lower, left and right inner lip, as seen in the frame."""


def fit_similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> FloatArray:
    """Return the least-squares similarities from source points to target points.

    Args:
        source: (..., K, 2) points.
        target: (..., K, 2) points; leading dimensions broadcast.

    Returns:
        (..., 2, 3) matrices.
    """
    z, w = _complex(source), _complex(target)
    z_mean, w_mean = z.mean(-1, keepdims=True), w.mean(-1, keepdims=True)
    z_centred, w_centred = z - z_mean, w - w_mean
    turn = (z_centred.conj() * w_centred).sum(-1) / np.maximum((np.abs(z_centred) ** 2).sum(-1), 1e-12)
    move = w_mean[..., 0] - turn * z_mean[..., 0]
    rows = [[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def transform(matrix: FloatArray, points: npt.ArrayLike) -> FloatArray:
    """Apply (..., 2, 3) matrices to (..., K, 2) points."""
    return np.asarray(points, np.float64) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def face_width(landmarks: npt.ArrayLike) -> float:
    """Return the median distance between the cheeks, in pixels, of (N, 468, 2) landmarks."""
    points = np.asarray(landmarks, np.float64)
    return float(np.median(np.linalg.norm(points[:, 454] - points[:, 234], axis=-1)))


def without_pose(landmarks: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Split landmarks into pose-free shapes and head poses.

    Returns:
        shapes: (N, 468, 2), each frame rotated, scaled and shifted onto the mean face, which has width 1.
        poses: (N, 2, 3) similarities from that pose-free face to the frame.
    """
    points = np.asarray(landmarks, np.float64)
    reference = points[0] / max(face_width(points[:1]), 1e-6)
    stable = list(STABLE)
    for _ in range(2):
        to_reference = fit_similarity(points[:, stable], reference[stable])
        reference = np.median(transform(to_reference, points), axis=0)
    to_reference = fit_similarity(points[:, stable], reference[stable])
    return transform(to_reference, points), invert(to_reference)


def mouth_openness(shapes: FloatArray) -> FloatArray:
    """Return (N,) gaps between the lips relative to the width of the mouth."""
    top, bottom, left, right = (shapes[:, point] for point in INNER_LIPS)
    width = np.maximum(np.linalg.norm(right - left, axis=-1), 1e-6)
    return np.asarray(np.linalg.norm(bottom - top, axis=-1) / width, np.float64)


def smooth_over_time(values: FloatArray, sigma_frames: float) -> FloatArray:
    """Smooth values along the first axis with a Gaussian."""
    if sigma_frames <= 0 or len(values) < 2:
        return values
    return np.asarray(gaussian_filter1d(values, sigma_frames, axis=0, mode="nearest"), np.float64)


def match_frames(wanted: FloatArray, candidates: FloatArray, jump_cost: float) -> npt.NDArray[np.intp]:
    """Choose a candidate frame for each wanted frame such that descriptors match and the choice is continuous (Viterbi).

    Args:
        wanted: (N, D) descriptors.
        candidates: (M, D) descriptors, in order of time.
        jump_cost: Cost of a jump, in units of squared distance; moving on to the next candidate is free.

    Returns:
        (N,) indices of candidates.
    """
    cost = ((wanted[:, None] - candidates[None]) ** 2).sum(-1)
    steps = np.arange(len(candidates))
    distance = np.abs(steps[:, None] + 1 - steps[None])
    jump = jump_cost * np.minimum(distance, 8) / 8
    best = cost[0]
    came_from = np.zeros(cost.shape, np.intp)
    for n in range(1, len(cost)):
        through = best[:, None] + jump
        came_from[n] = through.argmin(0)
        best = through.min(0) + cost[n]
    path = [int(best.argmin())]
    for n in range(len(cost) - 1, 0, -1):
        path.append(int(came_from[n, path[-1]]))
    return np.array(path[::-1], np.intp)


def _complex(points: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    array = np.asarray(points, np.float64)
    return array[..., 0] + 1j * array[..., 1]
