"""Measures recall of the face detector on turned heads: puppets, whose angles are known, and portraits, whose yaw is measured.

    python benchmarks/turned_heads.py [--portraits FOLDER] [--people N] [--sheet FILE.png]

Each face is detected at the full detection size and at the size that `veridical prepare` would choose for it, at which it has
some 48 pixels. Puppets are rendered at steps of one angle, the others zero; their heads are reliefs, so yaw ends at 45 and pitch
at 30 degrees. Every portrait must show exactly one face. FaceMesh measures its yaw, from the position of the nose between the
outer corners of the eyes, on the detection with the highest score, however low; portraits in which FaceMesh sees no face there
have a row of their own. `--sheet` draws the most turned and the missed faces for inspection. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from veridical.faces import CenterFaceDetector, DenseLandmarker, Face
from veridical.preparation.detection import ENOUGH_PX
from veridical.puppets import FAMILIES, Renderer, perform, sample_person

THRESHOLD = 0.5
FLOOR = 0.05
FULL = 640
NEAR = 0.35
"""Relative to the face's side: a detection whose landmarks centre this close to the true ones is correct."""
ANGLES = {"yaw": (-45, -30, -15, 0, 15, 30, 45), "pitch": (-30, -15, 0, 15, 30), "roll": (0, 15, 30, 45, 60, 90)}
BINS = (0, 15, 30, 45, 60, 90)
EYES, NOSE = (33, 263), 1
"""FaceMesh indices of the outer corners of the eyes and the tip of the nose."""
NOSE_DEPTH = 0.483
"""How far the tip lies in front of these corners in FaceMesh's canonical face, relative to their distance."""
TILE_PX = 128
MOST_TILES = 120


@dataclass(frozen=True, eq=False)
class Seen:
    """How well one face was detected."""

    group: str
    full: float
    """Best score at the full detection size; 0 if there is none in the right place."""
    small: float
    """The same at the size that preparation would choose."""
    tile: np.ndarray


class Searcher:
    """Detects one face at two detection sizes."""

    def __init__(self) -> None:
        self._full = CenterFaceDetector(FLOOR, detection_size=FULL)

    def best_detection(self, image: np.ndarray) -> Face | None:
        """Return the face with the best score."""
        return next(iter(self._full.detect(image)), None)

    def scores(self, image: np.ndarray, middle: np.ndarray, side: float) -> tuple[float, float]:
        """Return the best score beside a place, at full size and at that of preparation."""
        size = int(np.clip(np.ceil(ENOUGH_PX / side * max(image.shape[:2]) / 32) * 32, 64, FULL))
        detectors = self._full, CenterFaceDetector(FLOOR, detection_size=size)
        full, small = (best_near(detector.detect(image), middle, side) for detector in detectors)
        return full, small


def best_near(faces: list[Face], middle: np.ndarray, side: float) -> float:
    near = (face.score for face in faces if np.linalg.norm(face.landmarks.mean(axis=0) - middle) < NEAR * side)
    return max(near, default=0.0)


def puppets(people: int, searcher: Searcher) -> Iterator[Seen]:
    for family in FAMILIES:
        for number in range(people):
            person = sample_person("turned", number, family, 1)
            renderer = Renderer(person)
            for axis, degrees in ANGLES.items():
                angles = np.radians(degrees).astype(np.float32)
                still = perform([], len(angles), 5.0, person.temperament, number)
                zero = dict.fromkeys(("yaw", "pitch", "roll"), np.zeros(len(angles), np.float32))
                frames, truth = renderer.frames(replace(still, **{**zero, axis: angles}), number)
                upright = renderer.frames(replace(still, **zero), number)[1].outline[0]
                side = float(np.ptp(upright, axis=0).mean())
                for degree, frame, five in zip(degrees, frames, truth.five, strict=True):
                    scores = searcher.scores(frame, five.mean(axis=0), side)
                    yield Seen(f"{axis} {degree:+d}°", *scores, tile_of(frame, five.mean(axis=0), side))


def portraits(folder: Path, searcher: Searcher) -> Iterator[Seen]:
    mesh = DenseLandmarker()
    for path in sorted(folder.rglob("*.jpg")):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        face = searcher.best_detection(image)
        if face is None:
            middle, side = np.array(image.shape[1::-1]) / 2, max(image.shape[:2])
            yield Seen("nothing", 0.0, 0.0, tile_of(image, middle, side))
            continue
        points = mesh.landmarks(image, face)
        group = "FaceMesh sees no face" if points is None else bin_of(abs(yaw_degrees(points)))
        middle, side = face.landmarks.mean(axis=0), float(np.sqrt(face.area))
        yield Seen(group, *searcher.scores(image, middle, side), tile_of(image, middle, side))


def yaw_degrees(points: np.ndarray) -> float:
    """Return the yaw of (468, 2) landmarks, positive to the right of the image."""
    left, right = points[EYES[0]], points[EYES[1]]
    across = right - left
    aside = (points[NOSE] - (left + right) / 2) @ across / (across @ across)
    return float(np.degrees(np.arctan2(aside, NOSE_DEPTH)))


def bin_of(degrees: float) -> str:
    upper = next((edge for edge in BINS[1:] if degrees < edge), BINS[-1])
    return f"{BINS[BINS.index(upper) - 1]}–{upper}°"


def tile_of(image: np.ndarray, middle: np.ndarray, side: float) -> np.ndarray:
    low, high = np.floor(middle - 0.9 * side).astype(int), np.ceil(middle + 0.9 * side).astype(int)
    around = np.maximum([-low[1], high[1] - image.shape[0], -low[0], high[0] - image.shape[1]], 0)
    padded = cv2.copyMakeBorder(image, *(int(length) for length in around), cv2.BORDER_CONSTANT)
    part = padded[low[1] + around[0] : high[1] + around[0], low[0] + around[2] : high[0] + around[2]]
    return cv2.resize(part, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)


def table(seen: list[Seen]) -> list[dict[str, float | str]]:
    """Print recall by group, in order of first occurrence for puppets and of angle for portraits."""
    rows: list[dict[str, float | str]] = []
    for group in dict.fromkeys(item.group for item in seen):
        scores = np.array([(item.full, item.small) for item in seen if item.group == group])
        recall = (scores > THRESHOLD).mean(axis=0)
        rows.append({"group": group, "faces": len(scores), "full": round(recall[0], 3), "small": round(recall[1], 3),
                     "median score": round(float(np.median(scores[:, 0])), 3)})  # fmt: skip
        print(" ".join(f"{value!s:>22}" for value in rows[-1].values()))
    return rows


def sheet(seen: list[Seen], path: Path) -> None:
    """Draw faces with their scores, a red one for each that is missed."""
    tiles = []
    for item in seen[:MOST_TILES]:
        tile = item.tile.copy()
        is_missed = min(item.full, item.small) <= THRESHOLD
        for line, text in enumerate((item.group, f"{item.full:.2f} {item.small:.2f}")):
            place, colour = (2, 12 + 14 * line), (255, 60, 60) if is_missed else (60, 255, 60)
            cv2.putText(tile, text.replace("°", ""), place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 12)
    rows = [np.hstack(tiles[first : first + 12]) for first in range(0, len(tiles), 12)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, help="folder of JPEG portraits of one face each")
    parser.add_argument("--people", type=int, default=12, help="puppets of each family")
    parser.add_argument("--sheet", type=Path, help="PNG file of what was missed or is most turned")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    searcher = Searcher()
    print(" ".join(f"{name:>22}" for name in ("group", "faces", "full size", "48 pixels", "median score")))
    seen = list(puppets(arguments.people, searcher))
    report = {"puppets": table(seen)}
    if arguments.portraits:
        seen = sorted(portraits(arguments.portraits, searcher), key=lambda item: item.group)
        report["portraits"] = table(seen)
    if arguments.sheet:
        worth = [item for item in seen if min(item.full, item.small) <= THRESHOLD]
        worth += [item for item in reversed(seen) if min(item.full, item.small) > THRESHOLD]
        sheet(worth, arguments.sheet)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
