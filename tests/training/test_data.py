"""Training data: labels of clips and of videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny import tiny_recipe

from veridical.artefacts import FakeSegment, Manifest
from veridical.clips import ClipStore
from veridical.errors import UsageError
from veridical.training.batches import epoch_batches
from veridical.training.data import load_data


def test_genuine_seconds_of_partial_fakes_are_learned_as_real(store: ClipStore, tmp_path: Path) -> None:
    partial = (FakeSegment(1.0, 2.0, "visual"),)
    videos = [
        replace(video, fake_segments=partial if video.generator == "stripes" else ())
        for video in store.manifest().videos()
    ]
    Manifest.from_videos(videos).write(tmp_path / "manifest.parquet")
    recipe = tiny_recipe(store.path, data={"store": str(store.path), "manifest": str(tmp_path / "manifest.parquet")})
    clips = load_data(recipe.data, recipe.inputs).for_objective("video", "train")
    stripes = clips[clips["generator"] == "stripes"].sort_values(["video_id", "start_s"])
    assert stripes["target"].tolist() == [0, 1, 0] * 8
    for rows in epoch_batches(clips, recipe.batches, seed=0, stage="video", epoch=0):
        fakes = clips.set_index("row").loc[rows, ["video_id", "generator"]].drop_duplicates()["generator"] == "stripes"
        assert fakes.sum() == recipe.batches.videos // 2, "a partial fake counts as a fake in a balanced batch"


def test_a_manifest_of_other_videos_is_said(store: ClipStore, tmp_path: Path) -> None:
    videos = [replace(video, video_id=f"other/{video.video_id}") for video in store.manifest().videos()]
    Manifest.from_videos(videos).write(tmp_path / "manifest.parquet")
    recipe = tiny_recipe(store.path, data={"store": str(store.path), "manifest": str(tmp_path / "manifest.parquet")})
    with pytest.raises(UsageError, match=r"holds none of the videos of .*manifest.parquet"):
        load_data(recipe.data, recipe.inputs)
