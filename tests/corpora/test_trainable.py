"""What cannot be trained is said by `split` and `forge`, and the remedy that they name helps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veridical.artefacts import Manifest, Video
from veridical.cli.main import build_app
from veridical.corpora import resampling_units, split, training_obstacles


def reals(people: int, videos: int = 2) -> Manifest:
    return Manifest.from_videos(
        Video("mine", f"p{person}/{number}", f"p{person}/{number}.mp4", 0, 0, 0, identities=(f"p{person}",))
        for person in range(people)
        for number in range(videos)
    )


def with_labels(labels: dict[str, Sequence[int]]) -> Manifest:
    return Manifest.from_videos(
        Video("mine", f"{name}-{number}", "x.mp4", label, split=name)
        for name, found in labels.items()
        for number, label in enumerate(found)
    )


@pytest.mark.parametrize("seed", range(5))
def test_six_people_are_too_few_for_a_fifth_and_the_remedy_helps(seed: int) -> None:
    (line,) = training_obstacles(split(reals(6), "stratified", fractions=(0.6, 0.2, 0.2), seed=seed).manifest)
    assert "val shows one person" in line
    found = re.search(r"--fractions ([\d.,]+\d),", line)
    assert found is not None
    fractions = [float(share) for share in found[1].split(",")]
    assert training_obstacles(split(reals(6), "stratified", fractions=fractions, seed=seed).manifest) == ()
    found = re.search(r"--fold (1/\d+)", line)
    assert found is not None
    assert training_obstacles(split(reals(6), "kfold", fold=found[1], seed=seed).manifest) == ()


def test_four_people_need_two_more() -> None:
    (line,) = training_obstacles(split(reals(4), "stratified", fractions=(0.5, 0.25, 0.25)).manifest)
    assert "add videos of 2 more people (4 now, 6 are the least)" in line


def test_enough_people_and_corpora_to_test_on_are_no_obstacle() -> None:
    assert training_obstacles(split(reals(10), "stratified", fractions=(0.6, 0.2, 0.2)).manifest) == ()
    assert training_obstacles(split(reals(2), "all-test").manifest) == ()
    assert training_obstacles(with_labels({"train": [0, 1], "val": [0, 1], "test": [0]})) == ()


def test_both_classes_are_needed_where_there_are_fakes() -> None:
    (line,) = training_obstacles(with_labels({"train": [0, 1], "val": [0]}))
    assert line.startswith("val has no fake video, so training will refuse")


def test_people_are_resampled_where_donors_tie_all_groups() -> None:
    videos = [
        Video(
            "a", f"{person}-{label}", "x", label, group="all", attributes={"target": f"p{person}"},
            identities=(f"p{person}", *([f"p{(person + 1) % 12}"] if label else [])),
        )
        for person in range(12) for label in (0, 1)
    ]  # fmt: skip
    tied = Manifest.from_videos(videos)
    names = tied.table["video_id"].to_pylist()
    units = resampling_units(tied, names)
    assert len(set(units)) == 12
    assert [units[0], units[2]] == [units[1], units[3]]
    apart = Manifest.from_videos(replace(video, group=video.attributes["target"]) for video in videos)
    assert resampling_units(apart, names[:4]) == ["p0", "p0", "p1", "p1"]


def test_split_says_so(tmp_path: Path) -> None:
    reals(6).write(tmp_path / "real.parquet")
    arguments = [
        "split",
        str(tmp_path / "real.parquet"),
        "-o",
        str(tmp_path / "split.parquet"),
        "--fractions",
        "0.6,0.2,0.2",
    ]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    assert "warning: faces and voices cannot be exchanged" in " ".join(result.output.split())
