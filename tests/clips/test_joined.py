"""Several stores seen as one: numbers, content and facts are those of the parts, and what does not fit is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.clips.making import SMALL, make_store

from veridical.clips import ClipStore, join_stores
from veridical.errors import ArtefactError, UsageError


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("joined")
    make_store(folder / "one", {"m": 3, "a": 2})
    make_store(folder / "two", {"z": 1, "b": 4, "nothing": 0})
    return [folder / "one", folder / "two"]


def test_clips_are_those_of_the_parts_in_any_order(paths: list[Path]) -> None:
    joined, parts = join_stores(paths), [ClipStore.open(path) for path in paths]
    index = joined.index()
    assert len(joined) == len(index) == 10
    assert index["row"].tolist() == list(range(10))
    rows = [9, 0, 5, 5, 3, 8, 1]
    for row, clip in zip(rows, joined.take(rows), strict=True):
        facts = index.loc[row]
        assert (clip.video_id, clip.start_s) == (facts["video_id"], facts["start_s"])
        part = parts[0] if facts["video_id"] in ("m", "a") else parts[1]
        own = part.take([part.rows_of(clip.video_id)[round(clip.start_s)]])[0]
        assert np.array_equal(own.frames, clip.frames)
        assert np.array_equal(own.samples, clip.samples)
    assert [index.loc[row, "video_id"] for row in joined.rows_of("b")] == ["b"] * 4


def test_facts_are_joined(paths: list[Path]) -> None:
    joined = join_stores(paths)
    assert sorted(joined.manifest().table["video_id"].to_pylist()) == ["a", "b", "m", "nothing", "z"]
    assert len(joined.ledger()) == 5
    assert joined.fingerprint not in {ClipStore.open(path).fingerprint for path in paths}
    assert joined.fingerprint != join_stores(paths[::-1]).fingerprint
    assert pickle.loads(pickle.dumps(joined)).fingerprint == joined.fingerprint
    assert join_stores(paths[:1]).fingerprint == ClipStore.open(paths[0]).fingerprint


def test_optional_content_counts_where_all_have_it(paths: list[Path], tmp_path: Path) -> None:
    make_store(tmp_path / "mouths", {"q": 1}, SMALL.model_copy(update={"mouths": True}))
    joined = join_stores([tmp_path / "mouths", paths[0]])
    assert joined.settings.contents == ()
    assert joined.take([0])[0].mouths is None


def test_what_does_not_fit_is_refused(paths: list[Path], tmp_path: Path) -> None:
    make_store(tmp_path / "larger", {"x": 1}, SMALL.model_copy(update={"crop_scale": 1.6}))
    with pytest.raises(UsageError, match=r"prepared with crop_scale=1\.6, .* with 1\.3; prepare them alike"):
        join_stores([paths[0], tmp_path / "larger"])
    with pytest.raises(UsageError, match="2 videos are in two of"):
        join_stores([paths[0], paths[0]])
    with pytest.raises(ArtefactError, match="no such clip store"):
        join_stores([paths[0], tmp_path / "none"])
    with pytest.raises(IndexError, match=r"rows must lie in \[0, 10\)"):
        join_stores(paths).take([10])
