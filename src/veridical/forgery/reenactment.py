"""Reenactment: a driver's facial expressions move the target's own face.

The deviations of the driver's pose-free landmarks from their median are added to the target's median face, which is posed like
the target's head. The pixels come from the target's own frame with the most similar mouth (as in Face2Face, Thies et al. 2016,
so that an open mouth has a real inside), warped onto these landmarks and merged by a Laplacian pyramid (Burt and Adelson 1983).

Severity 0 applies .8 of the driver's deviations; 1 exaggerates them to 1.3, with drift.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import FACE_OVAL
from veridical.forgery.footage import Footage, Forged, Frames, Points, frames_at_same_time, require_donor, video_forged
from veridical.forgery.shapes import (
    FloatArray,
    face_width,
    fit_similarity,
    match_frames,
    mouth_openness,
    smooth_over_time,
    transform,
    without_pose,
)
from veridical.forgery.warps import polygon_mask, region_around, triangulate, warp

PYRAMID_LEVELS = 4
RING_SCALE = 1.22
"""Scale of a ring of fixed points around the face, inside which the jaw can move."""


def reenactment(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Make the target's face move like the donor's."""
    driver = require_donor(donor)
    shapes, poses = without_pose(target.landmarks)
    goal_shapes = _driven_shapes(shapes, driver, frames_at_same_time(target, driver), gain=0.8 + 0.5 * severity)
    goal_shapes += _drift(len(target), severity, stream)
    matches = _matching_frames(shapes, goal_shapes)
    goals = transform(poses, goal_shapes)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    triangles = triangulate(_with_ring(goals[0]))
    for n, m in enumerate(matches):
        source, goal = _with_ring(target.landmarks[m]), _with_ring(goals[n])
        to_goal = fit_similarity(target.landmarks[m], goals[n])
        to_source = np.linalg.inv(np.vstack([to_goal, [0, 0, 1]]))[:2]
        source[-len(FACE_OVAL) :] = transform(to_source, goal[-len(FACE_OVAL) :])
        region = region_around(goal, 2, frames.shape[1:])
        moved, covered = warp(target.frames[m], source, goal, triangles, region)
        edge = round(0.05 * face_width(target.landmarks[n : n + 1])) + 1
        inside = cv2.dilate(polygon_mask(goals[n][list(FACE_OVAL)], region), np.ones((edge, edge), np.uint8)) > 0
        inside &= covered
        original = frames[n][region.slices]
        original[inside] = _merge(moved, original, inside)[inside]
        mask[n][region.slices] = inside
    return video_forged(target, frames, mask)


def _driven_shapes(shapes: FloatArray, driver: Footage, matches: npt.NDArray[np.intp], gain: float) -> FloatArray:
    """Return (N, 468, 2): the target's median face with the driver's deviations."""
    driver_shapes = without_pose(driver.landmarks)[0]
    neutral, driver_neutral = np.median(shapes, axis=0), np.median(driver_shapes, axis=0)
    turned = transform(fit_similarity(driver_neutral, neutral), driver_shapes)
    deviations = turned - np.median(turned, axis=0)
    return neutral + gain * smooth_over_time(deviations, 0.7)[matches]


def _drift(num_frames: int, severity: float, stream: np.random.Generator) -> FloatArray:
    """Draw (N, 1, 2) slow drift of the face against the head, in face widths."""
    return 0.02 * severity**2 * smooth_over_time(stream.normal(size=(num_frames, 1, 2)), 2)


def _matching_frames(shapes: FloatArray, goals: FloatArray) -> npt.NDArray[np.intp]:
    """Return for each goal shape the target's frame with the most similar mouth."""
    descriptors = [np.stack([mouth_openness(values), values[:, 152, 1]], 1) for values in (shapes, goals)]
    candidates, wanted = (values * 10 for values in descriptors)
    return match_frames(wanted, candidates, jump_cost=0.3)


def _with_ring(landmarks: FloatArray | Points) -> FloatArray:
    """Return (468 + 36, 2): the landmarks and a ring of points around the face."""
    oval = np.asarray(landmarks, np.float64)[list(FACE_OVAL)]
    centre = oval.mean(0)
    return np.concatenate([landmarks, centre + RING_SCALE * (oval - centre)])


def _merge(forged: Frames, original: Frames, inside: npt.NDArray[np.bool_]) -> Frames:
    """Merge two images by Laplacian pyramids, under a mask that ends inside of `inside`."""
    levels = max(1, min(PYRAMID_LEVELS, int(np.log2(max(min(inside.shape), 2))) - 2))
    core = cv2.erode(np.pad(inside, 1).astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1]
    weights = [core.astype(np.float32)]
    low, high = [original.astype(np.float32)], [forged.astype(np.float32)]
    for _ in range(levels):
        for pyramid in (weights, low, high):
            pyramid.append(cv2.pyrDown(pyramid[-1]))
    merged = _between(low[-1], high[-1], weights[-1])
    for level in range(levels - 1, -1, -1):
        size = low[level].shape[1::-1]
        details = [pyramid[level] - cv2.pyrUp(pyramid[level + 1], dstsize=size) for pyramid in (low, high)]
        merged = cv2.pyrUp(merged, dstsize=size) + _between(details[0], details[1], weights[level])
    return np.clip(np.round(merged), 0, 255).astype(np.uint8)


def _between(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return low + (high - low) * weight[..., None]
