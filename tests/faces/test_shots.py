"""Cuts and movements: whether one shot goes on from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from veridical.faces.shots import OTHER_SHOT, SAME_SHOT, SeenFrame, continuity, shot_goes_on

NOWHERE = np.zeros((0, 4), np.float32)
BOX = np.array([[100, 60, 180, 140]], np.float32)


def picture(seed: int, shift: float = 0, light: float = 1, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A picture full of soft shapes, moved to the right."""
    noise = np.random.default_rng(seed).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    wide = cv2.resize(noise, (size[0] + 100, size[1]), interpolation=cv2.INTER_CUBIC)
    moved = cv2.warpAffine(wide, np.array([[1, 0, shift - 50], [0, 1, 0]], float), size)
    return np.clip(light * moved.astype(float), 0, 255).astype(np.uint8)


def seen(*arguments, **more) -> SeenFrame:
    return SeenFrame.of(picture(*arguments, **more))


def never():
    raise AssertionError("nothing is in doubt")


@pytest.mark.parametrize("boxes", [NOWHERE, BOX])
@pytest.mark.parametrize("shift", [0, 4, 12])
def test_a_movement_is_no_cut(boxes, shift):
    assert shot_goes_on(seen(1), seen(1, shift), boxes, never)


@pytest.mark.parametrize("boxes", [NOWHERE, BOX])
def test_another_picture_is_a_cut(boxes):
    assert not seen(1).is_still(seen(2))
    assert continuity(seen(1), seen(2), boxes) < SAME_SHOT
    assert not shot_goes_on(seen(1), seen(2), boxes, lambda: [picture(1), picture(1), picture(2)])


def test_in_doubt_the_frames_in_between_decide():
    """The light goes down within .2 s: a fade is no cut, a jump without frames in between may be one."""
    first, last = seen(1), seen(1, light=0.75)
    assert OTHER_SHOT <= continuity(first, last, BOX) < SAME_SHOT
    fade = [picture(1, light=light) for light in np.linspace(1, 0.75, 30)]
    assert shot_goes_on(first, last, BOX, lambda: fade)
    assert not shot_goes_on(first, last, BOX, lambda: fade[:2] + fade[-2:])
    assert not shot_goes_on(first, last, BOX, lambda: ())


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (300, 9), (40, 30)])
def test_frames_of_any_size_can_be_compared(size):
    one = SeenFrame.of(np.full((size[1], size[0], 3), 90, np.uint8))
    assert continuity(one, one, BOX) == pytest.approx(2)
    assert continuity(one, seen(1), BOX) == 0
