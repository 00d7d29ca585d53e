"""Made-up videos whose frames say their own number, and a detector that reads from them whether there is a face."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veridical import media
from veridical.artefacts import Manifest, Video
from veridical.clips import StoreSettings
from veridical.faces import Face, template
from veridical.preparation import Tools
from veridical.randomness import stream

SMALL = StoreSettings(crop_size=64)
FPS = 25
SIDE = 96
CORNERS = {"one": (128, 128, 128), "none": (0, 0, 255), "two": (255, 0, 0)}


class MarkerDetector:
    """Finds no, one or two faces, as the colour of the top left corner says."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        red, green, blue = (float(value) for value in image[2:10, 2:10].reshape(-1, 3).mean(axis=0))
        if blue > red + 60:
            return []
        places = [(8.0, 0.9)] if red <= green + 60 else [(8.0, 0.9), (50.0, 0.8)]
        return [_face(left, score) for left, score in places]


def _face(left: float, score: float) -> Face:
    size = 40.0
    corner = np.array([left, 30.0])
    return Face(
        np.array([*corner, *(corner + size)], np.float32), (template(size, 1.3) + corner).astype(np.float32), score
    )


class MarkerTools(Tools):
    """Real speech detection, marked faces."""

    def detector_for_video(self) -> MarkerDetector:
        return MarkerDetector()


class HangingDetector(MarkerDetector):
    """Hangs in the twentieth frame of a video, and leaves a file that says so."""

    def __init__(self, sign: Path) -> None:
        self.sign, self.num_frames = sign, 0

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        self.num_frames += 1
        if self.num_frames == 20:
            self.sign.touch()
            time.sleep(120)
        return super().detect(image)


class ToolsMaker:
    """Makes tools with a detector of its own for each video; picklable."""

    def __call__(self, settings: StoreSettings) -> MarkerTools:
        tools = MarkerTools(settings)
        tools.detector_for_video = self.detector  # type: ignore[method-assign]
        return tools

    def detector(self) -> MarkerDetector:
        raise NotImplementedError


@dataclass
class Hanging(ToolsMaker):
    """Makes tools that hang in videos of four seconds or more; picklable."""

    sign: Path

    def detector(self) -> MarkerDetector:
        return HangingDetector(self.sign)


@dataclass
class StuckAfter(ToolsMaker):
    """Makes tools that are stuck in the video after so many, and leave a file then, until the parent is gone; picklable."""

    videos: int
    sign: Path

    def detector(self) -> MarkerDetector:
        if self.videos == 0:
            parent = os.getppid()
            self.sign.touch()
            while os.getppid() == parent:
                time.sleep(0.1)
            os._exit(0)
        self.videos -= 1
        return MarkerDetector()


def grey_of(number: int) -> int:
    """Level of the frame with this number."""
    return 20 + 2 * (number % 100)


def number_of(crop: npt.NDArray[np.uint8]) -> float:
    """The number modulo 100 that a crop says, unrounded."""
    middle = crop[24:40, 24:40].astype(float)
    return (float(middle.mean()) - 20) / 2


def _pattern() -> npt.NDArray[np.int64]:
    """What the faces look like, so that they can be followed; nothing in the middle, where the number is read."""
    blocks = stream(0, "faces").integers(-20, 21, (SIDE // 8, SIDE // 8, 1)).repeat(8, axis=0).repeat(8, axis=1)
    for left in (8, 50):
        blocks[42:58, left + 12 : left + 28] = 0
    return blocks.repeat(3, axis=2)


def write_marked(
    path: Path,
    num_frames: int,
    *,
    faces: Callable[[float], str] = lambda _: "one",
    samples: npt.NDArray[np.float32] | None = None,
) -> Path:
    """A video at 25 frames a second; `faces` says for a time in seconds what the detector is to find."""
    pictures = []
    pattern = _pattern()
    for number in range(num_frames):
        picture = np.clip(grey_of(number) + pattern, 0, 255).astype(np.uint8)
        picture[:16, :16] = CORNERS[faces(number / FPS)]
        pictures.append(picture)
    media.write_video(path, pictures, fps=FPS, samples=samples, crf=4, preset="ultrafast", pixel_format="yuv444p")
    return path


def manifest_of(*paths: Path) -> Manifest:
    """The videos, named by their files."""
    return Manifest.from_videos([Video("toy", path.stem, str(path)) for path in paths])
