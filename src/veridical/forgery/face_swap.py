"""Landmark-based face swap: a donor's face is warped onto the target's, matched in colour, and blended in.

Each target frame uses the donor frame with the most similar mouth, eyes and pose, chosen such that the choice is continuous
in time. A piecewise affine warp over a triangulation of the dense landmarks maps the donor's face onto the target's outline,
and onto a shape between both faces inside it. There are two ways of blending: feathered (matched Lab statistics, relighting
by low-frequency lightness, soft edge inside the outline) and Poisson (the donor's gradients with the target's border; Pérez,
Gangnet and Blake 2003; relit in the same way).

Severity 0 is a careful swap; 1 has a narrow edge, half-matched colours, jittering landmarks and a blurred donor.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import FACE_OVAL
from veridical.forgery.footage import Footage, Forged, Frames, require_donor, video_forged
from veridical.forgery.shapes import (
    FloatArray,
    face_width,
    fit_similarity,
    match_frames,
    smooth_over_time,
    transform,
    without_pose,
)
from veridical.forgery.warps import Mask, Region, polygon_mask, region_around, triangulate, warp

MATCHED_POINTS = (13, 14, 78, 308, 61, 291, 159, 145, 386, 374, 1, 152)
"""Lips, eyelids, tip of the nose and chin, by which donor frames are matched."""
DONOR_SHAPE_SHARE = 0.35
"""How far the inner face takes on the donor's shape, 0 to 1."""


def face_swap(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Swap the donor's face onto the target with a feathered edge."""
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    width = face_width(target.landmarks)
    statistics: list[FloatArray] = []
    for n, region, inside, face in _warped_faces(target, require_donor(donor), severity, stream):
        original = frames[n][region.slices]
        statistics.append(_colour_statistics(face, original, inside))
        recent = np.mean(statistics[-9:], axis=0)
        matched = _with_colours(face, recent, strength=1 - 0.5 * severity**2)
        matched = _with_light(matched, original, inside, 0.22 * width, strength=0.9 * (1 - severity**2))
        alpha = _soft_edge(inside, width * (0.16 - 0.11 * severity))
        frames[n][region.slices] = _mix(original, matched, alpha)
        mask[n][region.slices] = alpha > 0
    return video_forged(target, frames, mask)


def face_swap_poisson(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Swap the donor's face onto the target with Poisson blending: the donor's gradients, the target's border."""
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    width = face_width(target.landmarks)
    exposure: FloatArray | None = None
    for n, region, inside, face in _warped_faces(target, require_donor(donor), severity, stream):
        inside = _away_from_border(inside)
        if inside.sum() < 16:
            continue
        original = frames[n][region.slices]
        if exposure is None:
            exposure = np.clip((original[inside].mean(0) + 1) / (face[inside].mean(0) + 1), 0.6, 1.6)
        exposed = np.clip(face * exposure, 0, 255).astype(np.uint8)
        cloned = _poisson_clone(exposed, original, inside)
        lit = _with_light(cloned, original, inside, 0.22 * width, strength=1 - severity**2)
        cloned = _mix(cloned, lit, _soft_edge(inside, 0.2 * width))
        original[inside] = cloned[inside]
        mask[n][region.slices] = inside
    return video_forged(target, frames, mask)


def _warped_faces(
    target: Footage, donor: Footage, severity: float, stream: np.random.Generator
) -> Iterator[tuple[int, Region, Mask, Frames]]:
    """Yield for each target frame: its index, the face's region, where the face is, and the donor's pixels there."""
    matches = _matching_frames(target, donor)
    triangles = triangulate(np.median(without_pose(target.landmarks)[0], axis=0))
    goals = _goal_landmarks(target, donor, matches) + _jitter(target, severity, stream)
    blur = 0.8 * severity * face_width(target.landmarks) / 100
    for n, m in enumerate(matches):
        region = region_around(goals[n], 2, target.frames.shape[1:])
        face, covered = warp(donor.frames[m], donor.landmarks[m], goals[n], triangles, region)
        inside = (polygon_mask(_outline(goals[n], severity), region) > 0) & covered
        if blur > 0.1:
            face = cv2.GaussianBlur(face, (0, 0), blur)
        yield n, region, inside, face


def _outline(landmarks: FloatArray, severity: float) -> FloatArray:
    """Return the (K, 2) outline of what is replaced; a careful swap stays below the hairline and inside the cheeks."""
    oval = landmarks[list(FACE_OVAL)]
    upwards = landmarks[10] - landmarks[152]
    height = np.clip((oval - landmarks[152]) @ upwards / max(float(upwards @ upwards), 1e-6), 0, 1)
    shrink = (0.04 + 0.17 * height**2) * (1 - 0.7 * severity)
    centre = oval.mean(0)
    return np.asarray(centre + (oval - centre) * (1 - shrink[:, None]), np.float64)


def _matching_frames(target: Footage, donor: Footage) -> npt.NDArray[np.intp]:
    """Return for each target frame the donor frame of similar expression and pose, without abrupt jumps."""
    points = list(MATCHED_POINTS)
    target_shapes, donor_shapes = without_pose(target.landmarks)[0], without_pose(donor.landmarks)[0]
    descriptors = [shapes[:, points] - np.median(shapes[:, points], axis=0) for shapes in (target_shapes, donor_shapes)]
    wanted, candidates = (20 * values.reshape(len(values), -1) for values in descriptors)
    return match_frames(wanted, candidates, jump_cost=0.5)


def _goal_landmarks(target: Footage, donor: Footage, matches: npt.NDArray[np.intp]) -> FloatArray:
    """Return (N, 468, 2) landmarks: the target's outline, and inside it a shape between the target's and the donor's."""
    goal = target.landmarks.astype(np.float64)
    posed = transform(fit_similarity(donor.landmarks[matches], goal), donor.landmarks[matches])
    oval = goal[:, list(FACE_OVAL)]
    centre = oval.mean(1, keepdims=True)
    radius = np.linalg.norm(oval - centre, axis=-1).mean(1)[:, None]
    depth = np.clip(1 - np.linalg.norm(goal - centre, axis=-1) / radius, 0, 1) * 2
    share = DONOR_SHAPE_SHARE * np.clip(depth, 0, 1)[..., None]
    share[:, list(FACE_OVAL)] = 0
    return goal + smooth_over_time(share * (posed - goal), 2)


def _jitter(target: Footage, severity: float, stream: np.random.Generator) -> FloatArray:
    """Draw (N, 1, 2) offsets as of an unsteady tracker, in pixels."""
    noise = smooth_over_time(stream.normal(size=(len(target), 1, 2)), 1)
    return noise * 0.02 * severity**2 * face_width(target.landmarks)


def _colour_statistics(face: Frames, original: Frames, inside: Mask) -> FloatArray:
    """Return (2, 2, 3): mean and spread in Lab of the donor's face and of the target's, inside the outline."""
    if not inside.any():
        return np.tile(np.array([[128.0], [1.0]]), (2, 1, 3))
    lab = [cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[inside].astype(np.float64) for image in (face, original)]
    return np.array([[pixels.mean(0), pixels.std(0) + 1] for pixels in lab])


def _with_colours(face: Frames, statistics: FloatArray, strength: float) -> Frames:
    (mean, spread), (wanted_mean, wanted_spread) = statistics
    lab = cv2.cvtColor(face, cv2.COLOR_RGB2LAB).astype(np.float64)
    matched = (lab - mean) * np.clip(wanted_spread / spread, 0.6, 1.25) + wanted_mean
    mixed = lab + strength * (matched - lab)
    coloured: Frames = cv2.cvtColor(np.clip(np.round(mixed), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return coloured


def _with_light(face: Frames, original: Frames, inside: Mask, radius_px: float, strength: float) -> Frames:
    """Relight the face with the target's low-frequency lightness, so that the same side is lit."""
    labs = [cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) for image in (face, original)]
    known = inside.astype(np.float32)
    share = cv2.GaussianBlur(known, (0, 0), radius_px) + 1e-3
    slow = [cv2.GaussianBlur(lab[..., 0] * known, (0, 0), radius_px) / share for lab in labs]
    labs[0][..., 0] += strength * (slow[1] - slow[0])
    relit: Frames = cv2.cvtColor(np.clip(np.round(labs[0]), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return relit


def _soft_edge(inside: Mask, feather_px: float) -> npt.NDArray[np.float32]:
    """Return (h, w) weights: 0 outside, rising to 1 at a depth of `feather_px` inside the outline."""
    padded = np.pad(inside, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    ramp = np.clip((depth - 1) / max(feather_px, 1.0), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _mix(original: Frames, forged: Frames, alpha: npt.NDArray[np.float32]) -> Frames:
    weight = alpha[..., None]
    return np.round(original * (1 - weight) + forged * weight).astype(np.uint8)


def _away_from_border(inside: Mask) -> Mask:
    """Erode the mask by two pixels, also at the border of the region: Poisson blending needs a border."""
    padded = np.pad(inside, 2).astype(np.uint8)
    eroded = cv2.erode(padded, np.ones((5, 5), np.uint8))[2:-2, 2:-2]
    return np.asarray(eroded, np.bool_)


def _poisson_clone(face: Frames, original: Frames, inside: Mask) -> Frames:
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    centre = (x + width // 2, y + height // 2)
    mask = inside.astype(np.uint8) * 255
    cloned: Frames = cv2.seamlessClone(face, original, mask, centre, cv2.NORMAL_CLONE)
    return cloned
