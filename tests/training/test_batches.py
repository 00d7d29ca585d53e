"""Batches: balance, coverage, purity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.training.batches import BatchSettings, class_weights, count_paired, epoch_batches


def fabricate_index(num_real: int, fakes: dict[str, int], clips: int) -> pd.DataFrame:
    videos = [(f"real{i}", 0, None) for i in range(num_real)]
    videos += [(f"{name}{i}", 1, name) for name, count in fakes.items() for i in range(count)]
    rows = [(video, target, generator) for video, target, generator in videos for _ in range(clips)]
    frame = pd.DataFrame(rows, columns=["video_id", "target", "generator"])
    return frame.assign(row=np.arange(len(frame)))


@given(
    num_real=st.integers(1, 12),
    fakes=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    clips=st.integers(1, 7),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_balanced_batches(num_real: int, fakes: dict[str, int], clips: int, seed: int) -> None:
    index = fabricate_index(num_real, fakes, clips)
    choice = BatchSettings(videos=8, clips=4)
    batches = epoch_batches(index, choice, seed, "joint", 0)
    assert len(batches) == max(1, round(len(index) / 32))
    facts = index.set_index("row")
    for batch in batches:
        drawn = facts.loc[batch]
        assert len(batch) == 32
        assert drawn["target"].mean() == 0.5, "half of the clips are real, half fake"
        videos = drawn["video_id"].to_numpy().reshape(8, 4)
        assert (videos == videos[:, :1]).all(), "a video's clips stand next to each other"
        if clips >= 4:
            assert all(len(set(part)) == 4 for part in batch.reshape(8, 4)), "no clip twice where there are enough"
    names = facts.loc[np.concatenate(batches)].query("target == 1")["generator"].value_counts()
    if min(fakes.values()) >= -(-4 // len(fakes)):  # enough for a turn in every batch without the same video twice
        assert names.max() - names.reindex(list(fakes), fill_value=0).min() <= 4, "fakes go round the generators"


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    index = fabricate_index(10, {"a": 10}, 5)
    choice = BatchSettings()

    def draw(seed: int, stage: str, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(index.sample(frac=1, random_state=7), choice, seed, stage, epoch)).tolist()

    assert draw(0, "video", 0) == draw(0, "video", 0)
    assert len({tuple(draw(*key)) for key in ((0, "video", 0), (1, "video", 0), (0, "joint", 0), (0, "video", 1))}) == 4


def test_unbalanced_batches_draw_every_video_once() -> None:
    index = fabricate_index(6, {"a": 10}, 4)
    batches = epoch_batches(index, BatchSettings(videos=8, clips=4, balance="none"), 0, "joint", 0)
    assert sorted(np.concatenate(batches).tolist()) == index["row"].tolist()


def test_pairs_stand_in_one_batch_where_the_original_is_known() -> None:
    index = fabricate_index(6, {"a": 6, "b": 6}, 4)
    known = {f"{name}{i}": f"real{i}" for name in "ab" for i in range(5)} | {"a5": "of another split"}
    index["origin"] = index["video_id"].map(known)
    assert count_paired(index) == (10, 12)
    names = index.set_index("row")["video_id"]
    for batch in epoch_batches(index, BatchSettings(balance="pairs"), 0, "joint", 0):
        videos = names.loc[batch].to_numpy()[::4]
        for real, fake in zip(videos[:4], videos[4:], strict=True):
            assert real == known[fake] if str(known.get(fake)).startswith("real") else real.startswith("real")


def duplicates(index: pd.DataFrame, batches: list[Any], clips: int = 4) -> int:
    names = index.set_index("row")["video_id"]
    videos = [names.loc[batch].to_numpy()[::clips] for batch in batches]
    return sum(len(part) - len(set(part)) for part in videos)


@given(people=st.integers(4, 9), methods=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_no_video_stands_twice_in_a_batch_where_that_can_be_avoided(people: int, methods: int, seed: int) -> None:
    names = "abcd"[:methods]
    index = fabricate_index(people, dict.fromkeys(names, people), 4)
    index["origin"] = [
        f"real{video[1:]}" if video[0] in names and not video.startswith("real") else None
        for video in index["video_id"]
    ]
    for balance in ("classes", "pairs"):
        batches = epoch_batches(index, BatchSettings(balance=balance), seed, "joint", 0)
        # At the end of an epoch little is left to choose from.
        assert duplicates(index, batches[:-1]) == 0
    unbalanced = epoch_batches(index, BatchSettings(balance="none"), seed, "joint", 0)
    assert duplicates(index, unbalanced[:-1]) == 0


def test_pairs_of_one_original_repeat_it() -> None:
    index = fabricate_index(6, {"a": 18}, 4)
    index["origin"] = "real0"
    batches = epoch_batches(index, BatchSettings(balance="pairs"), 0, "joint", 0)
    assert len(batches) == 3
    for batch in batches:
        assert (index.set_index("row")["video_id"].loc[batch] == "real0").sum() == 16, "the other five are never drawn"


def test_hard_videos_come_more_often() -> None:
    index = fabricate_index(20, {"a": 40}, 4)
    hardness = {"a0": 20.0, **{f"a{i}": 0.1 for i in range(1, 40)}}
    names = index.set_index("row")["video_id"]

    def count(share: float, known: dict[str, float] | None) -> float:
        choice = BatchSettings(hard_examples=share)
        drawn = [np.concatenate(epoch_batches(index, choice, seed, "joint", 1, known)).tolist() for seed in range(15)]
        return float(np.mean([(names.loc[rows] == "a0").sum() / 4 for rows in drawn]))

    assert count(0.0, hardness) == count(0.5, {}) == count(0.5, None)
    assert count(0.3, hardness) > 3 * count(0.0, hardness)
    assert count(0.8, hardness) > count(0.3, hardness)


def test_class_weights_by_hand() -> None:
    index = fabricate_index(2, {"a": 6}, 4)
    real, fake = class_weights(index)
    assert (real, fake) == (2.0, pytest.approx(2 / 3))
    assert (index["target"].map({0: real, 1: fake})).mean() == pytest.approx(1)
