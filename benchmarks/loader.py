"""How fast the loader is: clips a second read and decoded, and varied besides, per core.

    python benchmarks/loader.py [STORE] [--clips 400]

Without a store one of coarse mosaics is made. Processor time is what counts: on a machine with other work the wall's clock says
little. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from veridical.artefacts import Manifest, Video
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.clips.augment import Augmentation
from veridical.clips.inputs import InputSettings, view_inputs

BATCH = 32


def make_store(path: Path, count: int) -> ClipStore:
    noise = np.random.default_rng(0)
    smooth = noise.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    videos = [Video(dataset="noise", video_id=f"v{i:04d}", path=f"{i}.mp4") for i in range(count)]
    store = ClipStore.create(path, StoreSettings(), Manifest.from_videos(videos))
    with ClipWriter(store.path) as writer:
        for video in videos:
            clip = Clip(
                video.video_id, 0.0, smooth, np.zeros((5, 4), np.float32), np.full((5, 5, 2), 128, np.float32),
                np.ones(5, np.float32), noise.normal(0, 3000, 16000).astype(np.int16), np.ones(50, bool),
            )  # fmt: skip
            writer.add(LedgerEntry(video.video_id, "ok", num_clips=1, has_audio=True, duration_s=1.0), [clip])
    return ClipStore.open(path)


def measure(store: ClipStore, count: int, threads: int, vary: bool) -> dict[str, float]:
    """Return clips a second by the wall's clock, and per second of processor time."""
    inputs = InputSettings(crop_size=store.settings.crop_size, fps=store.settings.fps)
    rows = np.random.default_rng(1).integers(0, len(store), (count // BATCH, BATCH))

    def load(batch: np.ndarray) -> None:
        clips = store.take(batch)
        if vary:
            view_inputs(clips, inputs, Augmentation(), seed=0, view=0)

    load(rows[0])
    wall, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(load, rows))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"per_second": rows.size / wall, "per_core_second": rows.size / processor}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", nargs="?", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        store = ClipStore.open(options.store) if options.store else make_store(Path(name) / "store", 200)
        found = {}
        for label, threads, vary in (("decoded", 1, False), ("varied", 1, True), ("varied, two threads", 2, True)):
            found[label] = measure(store, options.clips, threads, vary)
            rates = found[label]
            print(
                f"{label}: {rates['per_second']:.0f} clips/s, {rates['per_core_second']:.0f} per second of a core",
                flush=True,
            )
    print(json.dumps({label: {key: round(value, 1) for key, value in rates.items()} for label, rates in found.items()}))


if __name__ == "__main__":
    main()
