"""The head as a height field over a flat sheet: grid, outline, heights, normals and shadows in the neutral pose.

The neutral pose has eyes and mouth closed. The sheet covers x in [-1.75, 1.75] and y in [-2.25, 2.25] eye distances, with
`DENSITY` texels each. There are two height fields: a smooth one for parallax when the head turns, a detailed one for shading.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from veridical.puppets.identity import FaceShape

DENSITY = 72
"""Texels per eye distance."""
X_MAX, Y_MAX = 1.75, 2.25
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sheet:
    """Coordinates of the texels, in eye distances."""

    x: Array
    """(H, W)."""
    y: Array


def sheet() -> Sheet:
    """Return the texel coordinates of the whole sheet."""
    columns = np.linspace(-X_MAX, X_MAX, round(2 * X_MAX * DENSITY) + 1, dtype=np.float32)
    rows = np.linspace(-Y_MAX, Y_MAX, round(2 * Y_MAX * DENSITY) + 1, dtype=np.float32)
    x, y = np.meshgrid(columns, rows)
    return Sheet(x, y)


def bump(grid: Sheet, x: float, y: float, width: float, height: float, *, pair: bool = False) -> Array:
    """Return a Gaussian bump of height 1, with its mirror image if `pair`."""
    vertical = ((grid.y - y) / height) ** 2
    result = np.exp(-(((grid.x - x) / width) ** 2) - vertical)
    if pair:
        result = result + np.exp(-(((grid.x + x) / width) ** 2) - vertical)
    return np.asarray(result, np.float32)


def smoothstep(value: Array, low: float, high: float) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth transition in between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: float) -> Array:
    """Return smooth noise of about unit variance; `cells` is the number of bumps along the height."""
    rows = max(2, round(cells))
    columns = max(2, round(cells * shape[1] / shape[0]))
    small = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def coverage(field: Array, density: float = DENSITY) -> Array:
    """Return the antialiased coverage (0 to 1) of the region where a field is positive."""
    slope_y, slope_x = np.gradient(field, 1.0 / density)
    distance = field / np.sqrt(slope_x**2 + slope_y**2 + 1e-6)
    return np.asarray(np.clip(distance * density * 0.7 + 0.5, 0, 1), np.float32)


def head_field(grid: Sheet, shape: FaceShape, grow: float = 0.0) -> Array:
    """Return a field that is 1 in the middle of the face, 0 on the outline of skull and chin, negative outside."""
    lower = np.maximum(grid.y, 0) / (shape.chin_y + grow)
    upper = np.maximum(-grid.y, 0) / (-shape.crown_y + grow)
    across = np.abs(grid.x) / (shape.half_width + grow)
    return np.asarray(1 - across**2.2 - lower**shape.jaw_power - upper**2.5, np.float32)


def geometry(grid: Sheet, shape: FaceShape) -> Array:
    """Return the smooth height field for parallax; its slope stays below about 3, so that no part occludes another."""
    field = np.maximum(head_field(grid, shape, grow=0.25), -0.3)
    dome = shape.depth * (np.sqrt(np.maximum(field, 0) + 0.06) - 0.25)
    nose = shape.nose_height * 0.9 * bump(grid, 0, shape.nose_y - 0.08, 0.26, 0.34)
    return np.asarray(cv2.GaussianBlur(dome + nose, (0, 0), 3.0), np.float32)


def relief(grid: Sheet, shape: FaceShape, rng: np.random.Generator) -> Array:
    """Return the detailed height field for shading."""
    field = head_field(grid, shape)
    height = shape.depth * np.sqrt(np.maximum(field, 0) + 0.02)
    height += 0.07 * bump(grid, 0.42, shape.brow_y + 0.06, 0.36, 0.1, pair=True)
    height -= 0.17 * bump(grid, 0.47, -0.03, 0.27, 0.17, pair=True)
    height += 0.10 * bump(grid, 0.5, 0.0, 0.2, 0.13, pair=True)
    height += (0.08 + 0.05 * shape.cheeks) * bump(grid, 0.66, 0.45, 0.3, 0.26, pair=True)
    height -= 0.05 * bump(grid, 0.95, -0.6, 0.2, 0.35, pair=True)
    height += _nose(grid, shape)
    height += 0.09 * bump(grid, 0, shape.mouth_y, 0.42, 0.26)
    height -= 0.025 * bump(grid, 0, shape.mouth_y - 0.2, 0.05, 0.1)
    height -= 0.06 * bump(grid, 0, shape.mouth_y + 0.25, 0.24, 0.07)
    height += 0.10 * bump(grid, 0, shape.chin_y - 0.25, 0.26, 0.2)
    height += _age_marks(grid, shape)
    height += 0.0008 * noise(rng, field.shape, 150) + 0.0016 * noise(rng, field.shape, 45)
    return np.asarray(height, np.float32)


def normals(height: Array) -> tuple[Array, Array]:
    """Return the x and y components of the unit normals of a height field."""
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=DENSITY / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=DENSITY / 8)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    return -slope_x / length, -slope_y / length


def occlusion(height: Array) -> Array:
    """Return ambient occlusion: 1 on open surfaces, lower in hollows."""
    hollow = cv2.GaussianBlur(height, (0, 0), 0.13 * DENSITY) - height
    fine = cv2.GaussianBlur(height, (0, 0), 0.04 * DENSITY) - height
    return np.asarray(np.clip(1 - 2.2 * np.maximum(hollow, 0) - 3.0 * np.maximum(fine, 0), 0.35, 1), np.float32)


def cast_shadow(height: Array, direction: tuple[float, float, float], softness: float) -> Array:
    """Return how much light reaches each texel (1 lit, 0 in shadow), by marching towards the light."""
    lit = np.ones_like(height)
    flat = float(np.hypot(direction[0], direction[1])) or 1e-6
    rise = direction[2] / flat
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for step in np.linspace(0.03, 0.75, 26):
        offset = np.array([[1, 0, direction[0] / flat * step * DENSITY], [0, 1, direction[1] / flat * step * DENSITY]])
        moved = cv2.warpAffine(height, offset, height.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        above = moved - height - step * rise
        lit = np.minimum(lit, 1 - np.clip(above / (softness * (0.3 + step)), 0, 1))
    return np.asarray(cv2.GaussianBlur(lit, (0, 0), 1.0 + 6 * softness), np.float32)


def _nose(grid: Sheet, shape: FaceShape) -> Array:
    tip, wing = shape.nose_y, shape.nose_half_width
    along = smoothstep(grid.y, -0.35, tip) ** 1.2 * (1 - smoothstep(grid.y, tip - 0.01, tip + 0.23))
    width = 0.135 + 0.075 * smoothstep(grid.y, -0.1, tip)
    height = shape.nose_height * along * np.exp(-((grid.x / width) ** 2))
    height += 0.06 * bump(grid, 0, tip, 0.12, 0.1)
    height += 0.14 * bump(grid, wing, tip + 0.06, 0.085, 0.085, pair=True)
    height -= 0.05 * bump(grid, 0.09, tip + 0.13, 0.05, 0.03, pair=True)
    return np.asarray(height, np.float32)


def _age_marks(grid: Sheet, shape: FaceShape) -> Array:
    """Return the relief of nasolabial folds, bags under the eyes, forehead wrinkles and crow's feet."""
    t = (grid.y - shape.nose_y) / (shape.mouth_y - shape.nose_y + 0.1)
    line_x = shape.nose_half_width + 0.07 + 0.24 * t
    ends = smoothstep(t, -0.15, 0.15), 1 - smoothstep(t, 0.8, 1.3)
    fold = np.exp(-(((np.abs(grid.x) - line_x) / 0.045) ** 2)) * ends[0] * ends[1]
    marks = -(0.012 + 0.05 * shape.age) * fold
    marks += 0.03 * shape.age * bump(grid, 0.5, 0.24, 0.2, 0.06, pair=True)
    window = bump(grid, 0, -0.72, 0.65, 0.24)
    marks += 0.012 * shape.age**2 * window * np.sin(grid.y * 42 + 1.5 * np.cos(grid.x * 2.2))
    feet = bump(grid, 0.86, 0.02, 0.1, 0.14, pair=True)
    marks += 0.012 * shape.age**2 * feet * np.sin((grid.y + 0.15 * np.abs(grid.x)) * 70)
    return np.asarray(marks, np.float32)
