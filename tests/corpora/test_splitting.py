"""Splits: disjoint by group, complete, near their shares, the same for the same seed; impossible wishes are errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.artefacts import Manifest, Video
from veridical.corpora import GROUP_BY, SCHEMES, SplitResult, leak_groups, prove, split, target_groups
from veridical.errors import UsageError

Make = Callable[..., Manifest]


def counts(result: SplitResult) -> dict[str, int]:
    return {name: int(result.proof.counts[name].sum()) for name in ("train", "val", "test", "unused")}


def splits(result: SplitResult) -> list[str | None]:
    return result.manifest.table["split"].to_pylist()


def is_pure(split_name: pd.Series, by: pd.Series) -> bool:
    """Say whether all rows with the same `by` are in one split."""
    return not pd.crosstab(by, split_name).astype(bool).sum(axis=1).gt(1).any()


def test_331_videos_give_265_33_33() -> None:
    kinds = [None, "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    manifest = Manifest.from_videos(
        Video("ff", f"ff/{i}", "v.mp4", int(kinds[i % 5] is not None), generator=kinds[i % 5], identities=(f"p{i}",))
        for i in range(331)
    )
    for seed in range(5):
        result = split(manifest, "stratified", seed=seed)
        assert counts(result) == {"train": 265, "val": 33, "test": 33, "unused": 0}
        assert result.proof.clean
        assert (result.proof.counts[["val", "test"]] >= 6).all(axis=None)


def test_every_generator_and_compression_has_its_share(swapped_pairs: Make) -> None:
    result = split(swapped_pairs(200, compressions=("c0", "c23", "c40")), "stratified")
    table = result.proof.counts
    assert len(table) == 5 * 3
    assert (table["train"] == 160).all()
    assert (table["val"] == 20).all()
    assert (table["test"] == 20).all()
    assert result.proof.clean


@st.composite
def corpora_(draw: st.DrawFn) -> Manifest:
    """Random people, fakes between random neighbours inside small families, so that groups stay small."""
    families = draw(st.lists(st.integers(1, 5), min_size=30, max_size=60))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    videos = []
    for family, size in enumerate(families):
        for person in range(size):
            name = f"f{family}p{person}"
            videos.append(
                Video("d", f"d/real/{name}", "v.mp4", 0, 0, 0, identities=(name,), attributes={"target": name})
            )
            donor = f"f{family}p{rng.integers(size)}"
            method = str(rng.choice(["a", "b"]))
            videos.append(
                Video("d", f"d/fake/{name}", "v.mp4", 1, 1, 0, generator=method, identities=tuple({name, donor}))
            )
    return Manifest.from_videos(videos)


@settings(max_examples=25, deadline=None)
@given(manifest=corpora_(), seed=st.integers(0, 100))
def test_stratified_is_disjoint_complete_proportional_and_deterministic(manifest: Manifest, seed: int) -> None:
    result = split(manifest, "stratified", seed=seed, fractions=(0.6, 0.2, 0.2))
    frame = result.manifest.frame(["video_id", "group", "split"])
    assert frame["split"].notna().all()
    assert is_pure(frame["split"], frame["group"])
    assert result.proof.clean
    largest = frame["group"].value_counts().max()
    for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert abs((frame["split"] == name).sum() - share * len(frame)) <= largest
    again = split(manifest, "stratified", seed=seed, fractions=(0.6, 0.2, 0.2))
    assert splits(again) == splits(result)
    assert splits(split(manifest, "stratified", seed=seed + 1, fractions=(0.6, 0.2, 0.2))) != splits(result)


def test_the_order_of_rows_does_not_change_the_groups(swapped_pairs: Make) -> None:
    manifest = swapped_pairs(20)
    order = np.random.default_rng(1).permutation(len(manifest))
    shuffled = Manifest(manifest.table.take(order))
    first = leak_groups(manifest).frame(["video_id", "group"]).set_index("video_id")["group"]
    second = leak_groups(shuffled).frame(["video_id", "group"]).set_index("video_id")["group"]
    pd.testing.assert_series_equal(first.sort_index(), second.sort_index())
    assert first.nunique() == 10


def test_each_link_ties(swapped_pairs: Make) -> None:
    def video(name: str, **facts: object) -> Video:
        return Video("d", name, "v.mp4", 0, **facts)  # type: ignore[arg-type]

    pairs = [
        (video("a1", identities=("x",)), video("a2", identities=("y", "x"))),
        (video("b1"), video("b2", attributes={"original": "b1"})),
        (video("c1", attributes={"original": "gone"}), video("c2", attributes={"original": "gone"})),
        (video("d1", attributes={"youtube_id": "k"}), video("d2", attributes={"youtube_id": "k"})),
        (video("e1", attributes={"part": "7"}), video("e2", attributes={"part": "7"})),
        (video("f1", sha256="00"), video("f2", sha256="00")),
        (video("g1", attributes={"perceptual_hash": "00ff00ff00ff00ff"}),
         video("g2", attributes={"perceptual_hash": "01ff00ff00ff00fe"})),
    ]  # fmt: skip
    manifest = leak_groups(Manifest.from_videos([one for pair in pairs for one in pair] + [video("alone")]))
    assert manifest.table["group"].to_pylist() == [v.video_id for a, _ in pairs for v in (a, a)] + ["alone"]


def test_leave_generator_out_holds_the_reals_of_the_test_groups_out(swapped_pairs: Make) -> None:
    result = split(swapped_pairs(100), "leave-generator-out", held_out="FaceSwap")
    table = result.proof.counts.set_index("generator")
    assert table.loc["FaceSwap", ["train", "val"]].sum() == 0
    assert table.loc["FaceSwap", "test"] == 10
    assert (table.loc[["Deepfakes", "Face2Face", "NeuralTextures"], "test"] == 0).all()
    assert list(table.loc["real", ["train", "val", "test"]]) == [80, 10, 10]
    assert result.proof.clean
    assert len(result.dropped) == counts(result)["unused"] == 90 + 30


def test_kfold_tests_every_video_once(swapped_pairs: Make) -> None:
    manifest = swapped_pairs(40)
    tested = [split(manifest, "kfold", fold=(k, 4)) for k in range(1, 5)]
    is_test = np.array([[name == "test" for name in splits(result)] for result in tested])
    is_val = np.array([[name == "val" for name in splits(result)] for result in tested])
    assert (is_test.sum(axis=0) == 1).all()
    assert (is_val.sum(axis=0) == 1).all()
    assert all(result.proof.clean for result in tested)
    assert "val" not in splits(split(manifest, "kfold", fold="1/2"))


def test_all_test(swapped_pairs: Make) -> None:
    result = split(swapped_pairs(4), "all-test")
    assert set(splits(result)) == {"test"}
    assert not result.proof.leaks


def test_one_huge_component_is_split_by_people(everyone_with_everyone: Make) -> None:
    manifest = everyone_with_everyone(120)
    assert len(set(leak_groups(manifest).table["group"].to_pylist())) == 1
    result = split(manifest, "stratified")
    assert result.proof.clean
    found = counts(result)
    assert found["train"] > found["test"] > 0
    assert 0 < found["unused"] == len(result.dropped) < 0.5 * len(manifest)
    assert "people were split" in result.notes[0]
    assert str(len(manifest)) in result.notes[0]
    groups = result.manifest.frame(["group", "split"])
    assert groups["group"].isna().equals(groups["split"].isna())
    assert is_pure(groups["split"].dropna(), groups["group"].dropna())


def test_grouping_by_target_keeps_all_and_reports_the_donors(everyone_with_everyone: Make) -> None:
    manifest = everyone_with_everyone(120)
    result = split(manifest, "stratified", group_by="target")
    assert counts(result)["unused"] == 0
    assert not result.proof.clean
    assert {leak.link for leak in result.proof.leaks if leak.keys} == {"identity"}
    frame = result.manifest.frame(["attributes", "split"])
    target = frame["attributes"].map(lambda attributes: attributes["target"])
    assert is_pure(frame["split"], target)


def test_a_few_people_with_most_videos_are_shared_out() -> None:
    sizes = [22, 21, 21, 21, 20, 20, 12, 11, 11, 11, 11, *[1] * 8]
    manifest = Manifest.from_videos(
        Video("d", f"d/{person}/{i}", "v.mp4", 0, identities=(f"p{person}",))
        for person, size in enumerate(sizes)
        for i in range(size)
    )
    drawn = set()
    for seed in range(6):
        result = split(manifest, "stratified", seed=seed, fractions=(0.6, 0.2, 0.2))
        people = result.manifest.frame(["group", "split"]).groupby("split")["group"]
        for name in ("val", "test"):
            counts_ = people.get_group(name).value_counts()
            # Twenty videos of two people would be 38 videos too, and say half as much.
            assert counts_.iloc[0] <= 22
            assert counts_.iloc[1] <= 12
            assert 34 <= counts_.sum() <= 42
        drawn.add(tuple(sorted(set(people.get_group("test")))))
        assert result.proof.groups == {name: people.get_group(name).nunique() for name in ("train", "val", "test")}
        assert any("of 19 leak groups" in note for note in result.notes)
    assert len(drawn) > 1


def test_a_real_that_names_no_target_is_with_the_fakes_that_show_its_person() -> None:
    videos = [Video("d", f"d/real{i}", "v.mp4", 0, identities=(f"p{i}",)) for i in range(4)]
    videos += [
        Video("d", f"d/fake{i}", "v.mp4", 1, identities=(f"p{i}", "p0"), attributes={"target": f"p{i}", "donor": "p0"})
        for i in range(4)
    ]
    groups = target_groups(Manifest.from_videos(videos))
    assert list(groups[:4]) == list(groups[4:])
    assert len(set(groups)) == 4


def official(name: str, place: str | None, *people: str) -> Video:
    attributes = {"official_split": place} if place else {}
    return Video("d", name, "v.mp4", 0, identities=people, attributes=attributes)


def test_repair_moves_small_groups_to_training() -> None:
    videos = [official(f"v{i:02d}", "train" if i < 20 else "val" if i < 30 else "test", f"p{i}") for i in range(40)]
    videos[25] = official("v25", "val", "p3")
    videos[35] = official("v35", "test", "p26")
    manifest = Manifest.from_videos(videos)
    as_published = split(manifest, "official")
    leaks = {(leak.first, leak.second): leak.keys for leak in as_published.proof.leaks if leak.link == "identity"}
    assert leaks == {("train", "val"): 1, ("train", "test"): 0, ("val", "test"): 1}
    repaired = split(manifest, "repaired")
    assert repaired.proof.clean
    assert repaired.moved.to_dict("records") == [
        {"video_id": "v25", "from": "val", "to": "train"},
        {"video_id": "v35", "from": "test", "to": "val"},
    ]
    assert counts(repaired) == {"train": 21, "val": 10, "test": 9, "unused": 0}


def test_repair_leaves_training_videos_out_where_groups_are_huge() -> None:
    videos = [official(f"v{i:02d}", "test" if i < 10 else "train", f"p{i % 15}") for i in range(30)]
    result = split(Manifest.from_videos(videos), "repaired")
    assert result.proof.clean
    assert counts(result)["test"] == 10
    assert set(result.dropped["reason"]) == {"shares a person, original or file with test"}
    assert not len(result.moved)


def test_videos_outside_the_official_lists_are_in_no_split() -> None:
    manifest = Manifest.from_videos([official("a", "train"), official("b", "test"), official("c", None)])
    result = split(manifest, "official")
    assert splits(result) == ["train", "test", None]
    assert result.dropped.to_dict("records") == [{"video_id": "c", "reason": "not in the official lists"}]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"scheme": "startified"}, "did you mean 'stratified'"),
        ({"scheme": "stratified", "group_by": "donor"}, "unknown group-by"),
        ({"scheme": "stratified", "fractions": (0.8, 0.1)}, "sum to 1"),
        ({"scheme": "stratified", "fractions": (0.8, 0.3, -0.1)}, "sum to 1"),
        ({"scheme": "stratified", "fractions": (0.0, 0.5, 0.5)}, "some train"),
        ({"scheme": "stratified", "held_out": "FaceSwap"}, "belongs to --scheme leave-generator-out"),
        ({"scheme": "official", "fractions": (0.8, 0.1, 0.1)}, "--fractions belongs to --scheme stratified and leave"),
        ({"scheme": "all-test", "group_by": "target"}, "--group-by belongs to --scheme stratified"),
        ({"scheme": "stratified", "fold": "1/5"}, "belongs to --scheme kfold"),
        ({"scheme": "kfold"}, "needs --fold"),
        ({"scheme": "kfold", "fold": "6/5"}, "K from 1 to N"),
        ({"scheme": "kfold", "fold": "one/5"}, "expected K/N"),
        ({"scheme": "kfold", "fold": "1/9"}, "cannot be in every split"),
        ({"scheme": "leave-generator-out"}, "Deepfakes, Face2Face, FaceSwap, NeuralTextures"),
        ({"scheme": "leave-generator-out", "held_out": "FaceSwp"}, "did you mean 'FaceSwap'"),
        ({"scheme": "official"}, "no video of ff has an official split"),
        ({"scheme": "repaired"}, "no video of ff has an official split"),
    ],
)
def test_impossible_wishes_are_errors(swapped_pairs: Make, wish: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(swapped_pairs(16), **wish)  # type: ignore[arg-type]


def test_too_few_groups_is_an_error_with_numbers() -> None:
    manifest = Manifest.from_videos(
        [official(f"r{i}", None, f"p{i}") for i in range(8)]
        + [Video("d", f"f{i}", "v.mp4", 1, generator="rare", identities=(f"p{i % 2}",)) for i in range(6)]
    )
    with pytest.raises(UsageError, match="the 6 videos of 'rare' cannot be in every split"):
        split(manifest, "stratified")
    assert split(manifest, "stratified", fractions=(0.5, 0, 0.5)).proof.clean


def test_an_empty_manifest_is_an_error(swapped_pairs: Make) -> None:
    with pytest.raises(UsageError, match="no videos"):
        split(Manifest(swapped_pairs(2).table.slice(0, 0)), "all-test")


def test_the_proof_sees_a_planted_leak(swapped_pairs: Make) -> None:
    result = split(swapped_pairs(40), "stratified")
    names = splits(result)
    names[0] = "val" if names[0] != "val" else "test"
    assert not prove(result.manifest.with_column("split", names)).clean


def test_names_are_documented() -> None:
    assert set(SCHEMES) == {"official", "repaired", "stratified", "leave-generator-out", "kfold", "all-test"}
    assert GROUP_BY == ("component", "identity", "target")
