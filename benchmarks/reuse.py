"""What frozen-feature reuse saves: the contract recipe with and without it, side by side, same model, clips and epochs.

    python benchmarks/reuse.py [--videos 32] [--clips 4] [--precision 32-true]

The model is the contract's (EfficientNet-B3, wav2vec2-base) with random weights, since its hub weights may not be at hand: time
does not depend on their values. The clips are noise in video and audio. Each run does all 20 epochs, a validation of an eighth
of the training clips after each. The precision is the recipe's: bfloat16 where the processor has it. Both clocks are shown, the
wall's and that of the processor time that this process used: on a machine with other work only the second one compares. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veridical.artefacts import Manifest, Video
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.progress import Task, listening
from veridical.training import Recipe, read_recipe, train

SIZE = 256
Seconds = npt.NDArray[np.float64]
"""By the wall's clock, and of processor time."""


def now() -> Seconds:
    return np.array([time.perf_counter(), time.process_time()])


class EpochClock:
    """Listens to progress, and notes when each epoch has ended, its validation included."""

    def __init__(self) -> None:
        self.ends: list[Seconds] = []

    def start(self, description: str, total: float | None, unit: str) -> Task:
        """Take the task for itself."""
        return self

    def advance(self, steps: float = 1, **facts: object) -> None:
        """Ignore steps."""

    def finish(self, task: Task) -> None:
        """Ignore ends of tasks."""

    def say(self, message: str) -> None:
        """Take the time at the line that ends an epoch."""
        if re.match(r"stage video, epoch \d+:", message):
            self.ends.append(now())


def make_clip(video_id: str, second: int) -> Clip:
    noise = np.random.default_rng([second, *video_id.encode()])
    return Clip(
        video_id=video_id,
        start_s=float(second),
        frames=noise.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8),
        boxes=np.tile(np.array([[0, 0, 200, 200]], np.float32), (5, 1)),
        landmarks=np.full((5, 5, 2), 128, np.float32),
        detector_score=np.ones(5, np.float32),
        samples=noise.normal(0, 3000, 16000).astype(np.int16),
        speech=np.ones(50, bool),
    )


def make_store(path: Path, num_train: int, clips: int) -> ClipStore:
    num_val = max(2, num_train // 4)
    val_clips = max(1, round(num_train * clips / 8 / num_val))
    videos = [
        Video(
            dataset="noise", video_id=f"v{i:03d}", path=f"{i}.mp4", split="train" if i < num_train else "val", label=i % 2,
            visual_label=i % 2, audio_label=i % 2, generator="noise" if i % 2 else None, group=str(i), has_audio=True,
        )
        for i in range(num_train + num_val)
    ]  # fmt: skip
    store = ClipStore.create(path, StoreSettings(), Manifest.from_videos(videos))
    with ClipWriter(store.path) as writer:
        for video in videos:
            count = clips if video.split == "train" else val_clips
            made = [make_clip(video.video_id, second) for second in range(count)]
            entry = LedgerEntry(video.video_id, "ok", num_clips=count, has_audio=True, duration_s=float(count))
            writer.add(entry, made)
    return ClipStore.open(path)


def recipe(store: Path, views: int, reuse: bool, options: argparse.Namespace) -> Recipe:
    changes = ["model.video.weights=random", "model.audio.weights=random", "early_stopping.patience=20"]
    changes += [f"augmentation.views={views}", f"runtime.reuse_features={str(reuse).lower()}", f"data.store={store}"]
    changes += [f"runtime.precision={options.precision}", f"batches.videos={min(8, options.videos)}"]
    return read_recipe("contract-v1", changes)


def measure(store: Path, run: Path, views: int, reuse: bool, options: argparse.Namespace) -> tuple[Seconds, Seconds]:
    """Return the seconds of the whole run (2,), and of each epoch of stage 1 but the first (4, 2)."""
    clock, start = EpochClock(), now()
    with listening(clock):
        train(recipe(store, views, reuse, options), run)
    return now() - start, np.diff(np.stack(clock.ends), axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=32)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder / "store", options.videos, options.clips).path
        found = {}
        for label, views, reuse in (("K=1", 1, True), ("K=4", 4, True), ("direct", 4, False)):
            found[label] = measure(store, folder / label, views, reuse, options)
            for number, clock in enumerate(("wall", "processor")):
                whole, epochs = found[label][0][number], found[label][1][:, number]
                each = ", ".join(f"{seconds:.2f}" for seconds in epochs)
                print(f"{label}, {clock}: {whole:.1f} s for 20 epochs; stage 1, epochs 2 to 5: {each} s", flush=True)
            for table in folder.glob("store.features/*.lance"):  # the next run begins with nothing
                table.rename(folder / f"{label}-{table.name}")
    result = {}
    for number, clock in enumerate(("wall", "processor")):
        whole = {label: seconds[number] for label, (seconds, _) in found.items()}
        epoch = np.median(found["direct"][1][:, number])
        result |= {
            f"{clock}_stage_1_epoch_ratio_k1": epoch / np.median(found["K=1"][1][:, number]),
            f"{clock}_stage_1_epoch_ratio_k4": epoch / found["K=4"][1][-1, number],
            f"{clock}_recipe_ratio_k1": whole["direct"] / whole["K=1"],
            f"{clock}_recipe_ratio_k4": whole["direct"] / whole["K=4"],
        }
    print(json.dumps({name: round(float(value), 2) for name, value in result.items()}))


if __name__ == "__main__":
    main()
