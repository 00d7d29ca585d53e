"""Re-renders the mouth from a small model of itself, driven by landmarks (the idea of neural textures, without a network).

The model of the mouth's pixels is a principal component analysis of the target's own frames in a pose-free window; kernel
ridge regression predicts each frame's components from the landmarks of the lips. The rendered mouth is slightly too smooth,
slightly too steady, and temporally consistent. It is pasted through a window with raised-cosine edges.

Severity 0 keeps 16 components and follows each frame; 1 keeps 3, and the lips move sluggishly.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import LIPS_INNER, LIPS_OUTER
from veridical.forgery.footage import Footage, Forged, video_forged
from veridical.forgery.shapes import FloatArray, face_width, smooth_over_time, without_pose
from veridical.forgery.warps import paste

WINDOW_WIDTH = 0.62
WINDOW_HEIGHT = 0.46
"""Size of the window around the mouth, in face widths."""
MAX_WINDOW_PX = 160
LOWEST_WEIGHT = 0.004


def neural_mouth(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Replace the mouth by a low-rank rendering of itself."""
    shapes, poses = without_pose(target.landmarks)
    lips = shapes[:, [*LIPS_OUTER, *LIPS_INNER]].reshape(len(shapes), -1)
    views = _views(shapes, poses, face_width(target.landmarks))
    size = _window_size(face_width(target.landmarks))
    mouths = np.stack([_mouth_view(frame, view, size) for frame, view in zip(target.frames, views, strict=True)])
    driving = smooth_over_time(lips, 3.0 * severity)
    rank = round(16 * (3 / 16) ** severity)
    rendered = _render(mouths.reshape(len(mouths), -1), lips, driving, rank).reshape(mouths.shape)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    window = _raised_cosine(size)
    for n, view in enumerate(views):
        paste(frames[n], mask[n], rendered[n], window, view, LOWEST_WEIGHT, cv2.INTER_LINEAR)
    return video_forged(target, frames, mask)


def _window_size(width_px: float) -> tuple[int, int]:
    """Return height and width of the window in pixels, at the scale of the frame within bounds."""
    scale = min(width_px, MAX_WINDOW_PX / WINDOW_WIDTH)
    return max(8, round(WINDOW_HEIGHT * scale)), max(8, round(WINDOW_WIDTH * scale))


def _views(shapes: FloatArray, poses: FloatArray, width_px: float) -> FloatArray:
    """Return (N, 2, 3) matrices from window pixels to frame pixels."""
    height, width = _window_size(width_px)
    centre = np.median(shapes, axis=0)[[*LIPS_OUTER]].mean(0)
    scale = WINDOW_WIDTH / width
    x0, y0 = centre[0] - scale * (width - 1) / 2, centre[1] - scale * (height - 1) / 2
    to_face = np.array([[scale, 0, x0], [0, scale, y0], [0, 0, 1]])
    return np.asarray(poses @ to_face, np.float64)


def _mouth_view(frame: npt.NDArray[np.uint8], view: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mouth = cv2.warpAffine(frame, view, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(mouth, np.float32)


def _render(
    pixels: npt.NDArray[np.float32], lips: FloatArray, driving: FloatArray, rank: int
) -> npt.NDArray[np.float32]:
    """Fit the model and return the (N, P) pixels that it renders for the driving landmarks.

    Args:
        pixels: (N, P) windows to learn from.
        lips: (N, L) landmarks of these windows.
        driving: (N, L) landmarks to render.
        rank: Number of components to keep.
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
    """Return the similarity (0 to 1) of two sets of (N, L) lips: the Gaussian kernel of the ridge regression."""
    distance = ((first[:, None] - second[None]) ** 2).mean(-1)
    return np.asarray(np.exp(-0.5 * distance), np.float64)


def _raised_cosine(size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (h, w) weights: 1 in the middle, falling to 0 over the outer quarter of each side."""
    ramps = []
    for length in size:
        depth = np.minimum(np.arange(length), np.arange(length)[::-1]) / max(length / 4, 1)
        ramps.append(0.5 - 0.5 * np.cos(np.pi * np.clip(depth, 0, 1)))
    return np.outer(*ramps).astype(np.float32)
