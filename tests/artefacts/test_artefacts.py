"""The seams: round trips, validators, versions, atomic writes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.artefacts import (
    FakeSegment,
    Manifest,
    ScoreTable,
    Video,
    atomic_folder,
    atomic_path,
    file_sha256,
    file_stamp,
    fingerprint,
)
from veridical.errors import ArtefactError
from veridical.metrics import Aggregation

label = st.sampled_from([0, 1, None])
names = st.text("abcxyz/-_é", min_size=1, max_size=8)
segments = st.builds(
    lambda start, length, modality: FakeSegment(start, start + length, modality),
    st.floats(0, 100), st.floats(0.1, 10), st.sampled_from(["visual", "audio"]),
)  # fmt: skip
videos = st.builds(
    Video, dataset=names, video_id=names, path=names, label=label, visual_label=label, audio_label=label,
    generator=st.none() | names, identities=st.lists(names, max_size=3).map(tuple),
    attributes=st.dictionaries(names, names, max_size=2), split=st.sampled_from([None, "train", "val", "test"]),
    fake_segments=st.lists(segments, max_size=2).map(tuple), has_audio=st.none() | st.booleans(),
    duration_s=st.none() | st.floats(0, 1e4), width=st.none() | st.integers(1, 9999), bitrate=st.none() | st.integers(0, 2**40),
)  # fmt: skip


@given(st.lists(videos, max_size=6, unique_by=lambda video: video.video_id))
@settings(deadline=None, max_examples=50)
def test_manifest_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Video]) -> None:
    path = tmp_path_factory.mktemp("m") / "manifest.parquet"
    manifest = Manifest.from_videos(rows)
    manifest.write(path)
    again = Manifest.read(path)
    assert list(again.videos()) == rows
    assert again.fingerprint == manifest.fingerprint


def some_video(number: int = 0, **changes: object) -> Video:
    return Video(**{"dataset": "d", "video_id": f"v{number}", "path": f"{number}.mp4", "label": number % 2, **changes})


def test_fingerprint_changes_with_content() -> None:
    assert Manifest.from_videos([some_video()]).fingerprint != Manifest.from_videos([some_video(label=1)]).fingerprint


def test_manifest_refuses_repeated_ids() -> None:
    with pytest.raises(ArtefactError, match="'v0'"):
        Manifest.from_videos([some_video(), some_video(path="other.mp4")])


@pytest.mark.parametrize("changes", [{"label": 2}, {"split": "dev"}, {"visual_label": -1}])
def test_video_refuses_wrong_values(changes: dict[str, object]) -> None:
    with pytest.raises(ArtefactError):
        some_video(**changes)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_segment_refuses_wrong_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(ArtefactError):
        FakeSegment(*bounds, "visual")


def test_select_and_columns() -> None:
    manifest = Manifest.from_videos([some_video(i) for i in range(4)]).with_column(
        "split", ["train", "val", "test", "train"]
    )
    assert [video.video_id for video in manifest.select(split="train").videos()] == ["v0", "v3"]
    assert len(manifest.select(dataset="other")) == 0
    assert manifest.frame()["label"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("content", [b"", b"not parquet", None])
def test_damaged_manifest(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "manifest.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"manifest\.parquet"):
        Manifest.read(path)


def test_other_tables_and_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    ScoreTable.from_frame(pd.DataFrame({"video_id": ["a"], "condition": ["joint"]})).write(path)
    with pytest.raises(ArtefactError, match="expected a manifest, found a table of kind 'score table'"):
        Manifest.read(path)
    Manifest.from_videos([some_video()]).write(path)
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"veridical.schema_version": b"99"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(ArtefactError, match="schema version 99"):
        Manifest.read(path)


def score_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"video_id": ["a", "a", "b"], "start_s": [0.0, 1.0, 0.0], "condition": "joint", "logit": [0.1, -2.0, np.nan],
         "label": [0, 0, 1], "attributes": [{"race": "x"}, {}, {}]}
    )  # fmt: skip


def test_score_table_round_trip(tmp_path: Path) -> None:
    table = ScoreTable.from_frame(score_frame())
    table.write(tmp_path / "scores.parquet")
    frame = ScoreTable.read(tmp_path / "scores.parquet").frame()
    assert frame["logit"].isna().tolist() == [False, False, True]
    assert frame["attributes"].tolist()[0] == {"race": "x"}
    assert frame["label"].tolist() == [0, 0, 1]
    assert frame["p_fake"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_s": 0.0}, "occurs twice"),
        ({"logit": np.inf}, "infinite"),
        ({"p_fake": 1.5}, "p_fake"),
        ({"score": 1.0}, "columns not known"),
        ({"condition": None}, "needs a condition"),
    ],
)
def test_score_table_refuses(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        ScoreTable.from_frame(score_frame().assign(**change))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_halfway() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for text in ("one", "two"):
        with atomic_folder(path) as temporary:
            (temporary / text).write_text(text)
    assert [item.name for item in path.iterdir()] == ["two"]
    with pytest.raises(RuntimeError), atomic_folder(path):
        raise RuntimeError
    assert [item.name for item in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


def test_fingerprint_of_a_table_is_that_of_its_content() -> None:
    table = pa.table({"x": [1, 2, 3]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert fingerprint(table) == fingerprint(chunked.replace_schema_metadata({"k": "v"}))
    assert fingerprint(table) != fingerprint(pa.table({"x": [1, 2, 4]}))


def test_stamps_tell_files_from_others_wherever_they_lie(tmp_path: Path) -> None:
    path, size = tmp_path / "a", 300_000
    stamps = []
    for place in (None, 0, size - 1):
        content = bytearray(size)
        if place is not None:
            content[place] = 1
        path.write_bytes(content)
        stamps.append(file_stamp(path))
    path.write_bytes(bytes(size + 1))
    assert len({*stamps, file_stamp(path)}) == 4
    path.write_bytes(bytes(size))
    os.utime(path, (0, 0))
    assert file_stamp(path.rename(tmp_path / "b")) == stamps[0]
    assert file_stamp(tmp_path / "nothing") == file_stamp(tmp_path) == ""
    assert file_sha256(tmp_path / "b") == hashlib.sha256(bytes(size)).hexdigest()


def test_score_tables_carry_the_aggregation_rule(tmp_path: Path) -> None:
    rule = Aggregation(rule="top-k", top_k=2)
    ScoreTable.from_frame(score_frame(), rule).write(tmp_path / "scores.parquet")
    table = ScoreTable.read(tmp_path / "scores.parquet")
    assert table.aggregation == rule
    plain = ScoreTable.from_frame(score_frame())
    plain.write(tmp_path / "plain.parquet")
    assert ScoreTable.read(tmp_path / "plain.parquet").aggregation is None
    assert table.fingerprint == plain.fingerprint, "the scores are the same"
    other = ScoreTable.from_frame(score_frame().assign(video_id=["c", "c", "d"]), rule)
    assert ScoreTable.concat([table, other]).aggregation == rule
    assert len(ScoreTable.concat([table, other])) == 6
    for rules in ((rule, Aggregation(rule="top-k", top_k=3)), (rule, None)):
        parts = [ScoreTable(part.table, one) for part, one in zip((table, other), rules, strict=True)]
        with pytest.raises(ArtefactError, match=r"different rules .*\(top-2 and (top-3|none)\); evaluate them apart"):
            ScoreTable.concat(parts)
