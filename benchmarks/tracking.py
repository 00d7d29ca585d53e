"""Measures the loss from detecting faces in every n-th frame only and interpolating in between, on real people and puppets.

    python benchmarks/tracking.py --videos FOLDER … [--limit 12] [--puppets 8] [--people FOLDER …] [--genuine FOLDER …]

Real videos have no ground truth: every frame is compared with the track from detecting in all frames at 25 fps, smoothed over
some 50 ms. Puppets are compared with the renderer's ground truth. Errors are distances relative to the eye distance; `jitter` is
the deviation of detecting in every frame from its own smoothed track. `mouth` is the distance of the mouth crops of a 5 fps store
(interpolated, smoothed over .1 s) from those of detecting in every frame, relative to the mouth's width. The last line is JSON.

`--people` cuts from the last frame of each video of a person to the first of each video of another one, and from one video of a
person to another, and counts those that become one track. `--genuine` prepares videos that show one person each, and counts the
windows kept and dropped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from veridical.clips import StoreSettings
from veridical.faces import CenterFaceDetector, Face, FaceTrack, overlap, select_track, track_faces
from veridical.media import UnusableVideoError, video_frames
from veridical.preparation import Tools, extract_clips
from veridical.preparation.motion import MOUTH_FPS, mouth_places
from veridical.puppets import FAMILIES, FPS, Renderer, Scene, render_puppet, sample_person

STEPS = (1, 2, 5)
RATES = (5, 25)
SCENES = {
    "plain": Scene(),
    "cut": Scene(cut=True),
    "second person": Scene(second_person=True),
    "occluded": Scene(occlusion=True),
}
SECONDS = 3.0


@dataclass
class Errors:
    """What was measured for one detection stride."""

    error: list[float] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)


class Remembering:
    """Detects the faces of each frame once, remembers them, and measures the cost."""

    def __init__(self) -> None:
        self.detector, self.memory, self.seconds = CenterFaceDetector(), {}, 0.0

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces of a frame that stays in memory."""
        key = id(image)
        if key not in self.memory:
            began = time.process_time()
            self.memory[key] = self.detector.detect(image)
            self.seconds += time.process_time() - began
        return self.memory[key]


def clips(arguments: argparse.Namespace) -> Iterator[tuple[str, list[np.ndarray], np.ndarray | None]]:
    """Yield (kind, frames at 25 fps, true landmarks (N, 5, 2) or None)."""
    files = [file for folder in arguments.videos for file in sorted(folder.rglob("*.mp[g4]"))]
    for place in np.unique(np.linspace(0, len(files) - 1, arguments.limit).astype(int)) if files else []:
        yield "real", [frame.image for frame in video_frames(files[place], fps=MOUTH_FPS, stop_s=10)], None
    for number in range(arguments.puppets):
        person = sample_person("tracking", number, list(FAMILIES)[number % len(FAMILIES)], 1)
        name = list(SCENES)[number % len(SCENES)]
        clip = render_puppet(Renderer(person), number, SECONDS, SCENES[name])
        yield f"puppets, {name}", list(clip.frames), clip.truth.five


def followed(images: list[np.ndarray], detector: Remembering, rate: int, every: int) -> FaceTrack:
    """Return the track of the dominant person at `rate` fps, with detection in every n-th frame."""
    step = MOUTH_FPS // rate
    frames = ((number / MOUTH_FPS, images[number]) for number in range(0, len(images), step))
    return select_track(track_faces(frames, detector, every=every))


def compare(errors: Errors, track: FaceTrack, reference: dict[int, tuple[np.ndarray, np.ndarray]]) -> None:
    """Add the errors of a track's smoothed landmarks, frame by frame."""
    own = {round(float(time_s) * MOUTH_FPS): place for place, time_s in enumerate(track.times)}
    for number, (box, landmarks) in reference.items():
        place = own.get(number)
        errors.seen.append(place is not None and float(overlap(box, track.boxes[place][None])[0]) >= 0.5)
        if errors.seen[-1]:
            apart = np.linalg.norm(track.smoothed_landmarks[place] - landmarks, axis=1).mean()
            errors.error.append(float(apart / np.linalg.norm(landmarks[1] - landmarks[0])))


def references(whole: FaceTrack, truth: np.ndarray | None, rate: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return reference box and landmarks by frame; boxes are those of detecting in every frame."""
    step = MOUTH_FPS // rate
    numbers = {round(float(time_s) * MOUTH_FPS): place for place, time_s in enumerate(whole.times)}
    return {
        number: (whole.boxes[place], whole.smoothed_landmarks[place] if truth is None else truth[number])
        for number, place in numbers.items()
        if number % step == 0 and whole.scores[place] > 0
    }


def mouth_errors(whole: FaceTrack, sparse: FaceTrack) -> np.ndarray:
    """Return how far the two tracks' mouth crops lie apart, over the mouth's width."""
    last = round(float(min(whole.times[-1], sparse.times[-1])) * MOUTH_FPS)
    one, other = mouth_places(whole, last), mouth_places(sparse, last)
    width = np.linalg.norm(one[:, 4] - one[:, 3], axis=1)
    return np.linalg.norm((one - other)[:, 3:].mean(axis=1), axis=1) / width


def cuts(folders: list[Path], limit: int) -> dict[str, float]:
    """Return how many cuts between two people, and between two videos of one person (a folder), become one track."""
    detector, ends = Remembering(), []
    for path in (file for folder in folders for file in sorted(folder.rglob("*.mp[g4]"))):
        images = [frame.image for frame in video_frames(path, fps=5)]
        if all(len(detector.detect(image)) == 1 for image in (images[0], images[-1])):
            ends.append((path.parent, images[0], images[-1]))
    pairs = list(itertools.permutations(range(len(ends)), 2))
    one_track: dict[bool, list[bool]] = {True: [], False: []}
    for number in np.random.default_rng(0).permutation(len(pairs))[:limit]:
        (person, _, last), (other, first, _) = (ends[place] for place in pairs[number])
        tracks = track_faces([(0.0, last), (0.2, first)], detector)
        one_track[person == other].append(len(tracks) == 1)
    same, apart = one_track[True], one_track[False]
    return {"two_people": len(apart), "false_merges": sum(apart), "one_person": len(same), "merged": sum(same)}


def windows(folders: list[Path]) -> dict[str, float]:
    """Return the windows that preparation keeps and drops of videos that show one person each."""
    settings = StoreSettings()
    tools, counts = Tools(settings), {"videos": 0, "kept": 0, "dropped": 0, "refused": 0}
    for path in (file for folder in folders for file in sorted(folder.iterdir())):
        try:
            found = extract_clips(path, path.name, settings, tools)
        except UnusableVideoError as error:
            print(f"{path.name}: {error.status}: {error.reason}")
            counts["refused"] += 1
            continue
        starts = {clip.start_s for clip in found.clips}
        for name, count in (("videos", 1), ("kept", len(starts)), ("dropped", found.num_dropped_windows)):
            counts[name] += count
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="folders of videos of talking people")
    parser.add_argument(
        "--people", type=Path, nargs="*", default=[], help="folders with a folder of videos for each person"
    )
    parser.add_argument("--genuine", type=Path, nargs="*", default=[], help="folders of videos of one person each")
    parser.add_argument("--cuts", type=int, default=10_000, help="cuts to try at most, of all pairs of videos")
    parser.add_argument("--limit", type=int, default=12, help="videos")
    parser.add_argument("--puppets", type=int, default=8, help="synthetic clips of 3 s")
    arguments = parser.parse_args()
    assert FPS == MOUTH_FPS
    results: dict[tuple[str, int, int], Errors] = {}
    jitter: dict[str, list[float]] = {}
    mouths: dict[str, list[float]] = {}
    seconds = frames_seen = 0.0
    for kind, images, truth in clips(arguments):
        detector = Remembering()
        whole = followed(images, detector, MOUTH_FPS, 1)
        for rate in RATES:
            for every in STEPS:
                errors = results.setdefault((kind, rate, every), Errors())
                compare(errors, followed(images, detector, rate, every), references(whole, truth, rate))
        eyes = np.linalg.norm(whole.landmarks[:, 1] - whole.landmarks[:, 0], axis=1)
        moved = np.linalg.norm(whole.landmarks - whole.smoothed_landmarks, axis=2).mean(axis=1) / eyes
        jitter.setdefault(kind, []).extend(moved[whole.scores > 0].tolist())
        mouths.setdefault(kind, []).extend(mouth_errors(whole, followed(images, detector, 5, 1)).tolist())
        seconds, frames_seen = seconds + detector.seconds, frames_seen + len(detector.memory)
    rows = []
    cost = 1e3 * seconds / max(frames_seen, 1)
    print(f"{cost:.1f} ms of one core to detect faces in a frame")
    for (kind, rate, every), errors in sorted(results.items()):
        mean, most = float(np.mean(errors.error)), float(np.quantile(errors.error, 0.95))
        recall = float(np.mean(errors.seen))
        rows.append({"kind": kind, "fps": rate, "every": every, "recall": recall, "error": mean, "error_p95": most})
        print(f"{kind:>24}, {rate:2d} fps, every {every}: recall {recall:.4f}, error mean {mean:.4f}, 95 % {most:.4f}")
    steady = {kind: float(np.mean(values)) for kind, values in jitter.items()}
    mouth = {kind: [float(np.mean(values)), float(np.quantile(values, 0.95))] for kind, values in mouths.items()}
    for kind in steady:
        print(f"{kind:>24}: jitter {steady[kind]:.4f}; mouth mean {mouth[kind][0]:.4f}, 95 % {mouth[kind][1]:.4f}")
    joined = cuts(arguments.people, arguments.cuts) if arguments.people else {}
    kept = windows(arguments.genuine) if arguments.genuine else {}
    for title, counts in (("cuts", joined), ("windows", kept)):
        if counts:
            print(f"{title}: {', '.join(f'{name} {count}' for name, count in counts.items())}")
    measured = {"rows": rows, "jitter": steady, "mouth": mouth, "cuts": joined, "windows": kept, "milliseconds": cost}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
