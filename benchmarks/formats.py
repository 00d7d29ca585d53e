"""Formats × decoded exactly: films whose frames carry their number are written in every format and read back.

    python -m benchmarks.formats

Prints a Markdown table. `all`: every frame at its time; `sampled`: the frames of 5, 1.3 and 11 fps equal, bit by bit, those
picked from all; `decoded`: frames decoded for 5 fps, of those in the film. The last line is one JSON object.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tests.media.conftest import number_of, write_film
from tests.media.test_frames import B_FRAMES, FORMATS
from tests.media.test_sampling import TRAPS, moving

from veridical.media import probe, video_frames
from veridical.media.container import Clock

COUNT = 60
LARGE: dict[str, dict[str, Any]] = {
    "h264-4k.mp4": {"options": {**B_FRAMES, "preset": "ultrafast"}, "size": (3840, 2160)},
    "hevc-10-bit-4k.mkv": {
        "codec": "libx265",
        "options": {"x265-params": "log-level=none:bframes=3", "preset": "ultrafast"},
        "pixel_format": "yuv420p10le",
        "size": (3840, 2160),
    },
}


def row(path: Path, expected_s: np.ndarray) -> tuple[str, bool, bool, int]:
    """Return what a film is, whether all and the sampled frames are right, and how many were decoded for 5 fps."""
    facts = probe(path)
    whole = list(video_frames(path))
    numbers = [number_of(frame.image) for frame in whole]
    first = numbers[0]
    times = np.array([frame.time_s for frame in whole])
    is_exact = numbers == list(range(first, first + len(expected_s))) and np.allclose(times, expected_s, atol=1.1e-3)
    is_same = all(same(whole, path, fps) for fps in (5.0, 1.3, 11.0))
    with mock.patch.object(Clock, "read", autospec=True, side_effect=Clock.read) as read:
        list(video_frames(path, fps=5))
    what = f"{path.name} | {facts.codec} {facts.pixel_format} {facts.width}x{facts.height}"
    return what, is_exact, is_same, read.call_count


def same(whole: list[Any], path: Path, fps: float) -> bool:
    """Say whether the sampled frames are those on display at k/fps."""
    sampled = list(video_frames(path, fps=fps))
    due = [[item for item in whole if item.pts_s <= frame.time_s + 1e-3][-1] for frame in sampled]
    return all(np.array_equal(a.image, b.image) for a, b in zip(sampled, due, strict=True))


def films(folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """Write the films and yield each with the times of its frames, seconds from the first that is shown."""
    for name, options in {**FORMATS, **TRAPS, **LARGE}.items():
        count = 12 if name in LARGE else COUNT
        path = write_film(folder / name, **{"count": count, "picture": moving, **options})
        ticks = np.array([tick for tick in options.get("pts", range(count)) if tick >= 0])
        yield path, (ticks - ticks[0]) / 25


def main() -> None:
    results = []
    print("| file | codec, pixels | all | sampled | decoded |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path, expected_s in films(Path(folder)):
            what, is_exact, is_same, decoded = row(path, expected_s)
            results.append((is_exact, is_same))
            verdicts = ["exact" if verdict else "**wrong**" for verdict in (is_exact, is_same)]
            print(f"| {what} | {' | '.join(verdicts)} | {decoded} of {len(expected_s)} |", flush=True)
            path.unlink()
    exact, sampled = (sum(column) for column in zip(*results, strict=True))
    print(json.dumps({"formats": len(results), "exact": exact, "sampled_exact": sampled}))


if __name__ == "__main__":
    main()
