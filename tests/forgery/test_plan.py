"""The plan: donors never cross splits, methods are balanced, and what cannot be made is reported."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.artefacts import Manifest, Video
from veridical.errors import UsageError
from veridical.forgery import FORGERIES
from veridical.forgery.plan import plan_forgeries

METHODS = ("face_swap", "lip_dub", "voice_vocoded")


def videos(people: int, takes: int, splits: tuple[str | None, ...] = ("train", "test")) -> list[Video]:
    given = []
    for person in range(people):
        for take in range(takes):
            name, split = f"p{person}", splits[person % len(splits)]
            facts = {"label": 0, "identities": (name,), "split": split, "has_audio": True}
            given.append(Video("d", f"d/{name}/{take}", f"/nowhere/{name}-{take}.mp4", **facts))
    return given


@given(people=st.integers(1, 7), takes=st.integers(1, 4), seed=st.integers(0, 99), count=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_donors_come_from_the_split_and_are_who_they_must_be(people, takes, seed, count):
    reals = {video.video_id: video for video in videos(people, takes)}
    plan = plan_forgeries(Manifest.from_videos(reals.values()), METHODS, per_video=count, seed=seed)
    assert set(plan.tasks) == set(reals)
    for video_id, tasks in plan.tasks.items():
        target = reals[video_id]
        for task in tasks:
            needs = FORGERIES[task.method].donor
            assert (task.donor is None) == (needs == "none")
            assert 0.25 <= task.severity <= 0.75
            if task.donor is not None:
                assert task.donor.split == target.split
                assert task.donor.video_id != video_id
                assert (task.donor.identities == target.identities) == (needs == "same_speaker")
    assert sum(map(len, plan.tasks.values())) + len(plan.missing) == len(reals) * count


def test_methods_take_turns_within_each_split():
    plan = plan_forgeries(Manifest.from_videos(videos(6, 6)), METHODS, per_video=1)
    for split in (0, 1):
        counts = Counter(t.method for key, tasks in plan.tasks.items() if int(key[3]) % 2 == split for t in tasks)
        assert set(counts) == set(METHODS)
        assert max(counts.values()) == min(counts.values())


def test_every_method_once_by_default():
    plan = plan_forgeries(Manifest.from_videos(videos(4, 2)), METHODS)
    assert len(plan.tasks) == 8
    assert all([task.method for task in tasks] == list(METHODS) for tasks in plan.tasks.values())


def test_the_plan_depends_on_the_seed_and_on_nothing_else():
    manifest = Manifest.from_videos(videos(5, 3, (None,)))
    plans = [plan_forgeries(manifest, METHODS, seed=seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


def test_a_speaker_alone_in_a_split_has_no_donor():
    plan = plan_forgeries(Manifest.from_videos(videos(1, 1)), ("face_swap", "lip_dub", "self_blend"))
    assert [task.method for task in plan.tasks["d/p0/0"]] == ["self_blend"]
    assert [missing.reason.split(":")[0] for missing in plan.missing] == ["no_donor", "no_donor"]


def test_silent_videos_are_not_given_voices():
    silent = [Video("d", f"d/{n}", "x.mp4", label=0, identities=(str(n),), has_audio=False) for n in range(3)]
    plan = plan_forgeries(Manifest.from_videos(silent), ("voice_exchanged", "face_swap"))
    assert len(plan.tasks) == 3
    assert all([task.method for task in tasks] == ["face_swap"] for tasks in plan.tasks.values())
    assert {missing.reason.split(":")[0] for missing in plan.missing} == {"no_sound"}


def test_videos_without_identities_count_as_different_people():
    nameless = [Video("d", f"d/{n}", "x.mp4", label=0) for n in range(2)]
    plan = plan_forgeries(Manifest.from_videos(nameless), ("face_swap", "mouth_replaced"))
    assert plan.tasks["d/0"][0].donor.video_id == "d/1"
    assert {missing.method for missing in plan.missing} == {"mouth_replaced"}


def test_fakes_are_neither_targets_nor_donors():
    fakes = [Video("d", f"d/f{n}", "x.mp4", label=1, identities=(f"f{n}",), split="train") for n in range(9)]
    reals = videos(2, 1, ("train",))
    plan = plan_forgeries(Manifest.from_videos(reals + fakes), ("face_swap",))
    assert set(plan.tasks) == {"d/p0/0", "d/p1/0"}
    assert plan.tasks["d/p0/0"][0].donor.video_id == "d/p1/0"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ()}, "no method"),
        ({"methods": ("face_swop",)}, "face_swap"),
        ({"methods": ("face_swap", "face_swap")}, "at most once"),
        ({"per_video": 0}, "per_video"),
        ({"per_video": 4}, "per_video"),
        ({"severity": (0.5, 0.2)}, "severity"),
        ({"severity": (0.0, 1.5)}, "severity"),
    ],
)
def test_wrong_use_says_what_is_valid(wrong, message):
    with pytest.raises(UsageError, match=message):
        plan_forgeries(Manifest.from_videos(videos(2, 2)), **{"methods": METHODS, **wrong})


def test_a_manifest_without_reals_is_an_error():
    with pytest.raises(UsageError, match="label 0"):
        plan_forgeries(Manifest.from_videos([Video("d", "d/1", "x.mp4", label=1)]), METHODS)
