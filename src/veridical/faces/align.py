"""Five-point face alignment: the similarity transform that maps eyes, nose and mouth corners onto a template.

The template is ArcFace's (Deng et al., 2019) for 112 pixels; `scale` widens the view around its centre, so that 1.3
shows the chin and the forehead, which manipulations touch. The transform is the least-squares similarity (Umeyama, 1991).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

MARGIN_PX = 4
"""Pixels read beyond each edge of a view, so that interpolation at the edge sees its neighbours."""
TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""(5, 2) left eye, right eye, nose, left and right mouth corner as seen in the image, for a view of 112 pixels."""


def align_face(image: Image, landmarks: npt.ArrayLike, *, size: int = 256, scale: float = 1.3) -> tuple[Image, Matrix]:
    """Crop a face so that its landmarks lie on the template.

    Args:
        image: (H, W, 3) RGB.
        landmarks: (5, 2) in pixels of `image`.
        size: Side of the crop in pixels.
        scale: Width of the view relative to ArcFace's, which cuts off the chin; 1.3 includes forehead, chin and jaw.

    Returns:
        The (size, size, 3) crop, black where it extends beyond the image, and the (2, 3) matrix from image pixels to
        crop pixels.

    Raises:
        ValueError: if the landmarks are not (5, 2), not finite, or all coincide.
    """
    matrix = similarity(np.asarray(landmarks, np.float64), template(size, scale))
    return warp(image, matrix, size), matrix


def template(size: int, scale: float) -> Matrix:
    """Return the (5, 2) landmarks of a perfectly aligned face in a crop of `size` pixels."""
    centred = (TEMPLATE + 0.5) / TEMPLATE_SIZE - 0.5
    return (centred / scale + 0.5) * size - 0.5


def similarity(source: Matrix, target: Matrix) -> Matrix:
    """Return the least-squares (2, 3) rotation, uniform scale and shift from (N, 2) source points to target points.

    Raises:
        ValueError: if the points are not finite or all coincide.
    """
    if source.shape != target.shape or not np.isfinite(source).all():
        raise ValueError(f"landmarks: expected finite points of shape {target.shape}, got {source.shape}")
    centre, target_centre = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - centre).T
    u, v = (target - target_centre).T
    spread = float((x * x + y * y).sum())
    if spread < 1e-6:
        raise ValueError("landmarks: expected points in different places, got all of them in one")
    cosine, sine = float((x * u + y * v).sum()) / spread, float((x * v - y * u).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([linear, (target_centre - linear @ centre)[:, None]])


def transform_points(matrix: Matrix, points: npt.ArrayLike) -> Floats:
    """Apply a (2, 3) transform to (…, 2) points."""
    values = np.asarray(points, np.float64)
    return np.asarray(values @ matrix[:, :2].T + matrix[:, 2], np.float32)


def invert(matrix: Matrix) -> Matrix:
    """Return the inverse of (…, 2, 3) transforms."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def warp(image: Image, matrix: Matrix, size: int) -> Image:
    """Resample an image through a (2, 3) transform into a (size, size[, 3]) view, averaging where it shrinks to avoid aliasing.

    Only the visible part of the image is read, so the cost does not grow with its size.
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    shrink = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    part, low = _visible_part(image, matrix, size, MARGIN_PX * max(1.0, shrink))
    shift = shift + linear @ low
    block = int(shrink)
    if block > 1:
        part = _block_means(part, block)
        shift = shift + linear @ np.full(2, block / 2 - 0.5)
        linear = linear * block
    remaining = np.hstack([linear, shift[:, None]])
    return np.asarray(cv2.warpAffine(part, remaining, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _visible_part(image: Image, matrix: Matrix, size: int, margin_px: float) -> tuple[Image, npt.NDArray[np.int64]]:
    """Return the part of an image that a view shows (at least one pixel) and the (x, y) of its first pixel."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    spread = transform_points(invert(matrix), corners)
    end = np.array(image.shape[1::-1])
    low = np.clip(np.floor(spread.min(axis=0) - margin_px), 0, end - 1).astype(np.int64)
    high = np.clip(np.ceil(spread.max(axis=0) + margin_px) + 1, low + 1, end).astype(np.int64)
    return image[low[1] : high[1], low[0] : high[0]], low


def _block_means(part: Image, block: int) -> Image:
    """Return the means of square blocks of pixels; incomplete blocks are filled by repeating the last row or column."""
    height, width = part.shape[:2]
    rows, columns = -(-height // block), -(-width // block)
    below, right = rows * block - height, columns * block - width
    if below or right:
        part = np.asarray(cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
