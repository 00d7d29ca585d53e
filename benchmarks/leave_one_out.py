"""What is left of a detector on a family of forgeries that it has not seen: the small recipe, leaving out one family at a time.

    python benchmarks/leave_one_out.py FOLDER [--people 50] [--seconds 2] [--families swap mouth …] [--clips-per-video 1]

One world of synthetic people, split by person before anything is forged, with the families named. The recipe is trained once
on all of them and once without each (its fakes leave training and validation; the real videos stay). All are judged on the same
test videos: unseen people, the reals against the fakes of that family. Frozen features are computed once, all runs share them.
Without a family that forges the sound the recipe's audio stage is left out: it would have nothing to learn. Run it again after
an interruption: finished steps are kept. The last line is one JSON object.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from veridical import corpora, forgery, preparation, progress, puppets, training
from veridical.artefacts import Manifest
from veridical.clips import ClipStore
from veridical.inference import condition_logits, load_detector
from veridical.metrics import clustered_test, group_bootstrap_auc
from veridical.training import feature_source

METHODS = {
    "swap": ("face_swap", "face_swap_poisson"),
    "reenactment": ("reenactment",),
    "mouth": ("lip_dub", "mouth_replaced"),
    "rendering": ("neural_mouth",),
    "self_blend": ("self_blend",),
    "voice": ("voice_converted", "voice_exchanged"),
    "vocoder": ("voice_vocoded",),
    "splice": ("speech_spliced",),
    "desync": ("desync",),
    "autoencoder": ("autoencoder_swap",),
}
"""Family → its forgeries; each real video gets one of them, in turn."""
EVERY = {"voice": 2, "vocoder": 2, "splice": 2, "desync": 2, "autoencoder": 3}
"""Families that only every n-th person gets, to save time."""
SOUND = {"voice", "vocoder", "splice"}
"""Families that forge the sound."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips-per-video", type=int, help="windows of each training video; default all")
    parser.add_argument(
        "--accept-leak", nargs="*", default=[], help="properties that the audit may find, see veridical audit"
    )
    parser.add_argument("--families", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--prepare-only", action="store_true", help="stop when the clips are prepared")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    manifest = world(folder, arguments)
    summary = preparation.prepare(manifest, folder / "store", workers=arguments.workers)
    print(f"prepared: {dict(summary.counts)}", flush=True)
    if arguments.prepare_only:
        return
    everything = scores(folder, manifest, None, arguments)
    rows = []
    for family in arguments.families:
        rows.append(compared(family, everything, scores(folder, manifest, family, arguments)))
        print(line(rows[-1]), flush=True)
    print(json.dumps({row["family"]: row for row in rows}))


def world(folder: Path, arguments: argparse.Namespace) -> Manifest:
    """Render, split by person, forge every family within each split."""
    kept = folder / "+".join(arguments.families) / "manifest.parquet"
    if kept.exists():
        return Manifest.read(kept)
    reals = puppets.render_corpus(
        folder / "puppets", name="loo", num_identities=arguments.people, videos_per_identity=2,
        duration_s=arguments.seconds, seed=1, workers=arguments.workers,
    )  # fmt: skip
    split = corpora.split(reals, "stratified", seed=1, fractions=(0.5, 0.15, 0.35)).manifest
    videos = {}
    for number, (family, methods) in enumerate(METHODS.items()):
        if family not in arguments.families:
            continue
        people = sorted({video.identities[0] for video in split.videos()})[:: EVERY.get(family, 1)]
        chosen = Manifest.from_videos(video for video in split.videos() if video.identities[0] in people)
        made = forgery.forge(
            chosen, folder / f"corpus-{family}", methods=methods, per_video=1, seed=number, preset="superfast",
            workers=arguments.workers,
        )  # fmt: skip
        videos |= {video.video_id: video for video in made.manifest.videos()}
        print(f"{family}: {sum(made.count(method, 'ok') for method in methods)} fakes", flush=True)
    manifest = corpora.leak_groups(Manifest.from_videos(videos.values()))
    kept.parent.mkdir(exist_ok=True)
    manifest.write(kept)
    return manifest


def scores(folder: Path, manifest: Manifest, left_out: str | None, arguments: argparse.Namespace) -> pd.DataFrame:
    """Return a row per test video, its mean logit after training without a family (None: with all)."""
    runs, name = folder / "+".join(arguments.families), f"without-{left_out}" if left_out else "all"
    kept, taught = runs / f"{name}.parquet", runs / f"{name}-manifest.parquet"
    if not kept.exists():
        progress.say(f"train {name}")
        without(manifest, left_out).write(taught)
        recipe = _recipe(folder / "store", taught, arguments)
        training.train(recipe, runs / name, resume=(runs / name).exists())
        judged(recipe, runs / name, manifest).to_parquet(kept)
    return pd.read_parquet(kept)


def _recipe(store: Path, manifest: Path, arguments: argparse.Namespace) -> training.Recipe:
    changes = [
        f"data.store={store}",
        f"data.manifest={manifest}",
        f"data.accept_leaks=[{', '.join(arguments.accept_leak)}]",
    ]
    if arguments.clips_per_video:
        changes.append(f"data.clips_per_video={arguments.clips_per_video}")
    recipe = training.read_recipe("small", changes)
    if set(arguments.families) & SOUND:
        return recipe
    return recipe.model_copy(update={"stages": tuple(stage for stage in recipe.stages if stage.objective != "audio")})


def judged(recipe: training.Recipe, run: Path, manifest: Manifest) -> pd.DataFrame:
    """Return a row per test video: mean joint logit, label, family and person; on the features that the runs share."""
    store, detector = ClipStore.open(recipe.data.store), load_detector(run, "cpu").members[0]
    facts = manifest.frame(["video_id", "label", "split", "generator"])
    clips = store.index().merge(facts[facts["split"] == "test"], on="video_id")
    source, logits = feature_source(detector, store, recipe), []
    for rows in np.array_split(clips["row"].to_numpy(), -(-len(clips) // 32)):
        with torch.inference_mode():
            logits.append(condition_logits(detector, source.batch(rows, None), ("joint",))["joint"])
    clips["logit"] = np.concatenate(logits)
    family_of = {method: family for family, methods in METHODS.items() for method in methods}
    clips["family"] = clips["generator"].map(family_of).fillna("real")
    table = clips.groupby("video_id").agg({"logit": "mean", "label": "first", "family": "first"})
    return table.assign(person=table.index.str.split("/").str[1])


def without(manifest: Manifest, left_out: str | None) -> Manifest:
    """Return the manifest with the fakes of a family out of training and validation."""
    gone = METHODS[left_out] if left_out else ()
    splits = [None if video.split != "test" and video.generator in gone else video.split for video in manifest.videos()]
    return manifest.with_column("split", splits)


def compared(family: str, seen: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, object]:
    """Return the two areas of a family, with 95 % intervals over the people shown, and their difference."""
    rows = seen["family"].isin(["real", family])
    label, person = seen.loc[rows, "label"].astype(int).to_numpy(), seen.loc[rows, "person"].to_numpy()
    first, second = seen.loc[rows, "logit"].to_numpy(), unseen.loc[seen.index[rows], "logit"].to_numpy()
    areas = [group_bootstrap_auc(label, score, person) for score in (first, second)]
    drop = clustered_test(label, first, second, person)
    named = zip(("seen", "unseen"), areas, strict=True)
    return {
        "family": family, "num_real": int((label == 0).sum()), "num_fake": int((label == 1).sum()),
        **{name: [round(value, 3), round(span.low, 3), round(span.high, 3)] for name, (value, span) in named},
        "change": [round(drop.value, 3), round(drop.interval.low, 3), round(drop.interval.high, 3)],
    }  # fmt: skip


def line(row: dict[str, object]) -> str:
    shown = "  ".join(f"{name} {a:.3f} [{low:.2f}, {high:.2f}]" for name, (a, low, high) in
                      ((name, row[name]) for name in ("seen", "unseen", "change")))  # fmt: skip
    return f"{row['family']:12s} {row['num_real']}+{row['num_fake']} test videos  {shown}"


if __name__ == "__main__":
    main()
