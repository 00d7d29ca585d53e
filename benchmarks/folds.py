"""A corpus of one's own talking people with forgeries, in folds: after three trainings every person has been judged once.

    python benchmarks/folds.py VIDEOS OUT [--identity-pattern P] [--method face_swap …] [--workers 2]

The people are dealt out to six groups of about equal numbers of videos. Faces and voices are exchanged within a group only, so
that nobody appears on two sides of any split made of whole groups. Fold n is judged on two groups, chosen on a third and learns
from the other three. Makes OUT/store with all clips, and OUT/fold-0.parquet to OUT/fold-2.parquet, manifests of the same videos
with other splits. Run it again after an interruption: finished videos are kept.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

from veridical import corpora, forgery, preparation
from veridical.artefacts import Manifest, Video

NUM_GROUPS, NUM_FOLDS = 6, 3


def deal(videos: list[Video]) -> dict[str, int]:
    """Return the group of each person: those with most videos first, each to the group with fewest videos, then fewest people."""
    count = Counter(video.identities[0] for video in videos)
    load = [(0, 0, number) for number in range(NUM_GROUPS)]
    group = {}
    for person, number_of_videos in count.most_common():
        num_videos, people, number = min(load)
        group[person] = number
        load[number] = (num_videos + number_of_videos, people + 1, number)
    return group


def split_of(group: int, fold: int) -> str:
    """Return what a group is for in a fold."""
    if group // 2 == fold:
        return "test"
    return "val" if group == (2 * fold + 2) % NUM_GROUPS else "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--identity-pattern", default="(?P<identity>[^/]+)/", help="as of veridical scan; default: the folder"
    )
    parser.add_argument("--method", action="append", choices=list(forgery.FORGERIES))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    methods = options.method or ["face_swap", "lip_dub", "voice_exchanged"]
    scanned = corpora.scan("folder", options.videos, all_real=True, identity_pattern=options.identity_pattern)
    reals = list(scanned.manifest.videos())
    group_of = deal(reals)
    made: list[Video] = []
    for number in range(NUM_GROUPS):
        some = [replace(video, split="train") for video in reals if group_of[video.identities[0]] == number]
        folder = options.out / f"group-{number}"
        made += forgery.forge(
            Manifest.from_videos(some), folder, methods=methods, seed=number, workers=options.workers
        ).manifest.videos()
        print(f"group {number}: {len(some)} real, {sorted({video.identities[0] for video in some})}", flush=True)
    for fold in range(NUM_FOLDS):
        videos = [replace(video, split=split_of(group_of[video.identities[0]], fold)) for video in made]
        manifest = corpora.leak_groups(Manifest.from_videos(videos))
        manifest.write(options.out / f"fold-{fold}.parquet")
    summary = preparation.prepare(manifest, options.out / "store", workers=options.workers)
    print(f"{len(group_of)} people, {len(made)} videos, prepared: {dict(summary.counts)}")


if __name__ == "__main__":
    main()
