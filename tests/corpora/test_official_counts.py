"""Miniature trees with every official name: exact published counts, and the leaks of the published splits.

With VERIDICAL_CORPUS_LISTS the corpora's own list files are used; without it, lists of the same form and size.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from veridical.artefacts import Manifest
from veridical.corpora import EXPECTED, ScanResult, leak_groups, scan, split

Touch = Callable[[Path, Iterable[str]], None]

CLASSIC = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
REAL_LISTS = os.environ.get("VERIDICAL_CORPUS_LISTS")
TRAIN_TEST, TRAIN_VAL = {("755", "756"), ("954", "955")}, {
    ("605", "606"), ("639", "640"), ("837", "838"), ("875", "876"), ("982", "983")}  # fmt: skip


def ff_lists(folder: Path) -> tuple[Path, dict[str, list[list[str]]]]:
    """Return a folder of FaceForensics++ lists: the real ones, else 360/70/70 random pairs with the same seven
    leaks."""
    if REAL_LISTS:
        folder = Path(REAL_LISTS) / "faceforensics"
        return folder, {n: json.loads((folder / f"splits/{n}.json").read_text()) for n in ("train", "val", "test")}
    place = dict.fromkeys(["755", "955"], "test") | dict.fromkeys(["605", "639", "838", "876", "983"], "val")
    place |= dict.fromkeys(["756", "954", "606", "640", "837", "875", "982"], "train")
    rest = [f"{i:03d}" for i in np.random.default_rng(0).permutation(1000) if f"{i:03d}" not in place]
    members: dict[str, list[str]] = {
        name: [k for k, v in place.items() if v == name] for name in ("train", "val", "test")
    }
    for name, size in (("train", 720), ("val", 140), ("test", 140)):
        while len(members[name]) < size:
            members[name].append(rest.pop())
    pairs = {name: [sorted(ids)[i : i + 2] for i in range(0, len(ids), 2)] for name, ids in members.items()}
    twins = {b: a for a, b in [*TRAIN_TEST, *TRAIN_VAL]}
    twins |= {b: a for ids in pairs.values() for a, b in ids[:6] if a not in twins and b not in twins}
    for name, ids in pairs.items():
        (folder / f"{name}.json").write_text(json.dumps(ids))
    videos = {f"{i:03d}": f"video{twins.get(f'{i:03d}', f'{i:03d}')} {i}" for i in range(1000)}
    (folder / "conversion_dict.json").write_text(json.dumps(videos))
    return folder, pairs


@pytest.fixture(scope="module")
def ff(tmp_path_factory: pytest.TempPathFactory, touch: Touch) -> ScanResult:
    lists, pairs = ff_lists(tmp_path_factory.mktemp("lists"))
    root = tmp_path_factory.mktemp("ff")
    both = [pair for ids in pairs.values() for a, b in ids for pair in (f"{a}_{b}", f"{b}_{a}")]
    touch(root, [f"original_sequences/youtube/c23/videos/{i:03d}.mp4" for i in range(1000)])
    touch(root, [f"manipulated_sequences/{method}/c23/videos/{pair}.mp4" for method in CLASSIC for pair in both])
    return scan("faceforensics", root, lists=lists)


def totals(manifest: Manifest, **where: object) -> Counter[str]:
    frame = manifest.frame(["label", "split"])
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return Counter(frame["split"])


def test_faceforensics_official_counts(ff: ScanResult) -> None:
    assert ff.complete
    assert not ff.notices
    result = split(ff.manifest, "official")
    assert totals(result.manifest, label=0) == {"train": 720, "val": 140, "test": 140}
    assert totals(result.manifest) == {"train": 3600, "val": 700, "test": 700}
    assert not len(result.dropped)


def test_faceforensics_official_split_leaks_seven_youtube_videos(ff: ScanResult) -> None:
    proof = split(ff.manifest, "official").proof
    leaks = {(leak.first, leak.second): leak for leak in proof.leaks if leak.link == "youtube_id"}
    assert [leaks[pair].keys for pair in (("train", "test"), ("train", "val"), ("val", "test"))] == [2, 5, 0]
    frame = ff.manifest.frame(["video_id", "label", "attributes"])
    reals = frame[frame["label"] == 0]
    by_video: dict[str, list[str]] = {}
    for name, attributes in zip(reals["video_id"], reals["attributes"], strict=True):
        by_video.setdefault(attributes["youtube_id"], []).append(name[-3:])
    found = {pair: {tuple(by_video[key]) for key in leak.examples} for pair, leak in leaks.items()}
    assert found == {("train", "test"): TRAIN_TEST, ("train", "val"): TRAIN_VAL, ("val", "test"): set()}
    assert len(by_video) == 977 or not REAL_LISTS


def test_faceforensics_repaired(ff: ScanResult) -> None:
    result = split(ff.manifest, "repaired")
    assert result.proof.clean
    moved = Counter(zip(result.moved["from"], result.moved["to"], strict=True))
    assert set(moved) == {("test", "train"), ("val", "train")}
    assert totals(result.manifest)["test"] == 700 - moved["test", "train"]
    assert totals(result.manifest)["train"] == 3600 + sum(moved.values())
    if REAL_LISTS:
        assert moved == {("test", "train"): 20, ("val", "train"): 60}


def test_faceforensics_stratified(ff: ScanResult) -> None:
    result = split(ff.manifest, "stratified")
    assert result.proof.clean
    table = result.proof.counts
    assert (abs(table["train"] - 800) <= 2).all()
    assert (abs(table["test"] - 100) <= 2).all()


@pytest.fixture(scope="module")
def celebdf(tmp_path_factory: pytest.TempPathFactory, touch: Touch) -> ScanResult:
    root = tmp_path_factory.mktemp("celebdf")
    if REAL_LISTS:
        lines = (Path(REAL_LISTS) / "celebdf/List_of_testing_videos.txt").read_text().splitlines()
    else:
        lines = [f"1 YouTube-real/{i:05d}.mp4" for i in range(70)] + [
            f"1 Celeb-real/id{i % 30}_{i:04d}.mp4" for i in range(108)
        ]
        lines += [f"0 Celeb-synthesis/id{i % 30}_id{(i + 1 + i // 30) % 30}_{i:04d}.mp4" for i in range(340)]
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines) + "\n")
    touch(root, [line.split()[1] for line in lines])
    touch(root, [f"Celeb-real/id{i}_0999.mp4" for i in range(62)])
    return scan("celebdf", root)


def test_celebdf_test_list(celebdf: ScanResult) -> None:
    result = split(celebdf.manifest, "official")
    assert totals(result.manifest, label=0)["test"] == 178
    assert totals(result.manifest, label=1)["test"] == 340
    counts = {count.name: count for count in celebdf.counts}
    assert (counts["test real"].found, counts["test fake"].found) == (178, 340)
    assert counts["Celeb-synthesis"].line == "Celeb-synthesis: 340 of 5639 (5,299 missing)"


def test_celebdf_repaired_leaves_training_people_out(celebdf: ScanResult) -> None:
    leaking = split(celebdf.manifest, "official")
    assert not leaking.proof.clean
    repaired = split(celebdf.manifest, "repaired")
    assert repaired.proof.clean
    assert totals(repaired.manifest)["test"] == 518
    assert totals(repaired.manifest)["train"] < totals(leaking.manifest)["train"]


def test_fakeavceleb_from_the_real_list(tmp_path: Path, touch: Touch, corpus_lists: Path) -> None:
    lists = corpus_lists / "fakeavceleb"
    with (lists / "meta_data.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    touch(tmp_path, {f"{row['path']}/{row['filename']}" for row in rows})
    result = scan("fakeavceleb", tmp_path, lists=lists)
    assert result.complete
    frame = result.manifest.frame(["label", "visual_label", "audio_label"])
    found = Counter(map(tuple, frame.astype(int).to_numpy().tolist()))
    assert found == {(0, 0, 0): 500, (1, 0, 1): 500, (1, 1, 0): 9709, (1, 1, 1): 10835}
    assert sum(item.count for item in EXPECTED["fakeavceleb"]) == len(frame) == 21_544
    twice = [n for n in result.notices if n.reason.startswith("listed twice")]
    assert [notice.count for notice in twice] == [22]
    groups = leak_groups(result.manifest).frame(["group", "attributes"])
    kinds = groups["attributes"].map(lambda attributes: (attributes["race"], attributes["gender"]))
    assert len(set(groups["group"])) == len(set(zip(groups["group"], kinds, strict=True))) == len(set(kinds)) == 10
    divided = split(result.manifest, "stratified")
    assert divided.proof.clean
    assert (divided.proof.counts.loc[divided.proof.counts["generator"] != "unknown", ["train", "val", "test"]] > 0).all(
        axis=None
    )
