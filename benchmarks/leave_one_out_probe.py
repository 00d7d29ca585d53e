"""A quick look at unseen forgeries: a linear probe on the small recipe's frozen frame features, leaving out one generator.

    python benchmarks/leave_one_out_probe.py STORE MANIFEST RUN

RUN is a finished run of the small recipe on that store: only its frozen parts are used. The probe is ridge regression on mean and
deviation over the five frames, so it says what the features hold, not what the recipe makes of them (`leave_one_out.py` does).
Areas are those of videos of unseen people, reals against the fakes of a generator, with 95 % intervals over people.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from veridical import inference, training
from veridical.artefacts import Manifest
from veridical.clips import ClipStore
from veridical.metrics import group_bootstrap_auc
from veridical.training import FeatureSource, feature_source

RIDGE = 0.1


def main(store_path: str, manifest_path: str, run: str) -> None:
    """Print an area per generator and per generator left out."""
    store, manifest = ClipStore.open(Path(store_path)), Manifest.read(Path(manifest_path))
    source = feature_source(
        inference.load_detector(run, "cpu").members[0],
        store,
        training.read_recipe("small", [f"data.store={store_path}"]),
    )
    facts = manifest.frame(["video_id", "visual_label", "split", "generator", "identities"])
    clips = store.index().merge(facts[facts["visual_label"].notna()], on="video_id")
    train, test = clips[clips["split"] == "train"], clips[clips["split"] == "test"]
    known, asked = features(source, train["row"].to_numpy(), 0), features(source, test["row"].to_numpy(), None)
    mean, spread = known.mean(0), known.std(0) + 1e-6
    known, asked = (known - mean) / spread, (asked - mean) / spread
    own, across = known @ known.T / known.shape[1], asked @ known.T / known.shape[1]
    forged = sorted(set(clips.loc[clips["visual_label"] == 1, "generator"]))
    picture = train["generator"].isna() | train["generator"].isin(forged)
    areas = {}
    for left_out in (None, *forged):
        kept = (picture & (train["generator"] != left_out)).to_numpy()
        target = np.where(train["visual_label"].to_numpy()[kept] == 1, 1.0, -1.0)
        weights = np.linalg.solve(own[np.ix_(kept, kept)] + RIDGE * np.eye(int(kept.sum())), target)
        scored = test.assign(score=across[:, kept] @ weights, person=test["identities"].str[0])
        videos = scored.groupby("video_id").agg(
            {"score": "mean", "visual_label": "first", "generator": "first", "person": "first"}
        )
        for name in forged:
            part = videos[videos["generator"].isna() | (videos["generator"] == name)]
            area, span = group_bootstrap_auc(part["visual_label"].astype(int), part["score"], part["person"])
            areas[f"{name} without {left_out}"] = [round(value, 3) for value in (area, span.low, span.high)]
            print(f"{name:20s} without {left_out or '-':20s} {area:.3f} [{span.low:.2f}, {span.high:.2f}]", flush=True)
    print(json.dumps(areas))


def features(source: FeatureSource, rows: np.ndarray, view: int | None) -> np.ndarray:
    """Return (B, 2 F): mean and deviation over the frames of each clip."""
    parts = []
    for chunk in np.array_split(rows, -(-len(rows) // 32)):
        with torch.inference_mode():
            frames = source.batch(chunk, view).video.float()
        parts.append(torch.cat([frames.mean(1), frames.std(1)], 1).numpy())
    return np.concatenate(parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
