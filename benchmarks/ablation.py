"""What each term of the loss is worth, and stages against one joint stage, with the small recipe on a store of one's own.

    python benchmarks/ablation.py STORE OUT [--manifest M …] [--seeds 0,1,2] [--arms no-video,focal] [--report-only]

Stages 1 and 2 are trained once a seed; every arm trains stage 3 from there with one thing changed, chosen on validation and
judged on the test split. With several manifests (benchmarks/folds.py makes them) seed n takes the n-th: folds whose test people
differ. `joint` learns end to end from where stage 1 began, for as many epochs as all stages together. The speech encoder stays
frozen and few clips a video are used, so that an arm takes a minute on a processor. Differences to `strategy` are means over
seeds; their intervals draw people, the same for both sides, in each fold for itself. Finished runs in OUT are not repeated. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.special
import torch

from veridical.artefacts import Manifest
from veridical.clips import ClipStore, label_clips
from veridical.inference import condition_logits, load_detector
from veridical.metrics import auc_of, draw_groups, group_variance, label_support, roc_auc
from veridical.training import Recipe, feature_source, read_recipe, train

FRAME_HEAD = [
    "stages.0.train=[temporal,video_head,fusion,head,frame_head]",
    "losses.frame=0.1",
]
ARMS: dict[str, list[str]] = {
    "strategy": [],
    "no-video": ["losses.video=0"],
    "no-temporal": ["losses.temporal=0"],
    "segment-only": ["losses.video=0", "losses.temporal=0"],
    "temporal-by-class": ["losses.temporal_form=class_conditional"],
    "temporal-strong": ["losses.temporal=1"],
    "video-top-k": ["aggregation.rule=top-k", "aggregation.top_k=2"],
    "no-smoothing": ["losses.smoothing=0"],
    "focal": ["losses.segment_form=focal"],
    "disagreement-l1": ["losses.disagreement=0.05"],
    "disagreement-entropy": ["losses.disagreement=0.05", "losses.disagreement_form=entropy"],
    "frame-hard": FRAME_HEAD,
    "frame-soft": [*FRAME_HEAD, "losses.frame_labels=soft"],
    "no-modality-dropout": ["stages.0.modality_dropout=0"],
    "mixup": ["mixing.mixup=0.5"],
    "cutmix": ["mixing.cutmix=0.5"],
    "bfloat16": ["runtime.precision=bf16-mixed"],
    "joint": [],
}
CHEAP = ["model.audio.trainable_blocks=0", "augmentation.views=1", "data.clips_per_video=2", "runtime.threads=1"]
FIRST = [
    {"name": "video", "objective": "video", "train": ["temporal", "video_head"], "epochs": 10, "lr": 1e-3},
    {"name": "audio", "objective": "audio", "train": ["audio_projection", "audio_head"], "epochs": 8, "lr": 1e-3},
]
PARTS = ["temporal", "video_head", "audio_projection", "audio_head", "fusion", "head"]
THIRD: dict[str, Any] = {
    "name": "joint", "objective": "joint", "train": PARTS, "epochs": 10, "lr": 5e-4, "final_lr": 5e-5,
    "all_losses": True, "modality_dropout": 0.2,
}  # fmt: skip


def recipe_of(arm: str, seed: int, options: argparse.Namespace) -> Recipe:
    """Return the recipe of an arm; `base` trains stages 1 and 2 and one epoch of the third, which it ends with."""
    data = [f"data.store={options.store}", f"seed={seed}"]
    if options.manifest:
        data.append(f"data.manifest={options.manifest[seed % len(options.manifest)]}")
    if arm == "base":
        stages = [*FIRST, {**THIRD, "epochs": 1, "lr": 1e-9, "final_lr": 0}]
        return read_recipe("small", [*CHEAP, *data, f"stages={json.dumps(stages)}"])
    epochs = sum(int(stage["epochs"]) for stage in FIRST) + THIRD["epochs"] if arm == "joint" else THIRD["epochs"]
    start = [] if arm == "joint" else [f"start_from={options.out / f'base-{seed}'}"]
    rate = 1e-3 if arm == "joint" else THIRD["lr"]
    stages = [{**THIRD, "epochs": epochs, "lr": rate}]
    return read_recipe("small", [*CHEAP, *data, f"stages={json.dumps(stages)}", *start, *ARMS[arm]])


def judge(run: Path, recipe: Recipe, store: ClipStore, manifest: Manifest) -> pd.DataFrame:
    """Return the mean joint logit of each test video, from kept features."""
    detector = load_detector(run, "cpu").members[0]
    source = feature_source(detector, store, recipe)
    clips = label_clips(store.index(), manifest, store.settings.window_s, ("split", "generator"))
    clips = clips[clips["split"] == "test"]
    rows = clips["row"].to_numpy()
    source.announce(rows, None)
    parts = []
    with torch.inference_mode():
        for first in range(0, len(rows), 64):
            features = source.batch(rows[first : first + 64], None)
            parts.append(condition_logits(detector, features, ("joint",))["joint"])
    clips = clips.assign(logit=np.concatenate(parts))
    people = manifest.frame(["video_id", "identities"]).set_index("video_id")["identities"]
    videos = clips.groupby("video_id").agg(
        logit=("logit", "mean"), label=("video_label", "first"), generator=("generator", "first")
    )
    return videos.assign(person=[people[video][0] for video in videos.index]).reset_index()


def replicates(found: pd.DataFrame, fold: int) -> np.ndarray:
    """Return the AUC in each draw of people; folds are drawn independently."""
    labels, logits = found["label"].to_numpy(int), found["logit"].to_numpy()
    draws = draw_groups(found["person"], replicates=1000, seed=fold)
    every = np.ones(len(found), bool)
    return np.concatenate([auc_of(curves) for curves in draws.curves(labels, logits, every)])


def behind(found: pd.DataFrame) -> int:
    """Return the number of people behind an AUC, in the rarer class."""
    return label_support(draw_groups(found["person"]), found["label"].to_numpy(int), np.ones(len(found), bool)).fewest


def against_reals(found: pd.DataFrame, generator: str) -> float:
    """Return the AUC of one forgery's videos against all reals."""
    some = found[(found["label"] == 0) | (found["generator"] == generator)]
    return roc_auc(some["label"], some["logit"])


def summarise(
    scores: dict[tuple[str, int], pd.DataFrame], arms: list[str], seeds: list[int], folds: int
) -> list[dict[str, Any]]:
    """Return a row per arm: AUC, difference to `strategy`, interval."""
    areas = {key: roc_auc(found["label"], found["logit"]) for key, found in scores.items()}
    drawn = {key: replicates(found, key[1] % folds) for key, found in scores.items()}
    people = sum({seed % folds: behind(scores["strategy", seed]) for seed in seeds}.values())
    rows = []
    for arm in arms:
        difference = float(np.mean([areas[arm, seed] - areas["strategy", seed] for seed in seeds]))
        draws = np.mean([drawn[arm, seed] - drawn["strategy", seed] for seed in seeds], axis=0)
        row: dict[str, Any] = {"arm": arm, "auc": float(np.mean([areas[arm, seed] for seed in seeds]))}
        row["by_seed"] = [round(areas[arm, seed], 3) for seed in seeds]
        row["difference"] = difference
        reach = float(scipy.special.stdtrit(people - 1, 0.975)) * float(np.sqrt(group_variance(draws, people)))
        row |= {"low": difference - reach, "high": difference + reach}
        for name in sorted(scores[arm, seeds[0]]["generator"].dropna().unique()):
            row[name] = float(np.mean([against_reals(scores[arm, seed], name) for seed in seeds]))
        rows.append(row)
    return rows


def main() -> None:
    """Train what is missing, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--manifest", type=Path, nargs="+")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--report-only", action="store_true", help="judge the runs that are finished, train nothing")
    options = parser.parse_args()
    seeds, arms = [int(seed) for seed in options.seeds.split(",")], options.arms.split(",")
    arms = arms if "strategy" in arms else ["strategy", *arms]
    store = ClipStore.open(options.store)
    manifests = [Manifest.read(path) for path in options.manifest] if options.manifest else [store.manifest()]
    scores = {}
    for seed in seeds:
        for arm in ["base", *arms]:
            run, recipe = options.out / f"{arm}-{seed}", recipe_of(arm, seed, options)
            if not options.report_only:
                train(recipe, run, resume=run.exists())
            if arm != "base" and (run / "model").exists():
                scores[arm, seed] = judge(run, recipe, store, manifests[seed % len(manifests)])
    arms = [arm for arm in arms if all((arm, seed) in scores for seed in seeds)]
    rows = summarise(scores, arms, seeds, len(manifests))
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    judged = pd.concat([scores["strategy", seed] for seed in seeds]).drop_duplicates("video_id")
    print(json.dumps({"seeds": seeds, "people": judged["person"].nunique(), "videos": len(judged), "arms": rows}))


if __name__ == "__main__":
    main()
