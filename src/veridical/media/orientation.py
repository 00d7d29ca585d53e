"""The display matrix of a video: rotations by quarter turns and mirrorings that a player applies, and so do we."""

from __future__ import annotations

import struct
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

IDENTITY = (1, 0, 0, 1)


def orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return (a, b, c, d) of a frame's display matrix, each rounded to -1, 0 or 1; the identity when there is none.

    A frame that was asked for its side data refers to itself and waits for the garbage collector: ask one, not all.

    A stored point (x, y), y down, is shown at (a x + c y, b x + d y), moved back into view.
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return IDENTITY
    values = struct.unpack_from("=9i", bytes(cast("Any", side_data)))
    a, b, c, d = (round(max(-1.0, min(1.0, values[i] / 65536))) for i in (0, 1, 3, 4))
    is_quarter_turn = abs(a * d - b * c) == 1 and abs(a) + abs(b) == 1
    return (a, b, c, d) if is_quarter_turn else IDENTITY


def swaps_sides(matrix: tuple[int, int, int, int]) -> bool:
    """Return whether width and height change places."""
    return matrix[0] == 0


def upright(image: npt.NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """Return a (H, W, C) image as a player shows it."""
    a, b, c, d = matrix
    if swaps_sides(matrix):
        image = image.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        image = image[:, ::-1]
    if d < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
