"""Face detection at the scale a video needs: large faces are found as well in a smaller picture, at a fraction of the cost.

The first picture with a face is searched at full detection size. When its smallest face is larger than the detector needs,
the following pictures are searched at a quarter to three quarters of that size: the same for the whole shot, because landmarks
found at different scales differ by some percent of the eye distance, which would look like a jump. A picture in which fewer
faces are found than before, and one picture every few seconds, is searched at full size again, and the scale is chosen anew
when the faces call for it; so nobody is lost who would be found at full size, except a small face that appears and goes
between two full searches while a large one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from veridical.faces import Face

SHARES = (0.25, 0.3125, 0.375, 0.5, 0.625, 0.75)
"""Of the full detection size, the cheapest first."""
ENOUGH_PX = 48.0
"""Side of a face in the searched picture from which a larger picture finds it no better (LOG.md, "decoding and detection")."""
FULL_EVERY = 25
"""Pictures between two searches at full size."""


class Detector(Protocol):
    """Whatever finds faces in one picture."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB picture."""


class ThriftyDetector:
    """Finds the faces of one video's pictures, in order; make one per video.

    Args:
        detector_of: Gives the detector for a share of the full size; called often, so it must remember.
        scale_of: Gives network pixels per picture pixel at full size, for a picture's longer side.
    """

    def __init__(self, detector_of: Callable[[float], Detector], scale_of: Callable[[int], float]) -> None:
        self._detector_of, self._scale_of = detector_of, scale_of
        self._share = 1.0
        self._num_faces = 0
        self._since_full = 0

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB picture."""
        self._since_full += 1
        found: list[Face] | None = None
        if self._share < 1.0:
            found = self._detector_of(self._share).detect(image)
            if len(found) >= self._num_faces and self._since_full < FULL_EVERY:
                self._num_faces = len(found)
                return found
        self._since_full = 0
        full = self._detector_of(1.0).detect(image)
        before, self._share = self._share, self._share_for(full, image)
        self._num_faces = len(full)
        if self._share == 1.0:
            return full
        if found is None or before != self._share:
            found = self._detector_of(self._share).detect(image)
        return found if len(found) >= len(full) else full

    def _share_for(self, faces: list[Face], image: npt.NDArray[np.uint8]) -> float:
        """Return the smallest share at which the smallest of the faces is still large enough."""
        if not faces:
            return 1.0
        smallest = min(float(np.sqrt(max(face.area, 0.0))) for face in faces) * self._scale_of(max(image.shape[:2]))
        return next((share for share in SHARES if smallest * share >= ENOUGH_PX), 1.0)
