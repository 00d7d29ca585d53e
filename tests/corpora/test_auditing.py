"""The audit fires on planted shortcuts, stays silent on clean worlds, and its statistics agree with outside
references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from veridical.artefacts import Manifest, Video
from veridical.corpora import audit
from veridical.corpora.auditing import SEEN, UNSEEN
from veridical.corpora.separation import bins, folds, out_of_fold_rate, separation
from veridical.errors import UsageError

CONTENT = ("brightness", "contrast", "sharpness", "jpeg_grid", "box_size_px", "box_x", "box_y", "box_aspect")


def world(seed: int = 0, *, plant: str | None = None, people: int = 60) -> tuple[Manifest, pd.DataFrame]:
    """Return reals and fakes of two generators; everything but the planted property is alike."""
    rng = np.random.default_rng(seed)
    videos, clips = [], []
    for person in range(people):
        base, fps = rng.normal(size=len(CONTENT)), float(rng.choice([25, 30]))
        for kind in range(3):
            fake = int(kind > 0)
            onset = float(rng.exponential(0.1))
            facts: dict[str, object] = {"fps": fps, "duration_s": float(rng.uniform(3, 15)), "width": 640, "height": 360,
                                        "codec": "h264", "pixel_format": "yuv420p", "has_audio": True,
                                        "bitrate": int(rng.lognormal(13, 0.3)), "compression": "c23"}  # fmt: skip
            content = dict(zip(CONTENT, base + rng.normal(0, 0.1, len(CONTENT)), strict=True))
            if fake and plant == "has_audio":
                facts["has_audio"] = False
            if fake and plant == "fps":
                facts["fps"] = {25.0: 50.0, 30.0: 24.0}[fps]
            if fake and plant == "speech_onset_s":
                onset += 0.4
            if kind == 1 and plant == "codec":
                facts["codec"] = "vp9"
            if kind == 2 and plant == "sharpness":
                content["sharpness"] -= 4
            name = f"w/{person}/{kind}"
            videos.append(Video("w", name, "v", fake, fake, 0, generator=f"g{kind}" if fake else None,
                                identities=(f"p{person}",), **facts))  # type: ignore[arg-type]  # fmt: skip
            clips.append({"video_id": name, "start_s": 0.0, "speech_onset_s": onset, **content})
    return Manifest.from_videos(videos), pd.DataFrame(clips)


@pytest.mark.parametrize(("plant", "verdict"), [
    ("has_audio", "leak"), ("speech_onset_s", "leak"), ("sharpness", "leak"), ("codec", "warns"), ("fps", "warns"),
])  # fmt: skip
def test_planted_shortcuts_are_found(plant: str, verdict: str) -> None:
    result = audit(*world(plant=plant))
    rows = result.table.set_index("property")
    assert rows.loc[plant, "verdict"] == verdict
    assert rows.loc[plant, "advice"]
    assert set(rows.index[rows["verdict"].isin(["leak", "warns"])]) <= {plant, SEEN, UNSEEN}
    assert result.verdict == verdict
    assert (plant in result.leaks) == (verdict == "leak")


def test_the_generator_that_drives_it_is_named() -> None:
    rows = audit(*world(plant="codec")).table.set_index("property")
    assert (rows.loc["codec", "generator"], rows.loc["codec", "generator_auc"]) == ("g1", 1.0)


def test_clean_worlds_are_clean() -> None:
    assert [audit(*world(seed)).verdict for seed in range(3)] == ["ok"] * 3


def test_a_small_sample_is_never_certain() -> None:
    manifest, clips = world(plant="has_audio", people=9)
    result = audit(manifest, clips)
    assert result.verdict == "unknown"
    assert "only 9 groups" in result.table["reason"][0]


@pytest.mark.parametrize("people", [12, 14])
def test_a_perfect_separation_of_a_dozen_people_is_found(people: int) -> None:
    for seed in range(3):
        assert audit(*world(seed, plant="has_audio", people=people)).leaks[0] == "has_audio"
        assert audit(*world(seed, people=people)).leaks == ()


def test_chance_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(3)
    label = np.repeat([0, 1], 200)
    score = rng.normal(label * 0.2, 1.0)
    found = separation(score, label, np.arange(400), 0.65, either_direction=True)
    outside = scipy.stats.mannwhitneyu(score[label == 1], score[label == 0], method="asymptotic", use_continuity=False)
    assert found.p_chance == pytest.approx(outside.pvalue, rel=0.1)
    assert found.p_harmless > 0.9


def test_a_clear_but_harmless_relation_is_no_leak() -> None:
    manifest, clips = world(people=400)
    fake = clips["video_id"].str[-1] != "0"
    clips.loc[fake, "brightness"] += 0.3
    row = audit(manifest, clips).table.set_index("property").loc["brightness"]
    assert row["p_adjusted"] < 0.01
    assert 0.55 < row["auc"] < 0.65
    assert row["verdict"] == "ok"


def test_an_accepted_leak_is_no_leak_and_hides_no_other() -> None:
    result = audit(*world(plant="has_audio"), accept=["has_audio"])
    assert (result.verdict, result.leaks) == ("accepted", ())
    assert audit(*world(plant="sharpness"), accept=["has_audio"]).leaks
    with pytest.raises(UsageError, match="did you mean 'has_audio'"):
        audit(*world(), accept=["has_audo"])


def test_what_cannot_be_judged_says_why() -> None:
    manifest, _ = world(people=12)
    rows = audit(manifest).table.set_index("property")
    assert rows.loc["sharpness", "verdict"] == "unknown"
    assert "audit a store" in rows.loc["sharpness", "reason"]
    reals = Manifest(manifest.table.filter(np.array(manifest.table["label"].to_pylist()) == 0))
    assert "12 real and 0 fake" in audit(reals).table["reason"][0]


def joined(*manifests: Manifest, names: str = "abcdef") -> Manifest:
    """Put worlds below each other, each a data set of its own, of people of its own."""
    videos = []
    for name, manifest in zip(names, manifests, strict=False):
        for video in manifest.videos():
            people = tuple(f"{name}/{person}" for person in video.identities)
            videos.append(replace(video, dataset=name, video_id=f"{name}/{video.video_id}", identities=people))
    return Manifest.from_videos(videos)


def test_a_leak_of_one_data_set_is_found_beside_others() -> None:
    leaking = world(plant="has_audio", people=20)[0]
    others = [world(seed, people=60)[0] for seed in (1, 2, 3)]
    result = audit(joined(leaking, *others))
    rows = result.table[result.table["property"] == "has_audio"].set_index("dataset")
    assert set(rows.index) == {"all", "a", "b", "c", "d"}
    assert (rows.loc["a", "verdict"], rows.loc["a", "auc"]) == ("leak", 1.0)
    assert rows.loc["all", "auc"] < 0.65
    assert (rows.loc[["b", "c", "d"], "verdict"] == "ok").all()
    assert any(line.startswith("leak: has_audio in a") for line in result.remarks), result.remarks
    assert "has_audio" in result.leaks


def test_clean_data_sets_are_clean_together() -> None:
    assert audit(joined(*(world(seed)[0] for seed in range(4)))).verdict == "ok"


def test_a_data_set_of_one_class_is_judged_with_the_others_only() -> None:
    manifest = joined(world(people=30)[0], world(1, people=30)[0])
    reals = Manifest.from_videos(video for video in manifest.videos() if video.dataset == "a" or video.label == 0)
    table = audit(reals).table
    assert set(table["dataset"]) == {"all", "a"}


@pytest.mark.parametrize("name", ["has_audio", "compression", "bitrate", "codec"])
def test_what_is_unknown_is_no_class(name: str) -> None:
    """Most fakes were not probed, the reals were: that says nothing about the fakes."""
    manifest = world()[0]
    values = [getattr(video, name) if not video.label or number % 5 == 0 else None
              for number, video in enumerate(manifest.videos())]  # fmt: skip
    result = audit(manifest.with_column(name, values))
    row = result.table.set_index("property").loc[name]
    assert row["verdict"] == "ok", row
    assert row["num_fake"] < 30
    assert result.verdict == "ok", result.table
    words = manifest.with_column("codec", ["h264" if not video.label else "unknown" for video in manifest.videos()])
    assert audit(words).table.set_index("property").loc["codec", "verdict"] == "unknown"


def test_videos_that_were_not_prepared_say_nothing_about_their_content() -> None:
    manifest, clips = world()
    fake = clips["video_id"].str[-1] != "0"
    result = audit(manifest, clips[~fake | (clips.index % 7 == 0)])
    rows = result.table.set_index("property")
    assert rows.loc["prepared", "verdict"] == "warns"
    assert set(result.table.loc[result.table["verdict"] == "leak", "property"]) == set()


def test_a_generator_of_one_clip_is_not_named() -> None:
    manifest = world(plant="codec")[0]
    rare = [replace(video, generator=None if video.video_id.endswith("/1") and number % 2 else
                    "rare" if number == 1 else "g2" if number < 40 else video.generator) if video.label else video
            for number, video in enumerate(manifest.videos())]  # fmt: skip
    named = set(audit(Manifest.from_videos(rare)).table["generator"].dropna())
    assert named <= {"g1", "g2"}
    assert named


@pytest.mark.parametrize("loudness", [-np.inf, np.nan])
def test_a_class_without_a_finite_value_is_no_crash(loudness: float) -> None:
    """Digital silence has a loudness of minus infinity."""
    manifest, clips = world(people=20)
    fake = clips["video_id"].str[-1] != "0"
    clips["loudness_dbfs"] = np.where(fake, loudness, -20.0)
    assert audit(manifest, clips).table.set_index("property").loc["loudness_dbfs", "verdict"] == "unknown"


def test_fakes_of_one_person_are_no_crash() -> None:
    """Twelve reals of nine people, six fakes of a tenth: wherever fakes are trained on, only reals are left to test."""
    videos = [Video("w", f"w/{number}", "v", int(number >= 12), identities=(f"p{number % 9 if number < 12 else 9}",),
                    fps=25.0 + number % 2, codec="a", bitrate=number % 5) for number in range(18)]  # fmt: skip
    rows = audit(Manifest.from_videos(videos)).table.set_index("property")
    assert rows.loc[UNSEEN, "verdict"] == "unknown"
    assert "too few people of one class" in rows.loc[UNSEEN, "reason"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), reals=st.integers(1, 14), fakes=st.integers(1, 14), people=st.integers(1, 12))
def test_few_videos_are_no_crash(seed: int, reals: int, fakes: int, people: int) -> None:
    """However few there are of a class, and however few people: folds may hold one class, or nothing to train on."""
    rng = np.random.default_rng(seed)
    videos = [Video("w", f"w/{number}", "v", int(number >= reals), identities=(f"p{rng.integers(people)}",),
                    fps=float(rng.choice([25, 30])), codec=str(rng.choice(["a", "b"])), bitrate=int(rng.integers(9)),
                    has_audio=bool(rng.integers(2))) for number in range(reals + fakes)]  # fmt: skip
    table = audit(Manifest.from_videos(videos), seed=seed % 7).table
    assert set(table["verdict"]) <= {"leak", "warns", "ok", "unknown"}
    assert (table["reason"][table["verdict"] == "unknown"] != "").all()


def test_missing_values_separate_too() -> None:
    manifest, clips = world()
    fake = clips["video_id"].str[-1] != "0"
    clips.loc[fake, "speech_onset_s"] = np.nan
    assert "speech_onset_s" not in audit(manifest, clips).leaks  # no fake has the value: not comparable as it is
    clips.loc[fake & (clips.index % 7 == 0), "speech_onset_s"] = 0.1
    assert "speech_onset_s" in audit(manifest, clips).leaks


def test_sound_is_also_judged_against_the_audio_label() -> None:
    manifest, clips = world()
    audio = [int(name.endswith("2")) for name in manifest.table["video_id"].to_pylist()]
    clips["loudness_dbfs"] = np.where(clips["video_id"].str.endswith("2"), -10.0, -20.0) + clips["brightness"] * 0.1
    rows = audit(manifest.with_column("audio_label", audio), clips).table
    found = rows[rows["property"] == "loudness_dbfs"].set_index("target")["verdict"]
    assert dict(found) == {"label": "leak", "audio_label": "leak"}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), ties=st.booleans())
def test_area_is_that_of_scikit_learn(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    label = np.r_[0, 1, rng.integers(2, size=40)]
    score = rng.normal(label, 1.0).round(0 if ties else 9)
    found = separation(score, label, np.arange(42), 0.65, either_direction=False)
    assert found.auc == pytest.approx(roc_auc_score(label, score))
    assert found.low <= found.auc <= found.high
    turned = separation(-score, label, np.arange(42), 0.65, either_direction=True)
    assert turned.auc == pytest.approx(max(found.auc, 1 - found.auc))


def test_copies_of_videos_add_no_certainty() -> None:
    rng = np.random.default_rng(0)
    label, cluster = np.tile([0, 1], 30), np.repeat(np.arange(30), 2)
    score = rng.normal(label * 1.5, 1.0)
    once = separation(score, label, cluster, 0.65, either_direction=False)
    often = separation(np.tile(score, 9), np.tile(label, 9), np.tile(cluster, 9), 0.65, either_direction=False)
    assert often.p_chance == pytest.approx(once.p_chance, rel=0.05)
    assert often.p_harmless == pytest.approx(once.p_harmless, rel=0.05)


def test_the_interval_covers() -> None:
    rng = np.random.default_rng(1)
    truth = scipy.stats.norm.cdf(1.0 / np.sqrt(2))
    label = np.repeat([0, 1], 50)
    found = [
        separation(rng.normal(label, 1.0), label, np.arange(100), 0.65, either_direction=False) for _ in range(400)
    ]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


def test_categories_are_never_judged_by_their_own_fold() -> None:
    rng = np.random.default_rng(0)
    label, cluster = np.tile([0, 1], 100), np.repeat(np.arange(100), 2)
    fold = folds(cluster, rng)
    assert all(len(set(fold[cluster == name])) == 1 for name in range(100))
    unique = out_of_fold_rate(np.arange(200), label, fold)
    assert separation(unique, label, cluster, 0.65, either_direction=False).auc < 0.6


def test_a_constant_property_separates_nothing() -> None:
    rng = np.random.default_rng(0)
    label, cluster = np.r_[np.zeros(13, int), np.ones(24, int)], np.arange(37)
    score = out_of_fold_rate(np.zeros(37, int), label, folds(cluster, rng))
    assert separation(score, label, cluster, 0.65, either_direction=False).auc == 0.5


def test_bins_keep_missing_apart() -> None:
    found = bins(np.array([1.0, 2.0, np.nan, 3.0]))
    assert found[2] not in found[[0, 1, 3]]
