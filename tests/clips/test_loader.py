"""Batches come in the order asked for, read ahead within bounds."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from tests.clips.making import make_store

from veridical.clips import ClipStore, iter_batches, iter_clips


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("loader") / "s", {"a": 3, "b": 2, "c": 4})


@pytest.mark.parametrize(("threads", "read_ahead"), [(1, 0), (1, 1), (3, 2), (2, 50)])
def test_batches_as_asked(store, threads, read_ahead):
    batches = [[0, 8], [3], [], np.array([5, 5, 1])]
    found = list(iter_batches(store, batches, threads=threads, read_ahead=read_ahead))
    index = store.index()
    keys = list(zip(index["video_id"], index["start_s"], strict=True))
    assert [[(clip.video_id, clip.start_s) for clip in clips] for clips in found] == [
        [keys[row] for row in rows] for rows in batches
    ]


def test_single_clips(store):
    starts = [(clip.video_id, clip.start_s) for clip in iter_clips(store, list(range(9)), batch_size=2)]
    assert starts == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0), ("c", 1), ("c", 2), ("c", 3)]


def test_reading_ahead_is_bounded_and_ends_with_the_caller(store, monkeypatch):
    taken = []
    real_take = ClipStore.take

    def take(self, rows):
        taken.append(list(rows))
        return real_take(self, rows)

    monkeypatch.setattr(ClipStore, "take", take)
    batches = iter_batches(store, itertools.repeat([0]), threads=2, read_ahead=3)
    for _ in range(5):
        next(batches)
    time.sleep(0.2)
    assert 5 <= len(taken) <= 9
    batches.close()
    assert len(taken) <= 9


def test_errors_reach_the_caller(store):
    with pytest.raises(IndexError, match=r"rows must lie in \[0, 9\)"):
        list(iter_batches(store, [[0], [9]]))
    with pytest.raises(ValueError, match="threads"):
        next(iter_batches(store, [[0]], threads=0))
