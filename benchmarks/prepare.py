"""Cost of preparation beside two scripts that do less, in CPU seconds per video, in one run on the same videos.

(a) the usual script: OpenCV reads every frame, the detector searches each sampled frame at full size, a PNG per face;
(b) PyAV decodes every frame, the same detector searches each sampled frame at the size `veridical prepare` uses, a JPEG per face;
(c) `veridical prepare`: the same and tracking, alignment, sound, speech detection, and clips encoded for the store.

    python benchmarks/prepare.py FOLDER [--limit N] [--h264 1920x1080]

Timed is everything up to the encoded faces, the fastest of three runs; that those of (c) are decoded to be counted is not.

With --h264 the videos are not those of the folder, but one film of ten seconds of that size, H.264 at crf 23: the first video
forth and back. The last line is one JSON object: CPU seconds per video, ratios, the share of sampled frames with a face, and
what ten million such videos need.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from veridical.clips import StoreSettings, decode_clips
from veridical.faces import CenterFaceDetector, Face, FaceDetector
from veridical.media import audio_samples, video_frames, write_video
from veridical.preparation.jobs import Job, Outcome, Setup, Worker, read_spool

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"}
SETTINGS = StoreSettings()
REPEATS = 3
Count = Callable[[], tuple[int, int]]


@dataclass
class Tally:
    """What a method cost and found."""

    cpu_s: float = 0.0
    pictures: int = 0
    with_face: int = 0

    def add(self, method: Callable[[Path], Count], path: Path) -> None:
        """Run a method on one video; what it returns counts the frames, and those with a face, and is not timed."""
        seconds = []
        for _ in range(REPEATS):
            began = time.process_time()
            count = method(path)
            seconds.append(time.process_time() - began)
        self.cpu_s += min(seconds)
        pictures, with_face = count()
        self.pictures += pictures
        self.with_face += with_face


def usual_script(path: Path, folder: Path, detectors: dict[int, FaceDetector]) -> Count:
    capture = cv2.VideoCapture(str(path))
    step = max(round((capture.get(cv2.CAP_PROP_FPS) or 25) / SETTINGS.fps), 1)
    number = pictures = with_face = 0
    while True:
        is_read, picture = capture.read()
        if not is_read:
            return lambda: (pictures, with_face)
        if number % step == 0:
            size = max(picture.shape[:2])
            if size not in detectors:
                detectors[size] = CenterFaceDetector(SETTINGS.detector_threshold, detection_size=size)
            found = detectors[size].detect(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            pictures, with_face = pictures + 1, with_face + bool(found)
            for rank, face in enumerate(found):
                cv2.imwrite(str(folder / f"{path.stem}_{number}_{rank}.png"), around(picture, face))
        number += 1


def plain_pyav(path: Path, detector: FaceDetector) -> Count:
    pictures = with_face = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        due_s = 0.0
        for frame in container.decode(stream):
            if frame.time is None or frame.time < due_s:
                continue
            due_s = (due_s or frame.time) + 1 / SETTINGS.fps
            picture = frame.to_ndarray(format="rgb24")
            found = detector.detect(picture)
            pictures, with_face = pictures + 1, with_face + bool(found)
            for face in found:
                cv2.imencode(".jpg", around(picture, face), [cv2.IMWRITE_JPEG_QUALITY, SETTINGS.jpeg_quality])
    return lambda: (pictures, with_face)


def ours(path: Path, worker: Worker, stored: dict[Path, int]) -> Count:
    outcome = worker(Job(0, path.stem, str(path)))
    return lambda: count(path, outcome, stored)


def count(path: Path, outcome: Outcome, stored: dict[Path, int]) -> tuple[int, int]:
    """Return the sampled frames and those with a face, and note how large the clips are."""
    if outcome.spool is None:
        return outcome.entry.num_dropped_windows * SETTINGS.num_frames, 0
    stored[path] = outcome.spool.stat().st_size
    clips = decode_clips(read_spool(outcome.spool))
    windows = len(clips) + outcome.entry.num_dropped_windows
    return windows * SETTINGS.num_frames, sum(int((clip.detector_score > 0).sum()) for clip in clips)


def film(source: Path, size: tuple[int, int], path: Path) -> Path:
    """Write ten seconds of a video, forth and back, cut to the shape and brought to the size."""
    pictures = [frame.image for frame in video_frames(source)]
    height, width = pictures[0].shape[:2]
    high, wide = min(height, width * size[1] // size[0]), min(width, height * size[0] // size[1])
    top, left = (height - high) // 2, (width - wide) // 2
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    parts = (pictures[order[n % len(order)]][top : top + high, left : left + wide] for n in range(250))
    large = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in parts)
    samples = audio_samples(source, rate_hz=44_100)
    sound = None if samples is None else np.resize(samples, 441_000)
    write_video(path, large, fps=25, samples=sound, sample_rate_hz=44_100, crf=23)
    return path


def ten_million(cpu_s: float, stored_bytes: float) -> dict[str, float]:
    """What ten million videos of this cost need, at one worker per core."""
    return {"core_hours": round(cpu_s * 1e7 / 3600), "terabytes": round(stored_bytes * 1e7 / 1e12, 2)}


def around(picture: np.ndarray, face: Face) -> np.ndarray:
    """The face with a margin, 256 pixels."""
    centre, side = face.box.reshape(2, 2).mean(axis=0), SETTINGS.crop_scale * float((face.box[2:] - face.box[:2]).max())
    low = np.maximum(np.round(centre - side / 2), 0).astype(int)
    high = np.maximum(np.round(centre + side / 2), low + 1).astype(int)
    part = picture[low[1] : high[1], low[0] : high[0]]
    return cv2.resize(part, (SETTINGS.crop_size, SETTINGS.crop_size)) if part.size else picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--h264", metavar="WIDTHxHEIGHT")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)[: arguments.limit]
    if not paths:
        raise SystemExit(f"{arguments.folder}: no video in it")
    cv2.setNumThreads(1)
    tallies = {name: Tally() for name in ("usual_script", "plain_pyav", "prepare")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.h264:
            width, height = (int(side) for side in arguments.h264.split("x"))
            paths = [film(paths[0], (width, height), folder / "film.mp4")]
        stored: dict[Path, int] = {}
        detectors: dict[int, FaceDetector] = {}
        detector = CenterFaceDetector(SETTINGS.detector_threshold, detection_size=SETTINGS.detection_size)
        worker = Setup(SETTINGS, folder)()
        methods: dict[str, Callable[[Path], Count]] = {
            "usual_script": lambda path: usual_script(path, folder, detectors),
            "plain_pyav": lambda path: plain_pyav(path, detector),
            "prepare": lambda path: ours(path, worker, stored),
        }
        for method in methods.values():
            method(paths[0])()
        for path in paths:
            for method_name, method in methods.items():
                tallies[method_name].add(method, path)
            print(path.name, {key: round(tally.cpu_s, 2) for key, tally in tallies.items()}, flush=True)
    cost = {key: round(tally.cpu_s / len(paths), 4) for key, tally in tallies.items()}
    report = {
        "videos": len(paths),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "cpu_s_per_video": cost,
        "times_faster_than_usual_script": round(cost["usual_script"] / cost["prepare"], 2),
        "times_faster_than_plain_pyav": round(cost["plain_pyav"] / cost["prepare"], 2),
        "share_of_pictures_with_face": {
            key: round(tally.with_face / max(tally.pictures, 1), 4) for key, tally in tallies.items()
        },
        "ten_million_videos": ten_million(cost["prepare"], sum(stored.values()) / len(paths)),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
