"""Draws contact sheets of synthetic people of both rendering families, a strip of one of them talking, and the scene events.

Run: python examples/puppet_contact_sheet.py OUTPUT_FOLDER [--people 12]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from veridical.puppets import FAMILIES, PuppetClip, Renderer, Scene, render_puppet, sample_identity

COLUMNS = 6
CROP = 2.7
"""Side of a face crop in the strip, in eye distances."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=12)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        people = [render_puppet(Renderer(sample_identity(seed, family)), seed, 1.2) for seed in range(arguments.people)]
        save(arguments.folder / f"puppets_{family}.jpg", mosaic([liveliest(clip) for clip in people]))
    talker = render_puppet(Renderer(sample_identity(16, "a")), 5, 2.0)
    save(arguments.folder / "puppets_talking.jpg", mosaic([face(talker, index) for index in range(10, 46, 3)]))
    renderer = Renderer(sample_identity(12, "a"))
    scenes = (Scene(occlusion=True), Scene(second_person=True), Scene(cut=True))
    moments = [render_puppet(renderer, seed, 2.0, scene).frames[26] for scene in scenes for seed in (1, 3)]
    save(arguments.folder / "puppets_scenes.jpg", mosaic(moments))


def liveliest(clip: PuppetClip) -> np.ndarray:
    """Return a frame with open eyes and a moving mouth."""
    score = clip.truth.mouth_opening - clip.performance.blink
    return clip.frames[int(np.argsort(score)[int(0.7 * len(score))])]


def face(clip: PuppetClip, index: int, side: int = 192) -> np.ndarray:
    """Return a crop around the true positions of eyes and mouth."""
    points = clip.truth.five[index]
    centre = (points[:2].mean(axis=0) + points[3:].mean(axis=0)) / 2
    scale = side / (CROP * np.linalg.norm(points[1] - points[0]))
    move = np.array([[scale, 0, side / 2 - scale * centre[0]], [0, scale, side / 2 - scale * centre[1]]])
    return cv2.warpAffine(clip.frames[index], move, (side, side), flags=cv2.INTER_CUBIC)


def mosaic(images: list[np.ndarray]) -> np.ndarray:
    """Return the images in rows; the last row is filled up with black."""
    blank = np.zeros_like(images[0])
    padded = images + [blank] * (-len(images) % COLUMNS)
    return np.vstack([np.hstack(padded[start : start + COLUMNS]) for start in range(0, len(padded), COLUMNS)])


def save(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85]):
        raise OSError(f"{path}: cannot be written")
    print(path)


if __name__ == "__main__":
    main()
