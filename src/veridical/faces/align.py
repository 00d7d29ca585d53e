"""Five-point alignment: the similarity transform that puts eyes, nose and mouth where a template has them.

The template is the one of ArcFace (Deng et al., 2019) for 112 pixels; `scale` widens the view around its centre, so
that 1.3 shows the chin and the forehead, which manipulations touch. The transform is the least-squares similarity
(Umeyama, 1991).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

MARGIN_PX = 4
"""Looked at beyond the edges of a view, in its pixels."""
TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""(5, 2) left eye, right eye, nose, left and right mouth corner as seen in the picture, for a view of 112 pixels."""


def align_face(
    image: Picture, landmarks: npt.ArrayLike, *, size: int = 256, scale: float = 1.3
) -> tuple[Picture, Matrix]:
    """Return the aligned face and the transform that made it.

    Args:
        image: (H, W, 3) RGB.
        landmarks: (5, 2) in pixels of `image`.
        size: Side of the result in pixels.
        scale: Width of the view relative to ArcFace's, which cuts the chin; 1.3 leaves room for forehead, chin and jaw.

    Returns:
        The (size, size, 3) picture, black where it reaches beyond the source, and the (2, 3) matrix from source
        pixels to its pixels.

    Raises:
        ValueError: when the landmarks are not (5, 2), not finite, or all in one place.
    """
    matrix = similarity(np.asarray(landmarks, np.float64), template(size, scale))
    return warp(image, matrix, size), matrix


def template(size: int, scale: float) -> Matrix:
    """Return the (5, 2) landmarks of a perfectly aligned face in a view of `size` pixels."""
    centred = (TEMPLATE + 0.5) / TEMPLATE_SIZE - 0.5
    return (centred / scale + 0.5) * size - 0.5


def similarity(source: Matrix, target: Matrix) -> Matrix:
    """Return the (2, 3) rotation, uniform scale and shift that bring (N, 2) source points nearest to the target points.

    Raises:
        ValueError: when the points are not finite or coincide.
    """
    if source.shape != target.shape or not np.isfinite(source).all():
        raise ValueError(f"landmarks: expected finite points of shape {target.shape}, got {source.shape}")
    centre, target_centre = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - centre).T
    u, v = (target - target_centre).T
    spread = float((x * x + y * y).sum())
    if spread < 1e-6:
        raise ValueError("landmarks: all points are in one place")
    cosine, sine = float((x * u + y * v).sum()) / spread, float((x * v - y * u).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([linear, (target_centre - linear @ centre)[:, None]])


def transform_points(matrix: Matrix, points: npt.ArrayLike) -> Floats:
    """Return (…, 2) points after a (2, 3) transform."""
    values = np.asarray(points, np.float64)
    return np.asarray(values @ matrix[:, :2].T + matrix[:, 2], np.float32)


def invert(matrix: Matrix) -> Matrix:
    """Return the (2, 3) transform that undoes a (2, 3) transform."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.hstack([linear, -(linear @ matrix[:, 2])[:, None]])


def warp(image: Picture, matrix: Matrix, size: int) -> Picture:
    """Return the (size, size[, 3]) view that a (2, 3) transform shows; what shrinks is averaged, so that it does not alias.

    Only the part of the picture that is seen is touched.
    """
    linear, shift = matrix[:, :2], matrix[:, 2]
    shrink = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    part, low = _seen(image, matrix, size, MARGIN_PX * max(1.0, shrink))
    shift = shift + linear @ low
    block = int(shrink)
    if block > 1:
        part = _block_means(part, block)
        shift = shift + linear @ np.full(2, block / 2 - 0.5)
        linear = linear * block
    both = np.hstack([linear, shift[:, None]])
    return np.asarray(cv2.warpAffine(part, both, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _seen(image: Picture, matrix: Matrix, size: int, margin_px: float) -> tuple[Picture, npt.NDArray[np.int64]]:
    """Return the part of a picture that a view shows, at least one pixel, and the (x, y) of its first pixel."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    spread = transform_points(invert(matrix), corners)
    end = np.array(image.shape[1::-1])
    low = np.clip(np.floor(spread.min(axis=0) - margin_px), 0, end - 1).astype(np.int64)
    high = np.clip(np.ceil(spread.max(axis=0) + margin_px) + 1, low + 1, end).astype(np.int64)
    return image[low[1] : high[1], low[0] : high[0]], low


def _block_means(part: Picture, block: int) -> Picture:
    """Return the means of square blocks of pixels; at the end, the last row and column fill a block up."""
    height, width = part.shape[:2]
    rows, columns = -(-height // block), -(-width // block)
    below, right = rows * block - height, columns * block - width
    if below or right:
        part = np.asarray(cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
