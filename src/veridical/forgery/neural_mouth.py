"""Mouth re-rendered from a small model of itself, driven by landmarks (the idea of neural textures, without a network).

The model of the mouth's pixels is a principal component analysis over the target's own frames in a pose-free window;
a ridge regression from the lips' landmarks says how much of each component a frame has. What comes back is the mouth
as the model knows it: a little too smooth, a little too steady, and consistent over time. It is pasted through a
window with raised-cosine edges.

Severity 0 has 16 components and follows each frame; 1 has 3 components and lips that move sluggishly.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import LIPS_INNER, LIPS_OUTER
from veridical.forgery.footage import Footage, Forged, picture_forged
from veridical.forgery.shapes import FloatArray, face_width, smooth_over_time, without_pose
from veridical.forgery.warps import region_around

WINDOW_WIDTH = 0.62
WINDOW_HEIGHT = 0.46
"""Size of the window around the mouth, in face widths."""
MAX_WINDOW_PX = 160
LOWEST_WEIGHT = 0.004


def neural_mouth(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace the mouth by its own low-rank rendering."""
    shapes, poses = without_pose(target.landmarks)
    lips = shapes[:, [*LIPS_OUTER, *LIPS_INNER]].reshape(len(shapes), -1)
    views = _views(shapes, poses, face_width(target.landmarks))
    size = _window_size(face_width(target.landmarks))
    mouths = np.stack([_look(frame, view, size) for frame, view in zip(target.frames, views, strict=True)])
    driving = smooth_over_time(lips, 3.0 * severity)
    rank = round(16 * (3 / 16) ** severity)
    rendered = _render(mouths.reshape(len(mouths), -1), lips, driving, rank).reshape(mouths.shape)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    window = _raised_cosine(size)
    for n, view in enumerate(views):
        _put(frames[n], mask[n], rendered[n], window, view)
    return picture_forged(target, frames, mask)


def _window_size(width_px: float) -> tuple[int, int]:
    """Return height and width of the window in pixels: those of the picture, within bounds."""
    scale = min(width_px, MAX_WINDOW_PX / WINDOW_WIDTH)
    return max(8, round(WINDOW_HEIGHT * scale)), max(8, round(WINDOW_WIDTH * scale))


def _views(shapes: FloatArray, poses: FloatArray, width_px: float) -> FloatArray:
    """Return (N, 2, 3) matrices from window pixels to picture pixels."""
    height, width = _window_size(width_px)
    centre = np.median(shapes, axis=0)[[*LIPS_OUTER]].mean(0)
    scale = WINDOW_WIDTH / width
    to_face = np.array(
        [[scale, 0, centre[0] - scale * (width - 1) / 2], [0, scale, centre[1] - scale * (height - 1) / 2], [0, 0, 1]]
    )
    return np.asarray(poses @ to_face, np.float64)


def _look(frame: npt.NDArray[np.uint8], view: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(frame, view, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def _render(
    pixels: npt.NDArray[np.float32], lips: FloatArray, driving: FloatArray, rank: int
) -> npt.NDArray[np.float32]:
    """Return (N, P) pixels as the model renders the driving lips.

    Args:
        pixels: (N, P) windows to learn from.
        lips: (N, L) landmarks of these windows.
        driving: (N, L) landmarks to render.
        rank: Components to keep.
    """
    mean = pixels.mean(0)
    centred = pixels - mean
    power, left = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    main = left[:, ::-1][:, : min(rank, max(int((power > 1e-3).sum()), 1))]
    neutral, spread = lips.mean(0), (lips - lips.mean(0)).std() + 1e-6
    known, wanted = (lips - neutral) / spread, (driving - neutral) / spread
    kernel, reach = _kernel(known, known), _kernel(wanted, known)
    solved = np.linalg.solve(kernel + 0.05 * np.eye(len(kernel)), main)
    return np.asarray(mean + (reach @ solved).astype(np.float32) @ (main.T.astype(np.float32) @ centred), np.float32)


def _kernel(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return how alike two sets of (N, L) lips are, 0 to 1; the regression is a ridge in this kernel."""
    distance = ((first[:, None] - second[None]) ** 2).mean(-1)
    return np.asarray(np.exp(-0.5 * distance), np.float64)


def _raised_cosine(size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (h, w) weights: 1 in the middle, falling to 0 over the outer quarter of each side."""
    ramps = []
    for length in size:
        depth = np.minimum(np.arange(length), np.arange(length)[::-1]) / max(length / 4, 1)
        ramps.append(0.5 - 0.5 * np.cos(np.pi * np.clip(depth, 0, 1)))
    return np.outer(*ramps).astype(np.float32)


def _put(
    frame: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    mouth: npt.NDArray[np.float32],
    window: npt.NDArray[np.float32],
    view: FloatArray,
) -> None:
    """Blend the mouth into the frame, in place."""
    height, width = window.shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]]) @ view.T
    region = region_around(corners, 1, frame.shape)
    placed = view.copy()
    placed[:, 2] -= region.origin
    size = region.shape[::-1]
    pixels = cv2.warpAffine(mouth, placed, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(window, placed, size, flags=cv2.INTER_LINEAR)
    inside = weight > LOWEST_WEIGHT
    original = frame[region.slices]
    mixed = original + (pixels - original) * weight[..., None]
    original[inside] = np.clip(np.round(mixed[inside]), 0, 255).astype(np.uint8)
    mask[region.slices] |= inside
