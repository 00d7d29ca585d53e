"""How long the judgement of five million scored clips takes, with 1000 group-bootstrap replicates behind every interval.

    python benchmarks/bootstrap.py [--rows 5000000] [--replicates 1000]

The last line is one JSON object. Asked for: under two minutes and under 6 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time

import numpy as np
import pyarrow as pa

from veridical.artefacts import ScoreTable
from veridical.evaluation import EvaluationSettings, evaluate


def made_scores(rows: int, clips: int = 10, videos_per_group: int = 5) -> ScoreTable:
    """Return scores of rows / clips videos: a group is one real and four fakes, of four generators; 1 in 10 groups validates."""
    rng = np.random.default_rng(0)
    num_videos = rows // clips
    video = np.arange(num_videos)
    group = video // videos_per_group
    kind = video % videos_per_group
    label = (kind > 0).astype(np.int8)
    effect = rng.normal(0, 0.5, group.max() + 1)[group] + rng.normal(label * (1.0 + 0.2 * kind), 0.8)
    of_clip = np.repeat(video, clips)
    names = pa.array([f"corpus/{number:07d}" for number in video])
    generators = pa.array(["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"])
    compressions = pa.array(["c0", "c23", "c40"])
    groups = pa.array([f"g{number:06d}" for number in range(group.max() + 1)])

    def taken(values: pa.Array, codes: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
        return values.take(pa.array(codes[of_clip], mask=None if mask is None else mask[of_clip]))

    table = pa.table(
        {
            "video_id": taken(names, video),
            "start_s": pa.array(np.tile(np.arange(clips, dtype=np.float64), num_videos)),
            "dataset": pa.array(["corpus"]).take(pa.array(np.zeros(len(of_clip), np.int32))),
            "split": taken(pa.array(["test", "val"]), (group % 10 == 0).astype(np.int64)),
            "generator": taken(generators, np.maximum(kind - 1, 0), kind == 0),
            "compression": taken(compressions, group % 3),
            "group": taken(groups, group),
            "label": pa.array(label[of_clip]),
            "condition": pa.array(["joint"]).take(pa.array(np.zeros(len(of_clip), np.int32))),
            "logit": pa.array(effect[of_clip] + rng.normal(0, 1, len(of_clip))),
        }
    )
    return ScoreTable(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    started = time.perf_counter()
    scores = made_scores(arguments.rows)
    made = time.perf_counter()
    processor = time.process_time()
    result = evaluate(scores, settings=EvaluationSettings(replicates=arguments.replicates))
    done = time.perf_counter()
    judged = result.metrics["low"].notna()
    auc = result.metrics.query("metric == 'auc' and split == 'test' and slice == '' and condition == 'joint'").iloc[0]
    print(f"{len(scores)} rows, {len(result.metrics)} figures, {int(judged.sum())} with an interval")
    print(f"AUC of videos {auc['value']:.4f} [{auc['low']:.4f}, {auc['high']:.4f}]")
    seconds, gigabytes = done - made, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = {
        "rows": len(scores),
        "replicates": arguments.replicates,
        "intervals": int(judged.sum()),
        "seconds_to_evaluate": round(seconds, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "seconds_to_make_the_table": round(made - started, 1),
        "peak_gigabytes": round(gigabytes, 2),
        "ratio_to_two_minutes": round(seconds / 120, 3),
        "ratio_to_six_gigabytes": round(gigabytes / 6, 3),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
