"""Measures the cost of each forgery in CPU seconds per second of video, on synthetic or real people, and draws example sheets.

    python benchmarks/forgeries.py [--family a|b] [--seconds 3] [--slow] [--sheet sheet.jpg]
    python benchmarks/forgeries.py --clips target.mp4 same_person.mp4 other_person.mp4 --sheet sheet.jpg

The sheet has a row per forgery: original, donor, severities 0, .5 and 1, and what was forged at .5 (audio: level over time and
frequency up to 8 kHz, and its change). The last line is one JSON object: CPU seconds per second of video for reading (detection
and landmarks), writing, and each forgery.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from veridical.forgery import FORGERIES, Footage, Forged, read_footage
from veridical.media import write_video
from veridical.puppets import render_corpus
from veridical.randomness import stream

TILE_PX = 168
SEVERITIES = (0.0, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="a")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--slow", action="store_true", help="include the forgeries that train a network")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument(
        "--clips", type=Path, nargs=3, help="a video, another of the same person, one of another person"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs, rows = measure(Path(folder), arguments)
    if arguments.sheet and rows:
        cv2.imwrite(str(arguments.sheet), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    for name, cost in costs.items():
        print(f"{name:26s} {cost:8.3f}")
    print(json.dumps({"unit": "CPU seconds per second of video", "costs": costs}))


def measure(folder: Path, arguments: argparse.Namespace) -> tuple[dict[str, float], list[np.ndarray]]:
    if not arguments.clips:
        render_corpus(
            folder, name="bench", num_identities=2, videos_per_identity=2, duration_s=arguments.seconds,
            family=arguments.family, seed=arguments.seed, workers=1,
        )  # fmt: skip
    paths = arguments.clips or sorted(folder.rglob("*.mp4"))[:3]
    start = time.process_time()
    target, same, other = (read_footage(path, max_seconds=arguments.seconds) for path in paths)
    costs = {"(read)": (time.process_time() - start) / sum(footage.duration_s for footage in (target, same, other))}
    start = time.process_time()
    write_video(folder / "written.mp4", target.frames, fps=target.fps, samples=target.samples, crf=23)
    costs["(write)"] = (time.process_time() - start) / target.duration_s
    rows = []
    for name, forgery in FORGERIES.items():
        if forgery.slow and not arguments.slow:
            continue
        donor = {"none": None, "other_speaker": other, "same_speaker": same}[forgery.donor]
        start = time.process_time()
        results = [forgery.function(target, donor, severity, stream(0, name)) for severity in SEVERITIES]
        costs[name] = (time.process_time() - start) / len(results) / target.duration_s
        rows.append((video_row if forgery.visual else audio_row)(name, target, donor, results))
    return {name: round(cost, 4) for name, cost in costs.items()}, rows


def video_row(name: str, target: Footage, donor: Footage | None, results: list[Forged]) -> np.ndarray:
    """Return one row of the sheet, at the frame that is changed most."""
    change = [np.abs(results[1].frames[n].astype(np.int16) - target.frames[n]).mean() for n in range(len(target))]
    n = int(np.argmax(change))
    tiles = [tile(target, n, target.frames[n])]
    tiles.append(
        np.full_like(tiles[0], 255) if donor is None else tile(donor, n % len(donor), donor.frames[n % len(donor)])
    )
    tiles += [tile(target, n, forged.frames[n]) for forged in results]
    tiles.append(tile(target, n, np.repeat(results[1].mask[n][..., None] * 255, 3, axis=-1)))
    return labelled(name, tiles)


def audio_row(name: str, target: Footage, donor: Footage | None, results: list[Forged]) -> np.ndarray:
    """Return one row of the sheet for an audio forgery."""
    own = level_db(target.samples)
    tiles = [grey(own)]
    tiles.append(np.full_like(tiles[0], 255) if donor is None else grey(level_db(donor.samples[: len(target.samples)])))
    tiles += [grey(level_db(forged.samples)) for forged in results]
    tiles.append(grey(np.abs(level_db(results[1].samples) - own) * 2 - 40))
    return labelled(name, tiles)


def level_db(samples: np.ndarray) -> np.ndarray:
    """Return (F, T) levels in dB, high frequencies first."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * np.hanning(400)
    return 20 * np.log10(np.abs(np.fft.rfft(windows, axis=1)).T[::-1] + 1e-3)


def grey(levels_db: np.ndarray) -> np.ndarray:
    """Return a tile: -40 dB is black, 30 dB white."""
    image = np.clip((levels_db + 40) / 70, 0, 1) * 255
    shrunk = cv2.resize(image.astype(np.uint8), (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    return np.repeat(shrunk[..., None], 3, axis=2)


def labelled(name: str, tiles: list[np.ndarray]) -> np.ndarray:
    """Return the tiles side by side, the first labelled with a name."""
    for colour, thickness in (((255, 255, 255), 3), ((0, 0, 0), 1)):
        cv2.putText(tiles[0], name, (4, TILE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness, cv2.LINE_AA)
    return np.hstack(tiles)


def tile(footage: Footage, n: int, image: np.ndarray) -> np.ndarray:
    """Return a square crop around the face."""
    points = footage.landmarks[n]
    low, high = points.min(0), points.max(0)
    centre, side = (low + high) / 2, 1.45 * float((high - low).max())
    scale = TILE_PX / side
    matrix = np.array([[scale, 0, TILE_PX / 2 - scale * centre[0]], [0, scale, TILE_PX / 2 - scale * centre[1]]])
    return cv2.warpAffine(image, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
