"""Statistics: every figure against a hand count, on a manifest and with the clips and ledger of a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from veridical.artefacts import FakeSegment, Manifest, Video
from veridical.corpora import EXPECTED, Statistics, differences, official_counts, scan, statistics
from veridical.errors import UsageError

Touch = Callable[[Path, Iterable[str]], None]


@pytest.fixture
def manifest() -> Manifest:
    segments = (FakeSegment(0.5, 1.0, "visual"), FakeSegment(2.0, 2.5, "audio"))
    return Manifest.from_videos([
        Video("d", "d/r1", "x", 0, 0, 0, compression="c0", identities=("a",), split="train", has_audio=True,
              duration_s=2.5, fps=20.0),
        Video("d", "d/r2", "x", 0, 0, None, compression="c23", identities=("b",), split="test", has_audio=False,
              duration_s=3.5, fps=20.0),
        Video("d", "d/f1", "x", 1, 1, 1, generator="swap", compression="c23", identities=("a", "b"), split="train",
              fake_segments=segments, has_audio=True, duration_s=4.5, fps=20.0),
        Video("d", "d/f2", "x", 1, 1, None, generator="dub", identities=("c",)),
        Video("d", "d/u", "x"),
    ])  # fmt: skip


@pytest.fixture
def clips() -> pd.DataFrame:
    ids = ["d/r1", "d/r1", "d/f1", "d/elsewhere"]
    values = {"speech_share": [0.5, np.nan, 0.9, 0.1], "mean_box_size_px": [90.0, 110.0, 140.0, 1.0]}
    return pd.DataFrame({"video_id": ids, "has_audio": [True, False, True, True], **values})


def test_figures_of_a_manifest(manifest: Manifest) -> None:
    figures = statistics(manifest)
    wanted = {
        "videos": 5, "real": 2, "fake": 2, "unlabelled": 1, "fakes_per_real": 1.0, "people": 3, "probed": 3,
        "hours": round(10.5 / 3600, 4), "duration_s_50": 3.5, "frames": 210, "whole_seconds": 9, "partial_fakes": 1,
        "fake_segments": 2, "with_sound": 2, "without_sound": 1, "sound_unknown": 2, "clips": None, "face_px_50": None,
        "speech_share": None,
    }  # fmt: skip
    assert {name: figures.totals[name] for name in wanted} == wanted
    assert list(figures.matrix) == ["real", "dub", "swap", "unlabelled"]
    assert figures.matrix["real"] == {"c0": 1, "c23": 1, "unknown": 0}
    swap = next(row for row in figures.generators if row.generator == "swap")
    assert (swap.people, swap.duration_s_25, swap.sound_share, swap.fake_segments) == (2, 4.5, 1.0, 2)
    assert [(row.split, row.real, row.fake) for row in figures.splits] == [
        ("train", 1, 1), ("test", 1, 0), ("no split", 0, 1)]  # fmt: skip
    assert figures.notes == ("no official numbers are known for d",)


def test_figures_of_a_store(manifest: Manifest, clips: pd.DataFrame) -> None:
    ledger = pd.DataFrame({"video_id": ["d/r1", "d/r2", "d/f1", "d/f2"], "status": ["ok", "no_face", "ok", "no_face"]})
    figures = statistics(manifest, clips, ledger=ledger, frames_per_clip=7)
    wanted = {"clips": 3, "clip_frames": 21, "clips_with_sound": 2, "face_px_50": 110.0, "speech_share": 0.7}
    assert {name: figures.totals[name] for name in wanted} == wanted
    real = figures.generators[0]
    assert (real.clips, real.prepared_share, real.face_px_50, real.speech_share) == (2, 0.5, 100.0, 0.5)
    assert figures.lost == {"no_face": 2, "not_prepared": 1}
    assert [row.clips for row in figures.splits] == [3, 0, 0]


def test_one_split_only(manifest: Manifest, clips: pd.DataFrame) -> None:
    figures = statistics(manifest, clips, split="train")
    assert (figures.totals["videos"], figures.totals["clips"], figures.official) == (2, 3, ())
    assert "only split train" in figures.notes[0]
    with pytest.raises(UsageError, match="5 videos, none in split 'val'"):
        statistics(manifest, split="val")
    with pytest.raises(UsageError, match="0 videos: no statistics"):
        statistics(Manifest(manifest.table.slice(0, 0)))


def test_nothing_known_is_said_and_json_round_trips(manifest: Manifest, clips: pd.DataFrame) -> None:
    bare = statistics(Manifest(manifest.table.slice(3, 2)))
    assert any("scan --probe" in note for note in bare.notes)
    ledger = pd.DataFrame({"video_id": ["d/r1"], "status": ["timeout"]})
    for figures in (bare, statistics(manifest, clips, ledger=ledger)):
        again = Statistics.from_json(json.loads(json.dumps(figures.to_json(), allow_nan=False)))
        assert again == figures
        for table in again.tables():
            assert table.rows
            assert all(len(row) == len(table.headers) for row in table.rows)
            assert all(isinstance(cell, str) for row in table.rows for cell in row)
    first = statistics(manifest).tables()[0]
    shown = {row[0]: row[1] for row in first.rows}
    assert shown["seconds (quartiles)"] == "3.0/3.5/4.0"
    assert first.note.startswith("unknown: clips, clip frames")
    titles = [table.title for table in statistics(manifest, clips, ledger=ledger).tables()]
    assert "Videos without clips" in titles


def test_official_numbers_stand_beside_those_found(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, [f"Celeb-real/id{i}_0000.mp4" for i in range(590)] + ["Celeb-synthesis/id0_id1_0000.mp4"])
    result = scan("celebdf", tmp_path, version="v2", dataset="renamed")
    outcomes = {count.name: count.outcome for count in result.counts}
    # Without the test list nothing is said of the test set.
    assert outcomes == {"Celeb-real": "as published", "YouTube-real": "300 missing", "Celeb-synthesis": "5,638 missing"}
    assert official_counts(result.manifest) == ()
    named = statistics(scan("celebdf", tmp_path, version="v2").manifest)
    assert [count.outcome for count in named.official][1] == "300 missing"
    assert named.notes[0] == "scan found no official split lists of celebdf"


def test_faceforensics_is_compared_at_each_compression(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, [f"original_sequences/youtube/{level}/videos/000.mp4" for level in ("c0", "c40")])
    counts = {count.name: count.found for count in scan("faceforensics", tmp_path).counts}
    assert counts["youtube c0"] == counts["youtube c40"] == 1
    assert not [name for name in counts if "FaceShifter" in name or "c23" in name]


def test_published_parts_add_up() -> None:
    def total(release: str, **where: str) -> int:
        return sum(item.count for item in EXPECTED[release] if all(item.where.get(k) == v for k, v in where.items()))

    assert sum(i.count for i in EXPECTED["lavdf"] if "label" in i.where) == 136_304
    assert sum(i.count for i in EXPECTED["lavdf"] if "official_split" in i.where) == 136_304
    assert total("avdeepfake1m") == 1_146_760
    assert sum(i.count for i in EXPECTED["faceforensics"] if "official_split" in i.where) == 1000
    assert total("celebdf", official_split="test") == 518
    assert total("fakeavceleb") == 21_544


def test_two_corpora_say_in_what_they_differ() -> None:
    def corpus(
        name: str, generators: tuple[str, ...], level: str | None, people: int, seconds: float, sexes: str
    ) -> Statistics:
        return statistics(Manifest.from_videos(
            Video(name, f"{name}/{person}/{generator}", "x", int(generator != ""), generator=generator or None, compression=level,
                  identities=(f"{name}/{person}",), duration_s=seconds + person % 3,
                  attributes={"Sex": sexes[person % len(sexes)]} if sexes else {})
            for person in range(people) for generator in ("", *generators)))  # fmt: skip

    first = corpus("a", ("Deepfakes", "FaceSwap"), "c23", 20, 5.0, "fm")
    second = corpus("b", ("Celeb-synthesis",), None, 59, 12.0, "fffm")
    assert differences(first, second) == (
        "generators: Deepfakes, FaceSwap → Celeb-synthesis",
        "compression: c23 → unknown",
        "speakers: 20 → 59",
        "speakers by gender: f 50%, m 50% → f 76%, m 24%",
        "seconds (quartiles): 5.0/6.0/7.0 → 12.0/13.0/14.0",
    )
    assert differences(first, first) == ()
    bare = corpus("c", ("Deepfakes", "FaceSwap"), "c23", 20, 5.2, "")
    assert differences(first, bare) == ("speakers by gender: f 50%, m 50% → unknown",)
    assert Statistics.from_json(json.loads(json.dumps(second.to_json()))) == second
