"""The camera: blur, vignette, exposure, tone curve and sensor noise turn linear light into 8-bit pictures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from veridical.puppets.anatomy import Array
from veridical.puppets.identity import Identity
from veridical.randomness import stream

_MARGIN = 64


class Camera:
    """The camera of one identity, for one clip."""

    def __init__(self, identity: Identity, seed: int) -> None:
        studio = identity.studio
        self._studio = studio
        self._rng = stream(seed, "camera")
        rows, columns = np.mgrid[0 : studio.height, 0 : studio.width].astype(np.float32)
        radius = np.hypot(rows / studio.height - 0.5, (columns - studio.width / 2) / studio.height)
        gain = (1 - studio.vignette * np.clip(radius / 0.75, 0, 1.2) ** 2)[..., None] * np.asarray(
            studio.tint, np.float32
        )
        self._gain = (gain * studio.exposure).astype(np.float32)
        size = (studio.height + _MARGIN, studio.width + _MARGIN)
        grey = self._rng.standard_normal((*size, 1), dtype=np.float32)
        colour = self._rng.standard_normal((*size, 3), dtype=np.float32)
        grain = 0.8 * grey + 0.5 * colour
        if studio.noise > 2.5:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * 1.7
        self._noise = (grain * (0.6 * studio.noise)).astype(np.float32)
        self._flicker = 1.0

    def expose(self, light: Array) -> npt.NDArray[np.uint8]:
        """Return the picture (H, W, 3) uint8 of linear light (H, W, 3); call once per frame, in order."""
        studio = self._studio
        self._flicker += 0.2 * (1 - self._flicker) + 0.004 * float(self._rng.standard_normal())
        picture = cv2.GaussianBlur(light, (0, 0), studio.sharpness_px) if studio.sharpness_px > 0.3 else light
        picture = picture * (self._gain * np.float32(self._flicker))
        picture = picture * (1.0 / (1.0 + 0.22 * picture)) * np.float32(1.12)
        picture = (
            cv2.sqrt(np.maximum(picture, 0))
            if abs(studio.gamma - 1) < 0.02
            else cv2.pow(np.maximum(picture, 0), 0.5 * studio.gamma)
        )
        dy, dx = (int(value) for value in self._rng.integers(0, _MARGIN, 2))
        grain = self._noise[dy : dy + studio.height, dx : dx + studio.width]
        picture = cv2.add(picture * np.float32(255), grain)
        return np.asarray(cv2.convertScaleAbs(np.maximum(picture, 0)), np.uint8)
