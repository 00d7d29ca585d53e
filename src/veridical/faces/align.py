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
    """Return the (size, size[, 3]) view that a (2, 3) transform shows; what shrinks is averaged, so that it does not alias."""
    shrink = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink > 2:
        height, width = image.shape[:2]
        new_width, new_height = max(round(width * 2 / shrink), 1), max(round(height * 2 / shrink), 1)
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
        back = np.array([width / new_width, height / new_height])
        shift = matrix[:, :2] @ (0.5 * back - 0.5) + matrix[:, 2]
        matrix = np.hstack([matrix[:, :2] * back, shift[:, None]])
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
