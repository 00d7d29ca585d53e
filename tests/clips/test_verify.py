"""Verification finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import lance
import pyarrow as pa
from tests.clips.making import SMALL, make_clip, make_store

from veridical.clips import ClipStore, encode_clips, verify


def problems_after(path, change) -> list[str]:
    make_store(path, {"a": 2, "b": 1, "none": 0})
    change(path)
    return verify(ClipStore.open(path))


def append(path, clip) -> None:
    lance.write_dataset(encode_clips([clip], SMALL), str(path / "clips.lance"), mode="append")


def test_a_sound_store(tmp_path):
    assert problems_after(tmp_path / "s", lambda _: None) == []


def test_what_is_found(tmp_path):
    def damage_a_picture(path):
        table = lance.dataset(str(path / "clips.lance"))
        rows = table.to_table().to_pylist()
        rows[0]["faces"][1] = rows[0]["faces"][1][:40]
        lance.write_dataset(
            pa.Table.from_pylist(rows, schema=table.schema), str(path / "clips.lance"), mode="overwrite"
        )

    cases = {
        "missing": (
            lambda path: lance.dataset(str(path / "clips.lance")).delete("video_id = 'a' AND start_s > 0.5"),
            ["a: the ledger says 2 clips, the store has 1", "a: the content of its clips is not what was written"],
        ),
        "stranger": (lambda path: append(path, make_clip("x", 0.0)), ["x: 1 clips without a ledger row"]),
        "twice": (lambda path: append(path, make_clip("a", 1.0)), ["a: two clips start at 1 s"]),
        "failed": (lambda path: append(path, make_clip("none", 0.0)), ["none: status no_face with 1 clips"]),
        "damaged": (damage_a_picture, ["a: the content of its clips is not what was written", "does not decode"]),
    }
    for name, (change, expected) in cases.items():
        found = problems_after(tmp_path / name, change)
        for text in expected:
            assert any(text in problem for problem in found), (name, text, found)
