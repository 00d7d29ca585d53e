"""Face detection at the scale and in the part of a frame that a video needs, at a fraction of the cost of searching all of it.

The first frame with a face is searched at full detection size. When its smallest face is larger than the detector needs,
the following frames are searched at a quarter to four fifths of that size: the same for the whole shot, because landmarks
found at different scales differ by some percent of the eye distance, which would look like a jump. A frame that is smaller
than the detection size is enlarged only when it shows no face, or a small one, or the suspicion of a small one, as it is.

Where the faces fill little of the frame, and the frame around them looks as it did when all of it was searched last, only
the region around them is searched: where nothing has changed, no face has appeared.

A face that fills a frame, in a video cropped to it, is found when a border is put around the frame.

A frame in which fewer faces are found than before, and one frame every few seconds, is searched at full size again, and
the scale is chosen again when the faces call for it; so no face is lost that full size would find, except a small face that
appears and goes between two full searches while a large one stays, one beside a large face of which a frame that is
smaller than the detection size gives no suspicion, and one that hardly differs in brightness from what was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import Face, shrink

SHARES = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
"""Scales of the full detection size, the cheapest first; multiples of 32 pixels at 640, of which the network's input is made."""
ENOUGH_PX = 48.0
"""Side of a face in the searched frame from which a larger frame finds it no better (LOG.md, "decoding and detection")."""
SUSPICION = 0.2
"""Score from which something may turn out to be a face in a larger frame; some 1 % of frames have one beside their face."""
FULL_EVERY = 25
"""Frames between two searches at full size."""
MARGIN = 1.0
"""Margin, as a share of a face's side: how far around the faces of the last frame those of the next are looked for."""
BORDER = 0.3
"""Distance, as a share of a face's side: a face that comes this near to the region's border was not seen well enough."""
MOST_OF_FRAME = 0.6
"""A region larger than this share of the frame is not worth it."""
WIDER = 0.5
"""Of a frame's longer side: width of the border in which a face that fills the frame is looked for."""
FILLS = 0.4
"""Of a frame's shorter side: side of the smallest face that fills it."""
NUM_CELLS = 80
"""On a frame's longer side, in which surroundings are compared: two or three make the smallest face that can be found."""
CHANGE = 0.05
"""Difference of a cell's brightness (0 to 1) from which it shows something else; at .08 dim faces were missed."""

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class RegionDetector(Protocol):
    """Finds faces in one frame or in a part of it."""

    def detect(self, image: Frame, within: Floats | None = None) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB frame; of the part (x0, y0, x1, y1) only, where one is given."""


class ThriftyDetector:
    """Finds the faces of one video's frames, in order; make one per video.

    Args:
        detector_of: Gives the detector for a share of the full size, which finds faces and suspicions of faces; called
            often, so it must cache.
        full_size: Longer side in pixels of a frame resized to full size.
        threshold: Score above which it is a face.
    """

    def __init__(self, detector_of: Callable[[float], RegionDetector], full_size: int, threshold: float) -> None:
        self._detector_of, self._full_size, self._threshold = detector_of, full_size, threshold
        self._share = 1.0
        self._faces: list[Face] = []
        self._searched_whole: Floats | None = None
        self._since_full = 0

    def detect(self, image: Frame) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB frame."""
        self._since_full += 1
        detected: list[Face] | None = None
        if self._since_full < FULL_EVERY and self._faces:
            detected = self._search_region(image)
            if detected is None and self._share < 1.0:
                detected = self._search_whole(image)
        self._faces = self._search_fully(image) if detected is None else detected
        return self._faces

    def _search_region(self, image: Frame) -> list[Face] | None:
        """Return the faces around those of the last frame; None where that may not be all."""
        height, width = image.shape[:2]
        region = _around(self._faces, MARGIN).clip(0, [width, height, width, height])
        is_large = np.prod(region[2:] - region[:2]) > MOST_OF_FRAME * width * height
        if is_large or self._searched_whole is None or _has_changed(self._searched_whole, image, region):
            return None
        detected = self._sure(self._detector_of(self._share).detect(image, region))
        if len(detected) < len(self._faces):
            return None
        reached = _around(detected, BORDER).clip(0, [width, height, width, height])
        is_inside = np.all(reached[:2] >= region[:2]) and np.all(reached[2:] <= region[2:])
        return detected if is_inside else None

    def _search_whole(self, image: Frame) -> list[Face] | None:
        """Return the faces of the whole frame at the scale of the shot; None when there are fewer than before."""
        detected = self._sure(self._detector_of(self._share).detect(image))
        if len(detected) < len(self._faces):
            return None
        self._searched_whole = _cells(image)
        return detected

    def _search_fully(self, image: Frame) -> list[Face]:
        """Search at full size, choose the scale of the shot, and return the faces found at that scale."""
        was_large = self._searched_whole is None or self._share < 1.0
        self._since_full, self._searched_whole = 0, _cells(image)
        full = self._large_as_it_is(image) if was_large else None
        if full is None or self._share_for(full, image) == 1.0:  # the shot's scale is then full size, here too
            full = self._sure(self._detector_of(1.0).detect(image)) or self._filling(image)
        self._share = self._share_for(full, image)
        if self._share == 1.0:
            return full
        detected = self._sure(self._detector_of(self._share).detect(image))
        return detected if len(detected) >= len(full) else full

    def _filling(self, image: Frame) -> list[Face]:
        """Return the faces that fill a frame, found in the middle of a larger one: the detector expects room around a face."""
        border = round(WIDER * max(image.shape[:2]))
        wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
        detected = self._sure(self._detector_of(1.0).detect(np.asarray(wide, np.uint8)))
        large = [face for face in detected if face.area >= (FILLS * min(image.shape[:2])) ** 2]
        return [Face(face.box - border, face.landmarks - border, face.score) for face in large]

    def _large_as_it_is(self, image: Frame) -> list[Face] | None:
        """Return the faces of a frame that full size would enlarge; None unless all that may be faces are large enough."""
        enlargement = self._full_size / max(image.shape[:2])
        if enlargement <= 1:
            return None
        suspected = self._detector_of(1 / enlargement).detect(image)
        detected = self._sure(suspected)
        return detected if detected and _smallest(suspected) >= ENOUGH_PX else None

    def _sure(self, suspected: list[Face]) -> list[Face]:
        return [face for face in suspected if face.score > self._threshold]

    def _share_for(self, faces: list[Face], image: Frame) -> float:
        """Return the smallest share at which the smallest of the faces is still large enough."""
        if not faces:
            return 1.0
        smallest = _smallest(faces) * self._full_size / max(image.shape[:2])
        return next((share for share in SHARES if smallest * share >= ENOUGH_PX), 1.0)


def _smallest(faces: list[Face]) -> float:
    """Return the side of the smallest face in pixels."""
    return min(float(np.sqrt(max(face.area, 0.0))) for face in faces)


def _around(faces: list[Face], margin: float) -> Floats:
    """Return (4,) the smallest box that holds all faces, each with this much of its side around it."""
    grown = [
        face.box + margin * float(np.sqrt(max(face.area, 0.0))) * np.array([-1, -1, 1, 1], np.float32) for face in faces
    ]
    boxes = np.stack(grown)
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]).astype(np.float32)


def _has_changed(before: Floats, image: Frame, region: Floats) -> bool:
    """Return whether something outside a region looks different from the cells of before."""
    after = _cells(image)
    if before.shape != after.shape:
        return True
    changed = np.abs(before - after) > CHANGE
    scale = after.shape[1] / image.shape[1], after.shape[0] / image.shape[0]
    left, top, right, bottom = (region * [*scale, *scale]).astype(int)
    changed[top : bottom + 1, left : right + 1] = False
    return bool(changed.any())


def _cells(image: Frame) -> Floats:
    """Return the brightness, 0 to 1, of a frame's cells."""
    scale = NUM_CELLS / max(image.shape[:2])
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    return np.asarray(cv2.cvtColor(shrink(image, size), cv2.COLOR_RGB2GRAY) / 255, np.float32)
