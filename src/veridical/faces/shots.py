"""Whether one shot goes on from one frame to the next: tells cuts from movement, so that a nod starts no new person.

A cut changes the colours of a frame and what it shows in a way that no movement explains. Two numbers between 0 and 1 are
added: the intersection of the colour histograms, and the correlation of the later frame with the earlier one after its optical
flow (DIS, Kroeger et al., 2016) is undone, around the faces. Where the sum leaves doubt, the frames in between decide: from one
frame of a video to the next a movement is small, and a cut is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from veridical.faces.align import Floats, Image
from veridical.faces.detect import shrink

STILL = 0.03
"""Mean absolute difference of 32 x 32 grey thumbnails (0 to 1) up to which nothing is a cut. On GRID: at most .016 within a
clip, at least .036 between two people in the same studio."""
SAME_SHOT = 1.82
"""Continuity from which the shot goes on. On GRID, 6 000 cuts between two people in the same studio reach at most 1.80."""
OTHER_SHOT = 1.3
"""Continuity below which there is a cut. Of 2 498 steps of .2 s within 68 ordinary clips the smallest is 1.39."""
COMPARED_SIZE = 160
"""Longer side in pixels of the frames compared."""
MARGIN = 0.5
"""Of a face's side: what counts as around it."""
COLOUR_BINS = (8, 4, 8)
"""Of hue, saturation and brightness."""
LEAST_PX = 16
"""Frames with a shorter side are compared without undoing the movement."""

Between = Callable[[float, float], Iterable[Image]]
"""Gives the frames of a video between two times, both excluded."""


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """What is kept of a frame to compare the next one with."""

    thumbnail: Floats
    """(32, 32) grey, 0 to 1."""
    small: Image
    """(h, w, 3) RGB, the longer side 160 pixels at most."""
    scale: float
    """Pixels of `small` in a pixel of the frame."""

    @staticmethod
    def of(image: Image) -> SeenFrame:
        """Return what is kept of an (H, W, 3) RGB frame."""
        height, width = image.shape[:2]
        scale = min(COMPARED_SIZE / max(height, width), 1.0)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = np.ascontiguousarray(image) if scale == 1 else shrink(image, size)
        return SeenFrame(np.asarray(shrink(image, (32, 32)).mean(axis=2) / 255, np.float32), small, scale)

    def is_still(self, after: SeenFrame) -> bool:
        """Return whether too little changes to be a cut."""
        return float(np.abs(self.thumbnail - after.thumbnail).mean()) <= STILL


def shot_goes_on(before: SeenFrame, after: SeenFrame, boxes: Floats, between: Callable[[], Iterable[Image]]) -> bool:
    """Return whether two frames belong to one shot.

    Args:
        before: The earlier frame.
        after: The later frame, of the same size.
        boxes: (N, 4) faces of both frames, in pixels of the frame; what is around them is compared, or all without a face.
        between: Gives the frames in between; asked only in doubt.
    """
    found = continuity(before, after, boxes)
    if not OTHER_SHOT <= found < SAME_SHOT:
        return found >= SAME_SHOT
    inside = [SeenFrame.of(image) for image in between()]
    steps = itertools.pairwise([before, *inside, after])
    return bool(inside) and all(continuity(one, other, boxes) >= SAME_SHOT for one, other in steps)


def continuity(before: SeenFrame, after: SeenFrame, boxes: Floats) -> float:
    """Return how well a movement explains the difference of two frames, up to 2; 0 for frames of different sizes."""
    if before.small.shape != after.small.shape:
        return 0.0
    earlier, later = (cv2.cvtColor(frame.small, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    rows, columns = _around(boxes * after.scale, later.shape[:2])
    moved = _moved(np.asarray(earlier, np.uint8), np.asarray(later, np.uint8))[rows, columns]
    return shared_colours(colours(before.small), colours(after.small)) + _correlation(moved, later[rows, columns])


def colours(image: Image) -> Floats:
    """Return the colour histogram of an (H, W, 3) RGB image, which sums to 1."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(COLOUR_BINS), [0, 180, 0, 256, 0, 256])
    return np.asarray(counts.ravel() / max(image.shape[0] * image.shape[1], 1), np.float32)


def shared_colours(one: Floats, other: Floats) -> float:
    """Return the intersection of two colour histograms, 0 to 1."""
    return float(np.minimum(one, other).sum())


def _moved(earlier: Image, later: Image) -> Image:
    """Return the earlier (h, w) grey frame with its movement towards the later one carried out."""
    height, width = later.shape
    if min(height, width) < LEAST_PX:
        return earlier
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(later, earlier, None)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = (x + flow[..., 0], y + flow[..., 1])
    return np.asarray(cv2.remap(earlier, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _around(boxes: Floats, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns around the boxes; all where there is no box in the frame."""
    whole = slice(0, shape[0]), slice(0, shape[1])
    if not len(boxes):
        return whole
    sides = MARGIN * np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 0))[:, None]
    low = np.floor((boxes[:, :2] - sides).min(axis=0)).astype(int).clip(0)
    high = np.ceil((boxes[:, 2:] + sides).max(axis=0)).astype(int).clip(0, shape[::-1])
    return (slice(low[1], high[1]), slice(low[0], high[0])) if (high - low).min() > 1 else whole


def _correlation(one: Image, other: Image) -> float:
    a, b = (part.astype(np.float32).ravel() - part.mean() for part in (one, other))
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 1e-3 else float(np.abs(one.astype(int) - other).max(initial=0) < 8)
