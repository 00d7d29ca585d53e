"""What thrifty detection loses and saves beside a search of every frame at full detection size.

    python benchmarks/thrifty_detection.py FOLDER [--every N]

Each video of the folder is taken as it is; every N-th also in scenes put together from it and another one: alone and small in a
wide black frame or in a small grey one, with a small or a large neighbour, with a neighbour who comes or goes, moving over a
still frame, and seen by a moving camera. Faces and tracks are counted over all videos of a scene; `same` says in how many both
methods find as many of both. Landmarks are compared where both find a face: the largest of five distances over the eye distance.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from veridical.clips import StoreSettings
from veridical.faces import FaceTrack, track_faces
from veridical.media import video_frames
from veridical.preparation import Tools

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"}
SETTINGS = StoreSettings()
Pictures = list[np.ndarray]


def sampled(path: Path) -> Pictures:
    """Return the frames that preparation samples, no larger than the detection size."""
    pictures = [frame.image for frame in video_frames(path, fps=SETTINGS.fps)]
    scale = SETTINGS.detection_size / max(pictures[0].shape)
    return [cv2.resize(one, None, fx=scale, fy=scale) for one in pictures] if scale < 1 else pictures


def put(canvas: np.ndarray, picture: np.ndarray, width: int, left: int, top: int) -> np.ndarray:
    """Return a copy of the canvas with the frame in it, made so wide."""
    height, result = round(width * picture.shape[0] / picture.shape[1]), canvas.copy()
    result[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return result


def scenes(first: Pictures, second: Pictures) -> Iterator[tuple[str, Pictures]]:
    pairs = list(zip(first, second, strict=False))
    black, grey = np.zeros((360, 640, 3), np.uint8), np.full((240, 320, 3), 90, np.uint8)
    noise = np.random.default_rng(0).normal(90, 6, black.shape).clip(0, 255).astype(np.uint8)
    for width in (64, 96, 160):
        yield f"alone, {width} of 640", [put(black, a, width, 470, 200) for a, _ in pairs]
        yield f"alone, {width} of 320", [put(grey, a, width, 20, 30) for a, _ in pairs]
    for share in (0.13, 0.18, 0.27):
        yield f"neighbour, {share:g} wide", [put(a, b, round(share * a.shape[1]), 0, 0) for a, b in pairs]
    one = [put(noise, a, 200, 20, 100) for a, _ in pairs]
    two = [put(picture, b, 140, 450, 60) for picture, (_, b) in zip(one, pairs, strict=True)]
    half = len(pairs) // 2
    yield "two", two
    yield "one comes", one[:half] + two[half:]
    yield "one goes", two[:half] + one[half:]
    yield "moving head", [put(noise, a, 160, 20 + 30 * k, 100) for k, (a, _) in enumerate(pairs[:14])]
    yield "moving camera", [np.roll(put(noise, a, 160, 20, 100), 25 * k, axis=1) for k, (a, _) in enumerate(pairs)]


class Comparison:
    """Faces, tracks, distances and cost of both methods in one kind of scene."""

    def __init__(self) -> None:
        self.videos = self.same = self.pictures = 0
        self.faces, self.tracks, self.seconds = [0, 0], [0, 0], [0.0, 0.0]
        self.distances: list[float] = []

    def add(self, pictures: Pictures, methods: Sequence[Callable[[], object]]) -> None:
        """Follow the faces of one video with both."""
        found: list[list[FaceTrack]] = []
        for place, method in enumerate(methods):
            began = time.process_time()
            timed = ((number / SETTINGS.fps, picture) for number, picture in enumerate(pictures))
            found.append(track_faces(timed, method()))  # type: ignore[arg-type]
            self.seconds[place] += time.process_time() - began
        counts = [(sum(track.num_detections for track in tracks), len(tracks)) for tracks in found]
        for place, (faces, tracks) in enumerate(counts):
            self.faces[place] += faces
            self.tracks[place] += tracks
        self.videos, self.same, self.pictures = (
            self.videos + 1, self.same + (counts[0] == counts[1]), self.pictures + len(pictures)
        )  # fmt: skip
        self.distances += [value for full in found[0] for value in distances(full, found[1])]

    def row(self) -> dict[str, object]:
        """Return what was found."""
        median, most = np.quantile(self.distances or [np.nan], (0.5, 0.95))
        cost = [round(1e3 * seconds / self.pictures, 1) for seconds in self.seconds]
        return {
            "videos": self.videos, "same": self.same, "faces": self.faces, "tracks": self.tracks,
            "landmarks": [round(float(median), 3), round(float(most), 3)], "ms": cost,
        }  # fmt: skip


def distances(full: FaceTrack, others: list[FaceTrack]) -> Iterator[float]:
    """Yield the largest distance of five landmarks over the eye distance, for each frame in which both see this face."""
    for time_s, points in zip(full.times, full.landmarks, strict=True):
        eyes = float(np.linalg.norm(points[1] - points[0]))
        apart = [
            float(np.linalg.norm(track.landmarks[place] - points, axis=1).max()) / eyes
            for track in others
            if abs(track.times[place := track.nearest(float(time_s))] - time_s) < 1e-6
        ]
        if apart and min(apart) < 1:
            yield min(apart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=16, help="scenes are put together from every N-th video")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"{arguments.folder}: no video in it")
    cv2.setNumThreads(1)
    full, thrifty = Tools(SETTINGS.model_copy(update={"thrifty_detection": False})), Tools(SETTINGS)
    methods = full.detector_for_video, thrifty.detector_for_video
    found: dict[str, Comparison] = {}
    for number, path in enumerate(paths):
        pictures = sampled(path)
        found.setdefault("as it is", Comparison()).add(pictures, methods)
        if number % arguments.every == 0:
            other = sampled(paths[(number + len(paths) // 5) % len(paths)])
            for name, scene in scenes(pictures, other):
                found.setdefault(name, Comparison()).add(scene, methods)
    print(f"{'':22} videos same     faces full, thrifty    tracks    landmarks 50 %, 95 %    ms full, thrifty")
    for name, comparison in found.items():
        row = comparison.row()
        print(f"{name:22}", *(f"{value!s:>16}" for value in row.values()), flush=True)
    print(json.dumps({name: comparison.row() for name, comparison in found.items()}))


if __name__ == "__main__":
    main()
