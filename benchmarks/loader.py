"""Clips a second from a store to the tensors of training: read, decoded, varied; per core, and the same whatever the workers.

    python benchmarks/loader.py [STORE]

Without a store, one of synthetic clips is made for it. The way is that of training: rows in random order, `ClipStore.take`,
`view_inputs` with the default augmentation, in threads through `map_ahead`. CPU seconds are this process's own, so other jobs on
the machine disturb little. The tensors of every number of threads are compared by checksum. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from veridical.artefacts import Manifest, Video
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.devices import map_ahead
from veridical.inputs import Augmentation, ClipInputs, InputSettings, clip_inputs, view_inputs
from veridical.randomness import stream

BATCH = 16
VIDEOS, CLIPS_EACH = 20, 10


def made_up_store(path: Path) -> ClipStore:
    """Smooth frames with some noise, of the size and detail of faces, and noise for sound."""
    settings = StoreSettings()
    videos = [f"v{number:02d}" for number in range(VIDEOS)]
    ClipStore.create(path, settings, Manifest.from_videos([Video("made up", name, f"{name}.mp4") for name in videos]))
    with ClipWriter(path) as writer:
        for name in videos:
            writer.add(LedgerEntry(name, "ok"), [made_up_clip(name, float(k), settings) for k in range(CLIPS_EACH)])
    return ClipStore.open(path)


def made_up_clip(name: str, start_s: float, settings: StoreSettings) -> Clip:
    rng = stream(0, name, start_s)
    coarse = rng.integers(60, 190, (settings.num_frames, 32, 32, 3)).repeat(8, axis=1).repeat(8, axis=2)
    frames = np.clip(coarse + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)
    points = rng.uniform(0, 256, (settings.num_frames, 5, 2)).astype(np.float32)
    boxes = np.tile(np.array([0, 0, 100, 100], np.float32), (settings.num_frames, 1))
    samples = rng.integers(-3000, 3000, settings.num_samples).astype(np.int16)
    speech = np.ones(settings.num_speech_steps, bool)
    return Clip(name, start_s, frames, boxes, points, np.ones(settings.num_frames, np.float32), samples, speech)


def measure(store: ClipStore, varied: bool, threads: int) -> dict[str, float | str]:
    """Go through the store once and return clips a second, by the clock and per CPU second, and a checksum of the tensors."""
    inputs = InputSettings(crop_size=store.settings.crop_size, crop_scale=store.settings.crop_scale)
    rows = stream(0, "order").permutation(len(store))
    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]

    def load(batch: np.ndarray) -> ClipInputs:
        clips = store.take(batch, inputs.contents)
        return view_inputs(clips, inputs, Augmentation(), 0, 0) if varied else clip_inputs(clips, inputs)

    load(batches[0])
    digest, began, began_cpu = hashlib.blake2b(digest_size=8), time.perf_counter(), time.process_time()
    for tensors in map_ahead(load, batches, threads):
        digest.update(np.ascontiguousarray(tensors.frames[..., ::8, ::8].numpy()).tobytes())
        digest.update(np.ascontiguousarray(tensors.samples[:, ::16].numpy()).tobytes())
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    return {
        "clips_per_second": len(rows) / seconds,
        "clips_per_cpu_second": len(rows) / cpu_seconds,
        "checksum": digest.hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?", help="Folder of a clip store of the default settings.")
    given = parser.parse_args().store
    with tempfile.TemporaryDirectory() as folder:
        store = ClipStore.open(given) if given else made_up_store(Path(folder) / "store")
        threads = sorted({1, 2, os.cpu_count() or 1})
        found = {
            f"{'varied' if varied else 'middle crop'}, {count} threads": measure(store, varied, count)
            for varied in (False, True)
            for count in threads
        }
        print(f"{store}, {os.cpu_count()} cores")
        for name, figures in found.items():
            per_clock, per_cpu = (figures[key] for key in ("clips_per_second", "clips_per_cpu_second"))
            print(f"{name:>24}: {per_clock:6.0f} clips/s, {per_cpu:6.0f} per CPU second, tensors {figures['checksum']}")
        same = all(
            len({figures["checksum"] for name, figures in found.items() if name.startswith(kind)}) == 1
            for kind in ("varied", "middle")
        )
        print(json.dumps({"same_whatever_the_threads": same, "num_clips": len(store), "figures": found}))


if __name__ == "__main__":
    main()
