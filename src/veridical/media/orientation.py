"""From stored frames to frames as a player shows them: square pixels, upright, all of one size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

IDENTITY = (1, 0, 0, 1)
MAX_PIXEL_ASPECT = 5
"""Pixels said to be longer than this are a damaged header."""


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


@dataclass(frozen=True)
class Shape:
    """How the frames of a video are shown; the first one decides, as the window of a player does."""

    width: int
    """Of stored frames with square pixels, before they are turned."""
    height: int
    turn: tuple[int, int, int, int] = IDENTITY
    """Display matrix."""

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height of what is shown."""
        return (self.height, self.width) if swaps_sides(self.turn) else (self.width, self.height)

    def fits(self, frame: av.VideoFrame, pixel_aspect: Fraction | None) -> bool:
        """Return whether a frame is of this size."""
        return square_size(frame.width, frame.height, pixel_aspect) == (self.width, self.height)

    def image(self, frame: av.VideoFrame, pixel_aspect: Fraction | None) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) RGB as shown; a frame of other proportions gets black bars."""
        size = square_size(frame.width, frame.height, pixel_aspect)
        if size == (self.width, self.height) == (frame.width, frame.height):
            return upright(np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8), self.turn)
        share = min(self.width / size[0], self.height / size[1])
        width, height = (
            whole if abs(length * share - whole) < 2 else round(length * share)
            for length, whole in zip(size, (self.width, self.height), strict=True)
        )
        scaled = frame.reformat(width, height, interpolation="BICUBIC", threads=1)
        image = np.zeros((self.height, self.width, 3), np.uint8)
        left, top = (self.width - width) // 2, (self.height - height) // 2
        image[top : top + height, left : left + width] = scaled.to_ndarray(format="rgb24", threads=1)
        return upright(image, self.turn)


def shape(frame: av.VideoFrame, pixel_aspect: Fraction | None) -> Shape:
    """Return how a video is shown whose first frame is this."""
    return Shape(*square_size(frame.width, frame.height, pixel_aspect), orientation(frame))


def square_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Return the size of a frame in square pixels: its short pixels are stretched, so that nothing is lost."""
    if not pixel_aspect or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width, height
    if pixel_aspect > 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)
