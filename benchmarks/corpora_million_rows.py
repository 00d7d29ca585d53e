"""Scan-sized tables: group, split and prove one million videos; time and peak memory.

    python benchmarks/corpora_million_rows.py

Four made-up corpora of a million videos each. `pairs`: two people swap faces in four methods at three compressions
(as in FaceForensics++). `singles`: every video is its own group. `families`: groups of random sizes with random
fakes, so that nearly every group has its own counts. `one component`: everyone is tied to everyone, people must be
split. Each is split by shares; `families` by every other scheme too (its official split was drawn for each video, so
that nearly all groups leak). The last line is JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa

from veridical.artefacts import MANIFEST_SCHEMA, Manifest
from veridical.corpora import split

NUM_VIDEOS = 1_000_000
LIMIT_S, LIMIT_GB = 60.0, 4.0


def manifest(people: np.ndarray, donors: np.ndarray, generator: np.ndarray, compression: np.ndarray) -> Manifest:
    """Build a manifest from arrays; generator "" is real."""
    count = len(people)
    label = (generator != "").astype(np.int8)
    names = np.char.add("p", np.stack([people, np.where(label == 1, donors, people)], axis=1).astype(str))
    lengths = np.where(label == 1, 2, 1)
    flat = names.ravel()[np.repeat(np.arange(count), 2) * 2 + np.tile([0, 1], count)]
    flat = flat[np.tile([0, 1], count) < np.repeat(lengths, 2)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    place = np.array(["train", "val", "test"])[np.random.default_rng(1).choice(3, size=count, p=(0.8, 0.1, 0.1))]
    attributes = pa.MapArray.from_arrays(
        np.arange(0, 2 * count + 1, 2, dtype=np.int32), pa.array(["target", "official_split"] * count),
        pa.array(np.stack([names[:, 0], place], axis=1).ravel().tolist()),
    )  # fmt: skip
    columns = {
        "dataset": pa.array(np.full(count, "bench")),
        "video_id": pa.array(np.char.add("bench/", np.arange(count).astype(str))),
        "path": pa.array(np.full(count, "v.mp4")),
        "label": pa.array(label),
        "visual_label": pa.array(label),
        "generator": pa.array(generator, mask=label == 0),
        "compression": pa.array(compression),
        "identities": pa.ListArray.from_arrays(offsets, pa.array(flat)),
        "attributes": attributes,
    }
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in MANIFEST_SCHEMA]
    return Manifest(
        pa.Table.from_arrays(
            [array.cast(f.type) for array, f in zip(arrays, MANIFEST_SCHEMA, strict=True)], schema=MANIFEST_SCHEMA
        )
    )


def world(name: str) -> Manifest:
    """Return one of the made-up corpora."""
    rng, rows = np.random.default_rng(0), np.arange(NUM_VIDEOS)
    methods = np.array(["", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"])
    levels = np.array(["c0", "c23", "c40"])
    if name == "pairs":
        person = rows // 15
        return manifest(person, person ^ 1, methods[rows % 5], levels[rows // 5 % 3])
    if name == "singles":
        return manifest(rows, rows, methods[rng.integers(5, size=NUM_VIDEOS)], levels[rng.integers(3, size=NUM_VIDEOS)])
    if name == "families":
        family = np.sort(rng.integers(60_000, size=NUM_VIDEOS))
        person, donor = family * 4 + rng.integers(4, size=NUM_VIDEOS), family * 4 + rng.integers(4, size=NUM_VIDEOS)
        return manifest(
            person, donor, methods[rng.integers(5, size=NUM_VIDEOS)], levels[rng.integers(3, size=NUM_VIDEOS)]
        )
    person = rng.integers(5_000, size=NUM_VIDEOS)
    donor = (person // 50) * 50 + rng.integers(50, size=NUM_VIDEOS)
    donor = np.where(rng.random(NUM_VIDEOS) < 0.01, rng.integers(5_000, size=NUM_VIDEOS), donor)
    return manifest(person, donor, methods[rng.integers(5, size=NUM_VIDEOS)], levels[rng.integers(3, size=NUM_VIDEOS)])


def measure(world_name: str, scheme: str, **wishes: Any) -> dict[str, float | str | bool]:
    """Split one corpus and return seconds, peak GB of this process, and what came out."""
    videos = world(world_name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.perf_counter()
    result = split(videos, scheme, seed=1, **wishes)
    seconds = time.perf_counter() - start
    share = result.proof.counts[["train", "val", "test", "unused"]].sum() / NUM_VIDEOS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"world": world_name, "scheme": " ".join([scheme, *map(str, wishes.values())]), "seconds": round(seconds, 1),
            "peak_gb": round(peak, 2), "peak_gb_before": round(before, 2), "clean": result.proof.clean,
            **{key: round(float(value), 4) for key, value in share.items()}}  # fmt: skip


RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *((name, "stratified", {}) for name in ("pairs", "singles", "families", "one component")),
    ("one component", "stratified", {"group_by": "target"}),
    ("families", "official", {}),
    ("families", "repaired", {}),
    ("families", "leave-generator-out", {"held_out": "FaceSwap"}),
    ("families", "kfold", {"fold": "1/5"}),
    ("families", "all-test", {}),
)


def main() -> None:
    """Measure each run in its own process."""
    if len(sys.argv) > 1:
        name, scheme, wishes = RUNS[int(sys.argv[1])]
        print(json.dumps(measure(name, scheme, **wishes)))
        return
    results = []
    for number in range(len(RUNS)):
        done = subprocess.run([sys.executable, __file__, str(number)], capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
        print(results[-1], flush=True)
    worst_s, worst_gb = max(r["seconds"] for r in results), max(r["peak_gb"] for r in results)
    print(json.dumps({"videos": NUM_VIDEOS, "worst_seconds": worst_s, "worst_peak_gb": worst_gb,
                      "seconds_over_limit": round(worst_s / LIMIT_S, 3), "gb_over_limit": round(worst_gb / LIMIT_GB, 3),
                      }))  # fmt: skip


if __name__ == "__main__":
    main()
