"""Piecewise affine warps over a triangulation, and the regions, masks and pasting that visual forgeries share."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay

from veridical.forgery.footage import Frames

Triangles = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
SUBPIXEL_BITS = 4


class Region(NamedTuple):
    """A rectangle of a frame, in whole pixels; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in a frame."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def origin(self) -> npt.NDArray[np.float64]:
        """(2,) x, y of the top left pixel."""
        return np.array([self.x0, self.y0], np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.y1 - self.y0, self.x1 - self.x0


def region_around(points: npt.ArrayLike, margin: float, shape: tuple[int, ...]) -> Region:
    """Return the bounding rectangle of the points plus a margin in pixels, clipped to a frame of that shape.

    For a face outside the frame it still holds at least one pixel at the border.
    """
    array = np.asarray(points, np.float64)
    low, high = np.floor(array.min(0) - margin), np.ceil(array.max(0) + margin) + 1
    height, width = shape[:2]
    x0, y0 = int(np.clip(low[0], 0, width - 1)), int(np.clip(low[1], 0, height - 1))
    return Region(x0, y0, int(np.clip(high[0], x0 + 1, width)), int(np.clip(high[1], y0 + 1, height)))


def triangulate(points: npt.ArrayLike) -> Triangles:
    """Return (T, 3) indices of a Delaunay triangulation of (K, 2) points."""
    return np.asarray(Delaunay(np.asarray(points, np.float64)).simplices, np.int32)


def warp(
    frame: Frames, source: npt.ArrayLike, target: npt.ArrayLike, triangles: Triangles, region: Region
) -> tuple[Frames, Mask]:
    """Warp a frame so that its `source` points move onto the `target` points.

    Args:
        frame: (H, W, 3).
        source: (K, 2) points in `frame`.
        target: (K, 2) points in the warped frame.
        triangles: (T, 3) indices of points.
        region: Which part of the warped frame to compute.

    Returns:
        The region's pixels (h, w, 3), and where triangles cover it (h, w); elsewhere the pixels are meaningless.
    """
    origin = region.origin
    goal = np.asarray(target, np.float64) - origin
    affine, usable = _affine_per_triangle(np.asarray(source, np.float64), goal, triangles)
    index = _rasterise(goal, triangles[usable], region.shape)
    covered = index > 0
    coefficients = np.concatenate([np.zeros((1, 3, 2)), affine[usable]]).astype(np.float32)[index]
    ys, xs = np.mgrid[: region.shape[0], : region.shape[1]].astype(np.float32)
    where = coefficients[..., 0, :] * xs[..., None] + coefficients[..., 1, :] * ys[..., None] + coefficients[..., 2, :]
    warped = cv2.remap(frame, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return warped, covered


def _affine_per_triangle(
    source: npt.NDArray[np.float64], goal: npt.NDArray[np.float64], triangles: Triangles
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Return (T, 3, 2) coefficients C with (x, y, 1) @ C = source position, and which triangles are not degenerate."""
    corners = np.concatenate([goal[triangles], np.ones((len(triangles), 3, 1))], -1)
    usable = np.abs(np.linalg.det(corners)) > 1e-3
    corners[~usable] = np.eye(3)
    return np.linalg.solve(corners, source[triangles]), usable


def _rasterise(points: npt.NDArray[np.float64], triangles: Triangles, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Return (h, w): 1 + the index of the triangle that covers a pixel, 0 where none does."""
    index = np.zeros(shape, np.int32)
    fixed = np.round(points[triangles] * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for number, corners in enumerate(fixed, start=1):
        cv2.fillConvexPoly(index, corners, number, cv2.LINE_8, SUBPIXEL_BITS)
    return index


def polygon_mask(points: npt.ArrayLike, region: Region) -> Frames:
    """Return (h, w) uint8: 255 inside the polygon of (K, 2) points in pixels of the whole frame, else 0."""
    mask = np.zeros(region.shape, np.uint8)
    fixed = np.round((np.asarray(points, np.float64) - region.origin) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_8, SUBPIXEL_BITS)
    return mask


def paste(
    frame: Frames,
    mask: Frames,
    pixels: Floats,
    weight: Floats,
    view: npt.NDArray[np.float64],
    lowest_weight: float,
    interpolation: int,
) -> None:
    """Blend a view back into a frame, in place, and mark in `mask` where its weight is above `lowest_weight`.

    Args:
        frame: (H, W, 3).
        mask: (H, W).
        pixels: (h, w, 3) of the view, in grey levels.
        weight: (h, w) of the view, 0 to 1.
        view: (2, 3) matrix from view pixels to frame pixels.
        lowest_weight: Pixels with less weight stay untouched.
        interpolation: OpenCV flag for the pixels; the weight is interpolated linearly.
    """
    height, width = weight.shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]]) @ view.T
    region = region_around(corners, 1, frame.shape)
    placed = view.copy()
    placed[:, 2] -= region.origin
    size = region.shape[::-1]
    warped = cv2.warpAffine(pixels, placed, size, flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
    share = np.clip(cv2.warpAffine(weight, placed, size, flags=cv2.INTER_LINEAR), 0, 1)
    inside = share > lowest_weight
    original = frame[region.slices]
    mixed = original + (warped - original) * share[..., None]
    original[inside] = np.clip(np.round(mixed[inside]), 0, 255).astype(np.uint8)
    mask[region.slices] |= inside
