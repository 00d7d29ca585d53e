"""Reenactment: the expressions of a driver move the target's own face.

What the driver's landmarks do around their own mean, without pose, is added to the target's mean face and posed like
the target's head. The pixels come from the target's own frame whose mouth is nearest to what is wanted (as in
Face2Face, Thies et al. 2016, so that an open mouth has a real inside), warped onto the wanted landmarks and merged by
a Laplacian pyramid (Burt and Adelson 1983).

Severity 0 keeps half of the driver's excursions and warps gently; 1 exaggerates them.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import FACE_OVAL
from veridical.forgery.footage import Footage, Forged, Frames, Points, donor_of, picture_forged, same_moments
from veridical.forgery.shapes import (
    FloatArray,
    face_width,
    fit_similarity,
    follow,
    mouth_openness,
    smooth_over_time,
    transform,
    without_pose,
)
from veridical.forgery.warps import polygon_mask, region_around, triangulate, warp

PYRAMID_LEVELS = 4
RING_SCALE = 1.22
"""A ring of points around the face that stays where it is, so that the jaw can move inside it."""


def reenactment(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Make the target's face move like the donor's."""
    driver = donor_of(donor)
    shapes, poses = without_pose(target.landmarks)
    wanted_shapes = _driven_shapes(shapes, driver, same_moments(target, driver), gain=0.8 + 0.5 * severity)
    wanted_shapes += _loss_of_track(len(target), severity, stream)
    chosen = _own_moments(shapes, wanted_shapes)
    wanted = transform(poses, wanted_shapes)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    triangles = triangulate(_with_ring(wanted[0]))
    for n, m in enumerate(chosen):
        source, goal = _with_ring(target.landmarks[m]), _with_ring(wanted[n])
        ring = fit_similarity(target.landmarks[m], wanted[n])
        source[-len(FACE_OVAL) :] = transform(np.linalg.inv(np.vstack([ring, [0, 0, 1]]))[:2], goal[-len(FACE_OVAL) :])
        region = region_around(goal, 2, frames.shape[1:])
        moved, covered = warp(target.frames[m], source, goal, triangles, region)
        edge = round(0.05 * face_width(target.landmarks[n : n + 1])) + 1
        inside = cv2.dilate(polygon_mask(wanted[n][list(FACE_OVAL)], region), np.ones((edge, edge), np.uint8)) > 0
        inside &= covered
        original = frames[n][region.slices]
        original[inside] = _merge(moved, original, inside)[inside]
        mask[n][region.slices] = inside
    return picture_forged(target, frames, mask)


def _driven_shapes(shapes: FloatArray, driver: Footage, moments: npt.NDArray[np.intp], gain: float) -> FloatArray:
    """Return (N, 468, 2): the target's mean face with the driver's excursions."""
    driver_shapes = without_pose(driver.landmarks)[0]
    neutral, driver_neutral = np.median(shapes, axis=0), np.median(driver_shapes, axis=0)
    turned = transform(fit_similarity(driver_neutral, neutral), driver_shapes)
    excursions = turned - np.median(turned, axis=0)
    return neutral + gain * smooth_over_time(excursions, 0.7)[moments]


def _loss_of_track(num_frames: int, severity: float, stream: np.random.Generator) -> FloatArray:
    """Return (N, 1, 2) slow drift of the expression against the head, in face widths."""
    return 0.02 * severity**2 * smooth_over_time(stream.normal(size=(num_frames, 1, 2)), 2)


def _own_moments(shapes: FloatArray, wanted: FloatArray) -> npt.NDArray[np.intp]:
    """Return for each wanted shape the target's frame whose mouth fits."""
    descriptors = [np.stack([mouth_openness(values), values[:, 152, 1]], 1) for values in (shapes, wanted)]
    candidates, goals = (values * 10 for values in descriptors)
    return follow(goals, candidates, jump_cost=0.3)


def _with_ring(landmarks: FloatArray | Points) -> FloatArray:
    """Return (468 + 36, 2): the landmarks and a ring around the face."""
    oval = np.asarray(landmarks, np.float64)[list(FACE_OVAL)]
    centre = oval.mean(0)
    return np.concatenate([landmarks, centre + RING_SCALE * (oval - centre)])


def _merge(forged: Frames, original: Frames, inside: npt.NDArray[np.bool_]) -> Frames:
    """Merge two pictures band by band under a mask that ends inside of `inside`."""
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
