"""A drawn face that the detector and FaceMesh take for one, so that no test needs a photograph."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

SKIN, HAIR, LIPS, BACKGROUND = (205, 160, 135), (60, 42, 30), (165, 75, 75), (90, 130, 150)
LANDMARKS = np.array([[-0.5, -0.28], [0.5, -0.28], [0.0, 0.22], [-0.32, 0.62], [0.32, 0.62]])
"""(5, 2) of the drawn face in units of half its width, from its centre."""


def draw_face(
    width: int = 320,
    height: int = 240,
    *,
    centre: tuple[float, float] = (160, 120),
    half_width: float = 50,
    skin: tuple[int, int, int] = SKIN,
    hair: tuple[int, int, int] = HAIR,
    image: np.ndarray | None = None,
) -> np.ndarray:
    """Return a (height, width, 3) RGB image with one face, drawn at four times the size and shrunk."""
    k = 4
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8) if image is None else image
    big = cv2.resize(canvas, None, fx=k, fy=k, interpolation=cv2.INTER_NEAREST)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(k * (centre[0] + x * half_width)), round(k * (centre[1] + y * half_width))

    def oval(x: float, y: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        axes = (max(round(k * a * half_width), 1), max(round(k * b * half_width), 1))
        cv2.ellipse(big, at(x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    shade = tuple(int(0.8 * c) for c in skin)
    oval(0, -0.35, 1.15, 1.25, hair)
    oval(0, 1.5, 0.5, 0.6, shade)
    oval(0, 0, 1.0, 1.35, skin)
    for side in (-1, 1):
        oval(side * 0.5, -0.28, 0.24, 0.13, (245, 245, 245))
        oval(side * 0.5, -0.28, 0.11, 0.11, (50, 35, 25))
        oval(side * 0.5, -0.55, 0.3, 0.06, hair)
        oval(side * 0.12, 0.3, 0.07, 0.04, tuple(int(0.45 * c) for c in skin))
    oval(0, 0.15, 0.1, 0.22, tuple(min(int(1.08 * c), 255) for c in skin))
    oval(0, 0.33, 0.17, 0.04, shade)
    oval(0, 0.62, 0.34, 0.12, LIPS)
    oval(0, 0.62, 0.28, 0.02, (70, 25, 25))
    big = cv2.GaussianBlur(big, (0, 0), k * half_width / 60)
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def drawn() -> SimpleNamespace:
    return SimpleNamespace(face=draw_face, landmarks=LANDMARKS)
