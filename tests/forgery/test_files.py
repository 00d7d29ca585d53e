"""Forging at file level: labels and facts in the manifest, equal encoding, resuming, bad videos."""

from __future__ import annotations

import csv
import errno
import os
import wave
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.base.clock import Clock
from tests.forgery.working import full_maker, unlucky_maker

from veridical.artefacts import Manifest, Video, locked
from veridical.errors import UsageError, VeridicalError
from veridical.forgery import FORGERIES, files, forge, making, reading
from veridical.machine import processes
from veridical.media import audio_samples, probe, video_frames, write_video

FRAMES = 16
METHODS = ("face_swap", "voice_vocoded", "desync", "lip_dub_partial")


@pytest.fixture
def world(tmp_path, footage_of, monkeypatch):
    """Two people in train, one in test, two takes each, as files; landmarks are given instead of detected."""
    landmarks: dict[bytes, np.ndarray] = {}
    videos = []
    for person, split in ((0, "train"), (1, "train"), (2, "test")):
        for take in (0, 1):
            footage = footage_of(person, take, num_frames=FRAMES)
            path = tmp_path / "in" / f"p{person}-{take}.mp4"
            write_video(path, footage.frames, fps=footage.fps, samples=footage.samples, crf=10)
            landmarks[_key(next(video_frames(path)).image)] = footage.landmarks.astype(np.float64)
            facts = {"label": 0, "visual_label": 0, "audio_label": 0, "identities": (f"p{person}",), "split": split}
            videos.append(Video("d", f"d/p{person}/{take}", str(path), has_audio=True, **facts))

    def known(frames):
        unscaled = footage_of(0, num_frames=FRAMES).landmarks * (frames.shape[2] / 128)
        points = landmarks.get(_key(frames[0]), unscaled)[: len(frames)]
        return points, np.ones(len(points), bool)

    monkeypatch.setattr(reading, "track_landmarks", known)
    return Manifest.from_videos(videos)


def _key(image: np.ndarray) -> bytes:
    return image.tobytes()


def _forged(world: Manifest, folder: Path, **options):
    return forge(world, folder, **{"methods": METHODS, "preset": "ultrafast", "workers": 0, **options})


def test_every_row_says_what_was_made(world, tmp_path):
    report = _forged(world, tmp_path / "out")
    rows = {video.video_id: video for video in report.manifest.videos()}
    reals = {video.video_id: video for video in world.videos()}
    assert set(reals) <= set(rows)
    fakes = [video for video in rows.values() if video.label == 1]
    assert len(fakes) == 2 * len(METHODS) * 2 + 2 * (len(METHODS) - 1), "the test speaker has no donor of a face"
    for fake in fakes:
        target = reals[fake.attributes["original"]]
        forgery = FORGERIES[fake.generator]
        assert (fake.visual_label, fake.audio_label) == (int(forgery.visual), int(forgery.audio))
        assert fake.split == target.split
        assert fake.group is not None
        assert fake.attributes["target"] == target.identities[0] == fake.identities[0]
        assert len(fake.identities) == (2 if forgery.donor == "other_speaker" else 1)
        assert bool(fake.fake_segments) == fake.generator.endswith("_partial")
        if forgery.donor != "none":
            donors = [real for real in reals.values() if fake.attributes["donor"] in real.identities]
            assert donors
            assert {donor.split for donor in donors} == {target.split}
            assert fake.attributes["donor"] in fake.identities
    assert report.count("face_swap", "no_donor") == 2
    assert report.count("face_swap", "ok", "train") == 4
    assert report.count("face_swap", "ok", "test") == 0


def test_reals_and_fakes_are_encoded_alike(world, tmp_path):
    report = _forged(world, tmp_path / "out", compression=["c28"])
    facts = {}
    for video in report.manifest.videos():
        written = probe(Path(video.path))
        assert written.codec == video.codec
        assert written.container == video.attributes["container"]
        assert written.width == video.width
        assert video.compression == "c28"
        alike = (written.codec, written.pixel_format, written.fps, written.width, written.height, written.audio_codec)
        alike += (written.audio_rate_hz, written.container, round(written.duration_s, 3))
        alike += (len(audio_samples(Path(video.path))),)
        facts.setdefault(alike, set()).add(video.label)
    assert list(facts.values()) == [{0, 1}]


def test_every_level_has_every_video_of_both_classes(world, tmp_path):
    one = _forged(world, tmp_path / "one", methods=("voice_vocoded", "self_blend"))
    report = _forged(world, tmp_path / "all", methods=("voice_vocoded", "self_blend"), compression=["c0", "c23", "c40"])
    rows = list(report.manifest.videos())
    assert len(rows) == 3 * len(one.manifest), "forged once, written three times"
    assert len({video.video_id for video in rows}) == len({video.path for video in rows}) == len(rows)
    by_level = {level: {(v.video_id.removesuffix(f"@{level}"), v.label) for v in rows if v.compression == level}
                for level in ("c0", "c23", "c40")}  # fmt: skip
    wanted = {(video.video_id, video.label) for video in one.manifest.videos()}
    assert list(by_level.values()) == [wanted] * 3, "the level tells nothing about the class"
    ids = {video.video_id: video for video in rows}
    for video in rows:
        assert video.group == ids[video.video_id.replace(video.compression, "c0")].group
        if video.label == 1:
            original = ids[video.attributes["original"]]
            assert (original.label, original.compression) == (0, video.compression), "pairs are of one level"
    bitrates = {
        level: np.mean([v.bitrate for v in rows if v.compression == level and v.label == 0]) for level in by_level
    }
    assert bitrates["c0"] > bitrates["c23"] > bitrates["c40"], "the reals are written again at each level"
    assert {video.codec for video in rows} == {"h264"}


def test_people_without_names_share_a_group_over_levels(world, tmp_path):
    nameless = Manifest.from_videos(replace(video, identities=()) for video in world.videos())
    report = _forged(nameless, tmp_path / "out", methods=("desync",), compression=["c23", "c40"])
    groups = Counter(video.group for video in report.manifest.videos())
    assert sorted(groups.values()) == [4] * len(world), "real and fake at two levels"


@pytest.mark.parametrize("levels", [[], ["23"], ["c52"], ["c23", "c23"], ["c23", "raw"]])
def test_wrong_levels_are_refused(world, tmp_path, levels):
    with pytest.raises(UsageError, match="for example c0,c23,c40"):
        _forged(world, tmp_path / "out", compression=levels)


def test_levels_go_with_reals_that_are_written_again(world, tmp_path):
    with pytest.raises(UsageError, match="keep-reals"):
        _forged(world, tmp_path / "out", compression=["c0", "c23"], reencode_reals=False)


def test_the_same_frames_give_the_same_file(world, tmp_path):
    runs = []
    for run in range(3):
        folder = tmp_path / str(run)
        report = _forged(world, folder, methods=("lip_dub",), preset="medium")
        runs.append([Path(video.path).read_bytes() for video in report.manifest.videos()])
    assert len(runs[0]) > len(world)
    assert runs[0] == runs[1] == runs[2]


def test_a_crash_and_a_hang_cost_one_video_each(world, tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(processes, "time", clock)
    monkeypatch.setattr(files, "run_jobs", clock.forward_after(processes.run_jobs, 2 * len(world) - 1, seconds=600))
    monkeypatch.setattr(files, "maker", unlucky_maker)
    report = _forged(world, tmp_path / "out", methods=("desync",), workers=2, timeout_s=600)
    assert {name: report.count("desync", name) for name in ("ok", "died", "timeout")} == {
        "ok": 4,
        "died": 1,
        "timeout": 1,
    }
    reasons = {outcome.status: outcome.reason for outcome in report.outcomes}
    assert "SIGABRT" in reasons["died"]
    assert "600 s" in reasons["timeout"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_ends_the_run_and_names_the_file(world, tmp_path, monkeypatch, workers):
    """The third file finds no room (in a worker: the first): two are kept, no other is tried."""
    written = []

    def write_three(path, *arguments, **options):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write_video(path, *arguments, **options)

    monkeypatch.setattr(making, "write_video", write_three)
    monkeypatch.setattr(files, "maker", full_maker if workers else making.maker)
    with pytest.raises(VeridicalError, match=r"out/videos/.*mp4: cannot be written: No space left.* make room there"):
        _forged(world, tmp_path / "out", workers=workers)
    assert len(list((tmp_path / "out").rglob("*.mp4"))) == len(written) == (0 if workers else 2)


def test_what_is_not_forged_survives_the_encoder(world, tmp_path):
    """The video streams of an audio forgery and of the re-encoded real are identical, frame by frame."""
    report = _forged(world, tmp_path / "out", methods=("voice_vocoded",))
    rows = {video.video_id: video for video in report.manifest.videos()}
    real, fake = (rows[name] for name in ("d/p0/0", "d/p0/0/voice_vocoded"))
    pairs = list(zip(video_frames(Path(real.path)), video_frames(Path(fake.path)), strict=True))
    assert len(pairs) == FRAMES
    assert all(np.array_equal(first.image, second.image) for first, second in pairs)
    assert not np.array_equal(audio_samples(Path(real.path)), audio_samples(Path(fake.path)))


def test_a_second_run_keeps_what_is_finished(world, tmp_path):
    folder = tmp_path / "out"
    first = _forged(world, folder)
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    lost, unfinished = sorted(folder.rglob("face_swap/*.mp4"))[:2]
    lost.unlink()
    unfinished.with_suffix(".json").unlink()
    again = _forged(world, folder)
    assert again.manifest.fingerprint == first.manifest.fingerprint
    changed = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert changed == {lost, unfinished}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 asked for"),
        ({"preset": "superfast"}, "preset: 'ultrafast' there"),
        ({"severity": (1.0, 1.0)}, "severity.0: 0.25 there"),
        ({"max_side": 64}, "max_side: 1280 there"),
        ({"methods": ("desync",)}, "methods.0: 'self_blend' there"),
    ],
)
def test_other_settings_need_another_folder(world, tmp_path, change, named):
    folder = tmp_path / "out"
    _forged(world, folder, methods=("self_blend",), per_video=1)
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    with pytest.raises(UsageError, match=named):
        _forged(world, folder, **{"methods": ("self_blend",), "per_video": 1, **change})
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}, "nothing is overwritten"


def test_videos_of_earlier_methods_stay(world, tmp_path):
    folder = tmp_path / "out"
    both = _forged(world, folder, methods=("self_blend", "desync"))
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}
    fewer = _forged(world, folder, methods=("desync",))
    assert {video.video_id for video in fewer.manifest.videos()} == {video.video_id for video in both.manifest.videos()}
    assert fewer.count("self_blend", "ok") == 0, "the outcomes are of what was asked for"
    more = _forged(world, folder, methods=("lip_dub",))
    assert len(more.manifest) == len(both.manifest) + more.num_fakes
    assert stamps.items() <= {path: path.stat().st_mtime_ns for path in folder.rglob("*.mp4")}.items()


def test_videos_of_another_split_are_told_of_and_made_again(world, tmp_path, monkeypatch):
    folder, said = tmp_path / "out", []
    monkeypatch.setattr(files.progress, "say", said.append)
    _forged(world, folder, methods=("self_blend", "desync"))
    moved = Manifest.from_videos(replace(video, split="val") for video in world.videos())
    again = _forged(moved, folder, methods=("desync",))
    assert {video.split for video in again.manifest.videos()} == {"val"}, "no video keeps the split of before"
    assert {video.generator for video in again.manifest.videos()} == {None, "desync"}
    assert "12 finished videos are made again" in said[0]
    assert "target.split: 'train' there, 'val' now" in said[0]
    assert "6 others were made from something else" in said[1]


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_read(world, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "run_jobs", lambda *_, **__: pytest.fail("work before the refusal"))
    (tmp_path / "file").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    for folder, reason in (("file", "is a file"), ("file/out", "not a folder that you may"), ("photos", "holds files")):
        with pytest.raises(VeridicalError, match=reason):
            _forged(world, tmp_path / folder)


def test_one_process_at_a_time_forges_into_a_folder(world, tmp_path):
    folder = tmp_path / "out"
    with locked(folder, "corpus"), pytest.raises(UsageError, match="another process is writing to this corpus"):
        _forged(world, folder)
    assert _forged(world, folder, methods=("desync",)).num_fakes


def test_bad_videos_are_counted_and_the_rest_is_made(world, tmp_path):
    text, empty = tmp_path / "in" / "text.mp4", tmp_path / "in" / "empty.mp4"
    text.write_text("this is not a video")
    empty.touch()
    short = tmp_path / "in" / "short.mp4"
    write_video(short, np.zeros((5, 64, 64, 3), np.uint8), fps=25)
    bad = [
        Video("d", f"d/{path.stem}", str(path), label=0, identities=("p0",), split="train")
        for path in (text, empty, short, tmp_path / "missing.mp4")
    ]
    manifest = Manifest.concat([Manifest.from_videos(bad), world])
    report = _forged(manifest, tmp_path / "out", methods=("voice_vocoded",))
    assert report.count("real", "unreadable") == 3
    assert report.count("real", "too_short") == 1
    assert report.count("real", "ok") == len(world)
    assert report.count("voice_vocoded", "ok") == len(world)
    assert len(report.manifest) == 2 * len(world)
    report.write_outcomes(tmp_path / "outcomes.csv")
    with (tmp_path / "outcomes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (len(world) + 4)
    reasons = [row["reason"] for row in rows if row["status"] != "ok"]
    assert len(reasons) == 2 * 4
    assert all(reasons)


def test_missing_audio_is_noticed_where_the_manifest_does_not_say_so(world, tmp_path, footage_of, monkeypatch):
    path = tmp_path / "in" / "silent.mp4"
    footage = footage_of(5, audio=False)
    write_video(path, footage.frames, fps=25)
    monkeypatch.setattr(reading, "track_landmarks", lambda frames: (footage.landmarks, np.ones(len(frames), bool)))
    manifest = Manifest.from_videos([Video("d", "d/silent", str(path), label=0)])
    report = _forged(manifest, tmp_path / "out", methods=("voice_vocoded", "self_blend"))
    assert report.count("voice_vocoded", "no_sound") == 1
    assert [(video.label, video.has_audio, video.audio_label) for video in report.manifest.videos()] == [
        (0, False, None),
        (1, False, None),
    ]


def test_reals_can_be_left_as_they_are(world, tmp_path):
    report = _forged(world, tmp_path / "out", methods=("desync",), reencode_reals=False)
    paths = {video.video_id: video.path for video in report.manifest.videos() if video.label == 0}
    assert paths == {video.video_id: video.path for video in world.videos()}
    assert not list((tmp_path / "out").rglob("real/*.mp4"))


def test_masks_are_written_beside_the_videos(world, tmp_path):
    report = _forged(world, tmp_path / "out", methods=("self_blend",), masks=True)
    fake = next(video for video in report.manifest.videos() if video.label == 1)
    stored = np.load(Path(fake.path).with_suffix(".mask.npz"))
    mask = np.unpackbits(stored["bits"])[: np.prod(stored["shape"])].reshape(stored["shape"])
    assert mask.shape == (FRAMES, 112, 128)
    assert 0.02 < mask.mean() < 0.9


def test_wrong_numbers_are_refused(world, tmp_path):
    with pytest.raises(UsageError, match="workers"):
        _forged(world, tmp_path / "out", workers=-1)
    for limits in ({"max_seconds": -3.0}, {"max_seconds": float("nan")}, {"max_side": 0}):
        with pytest.raises(UsageError, match="max_seconds and max_side above 0"):
            _forged(world, tmp_path, methods=("self_blend",), **limits)


def test_long_and_large_videos_are_cut_alike(world, tmp_path):
    report = _forged(world, tmp_path / "out", methods=("desync",), max_seconds=0.6, max_side=100)
    sizes = {(video.width, video.height, round(video.duration_s, 2)) for video in report.manifest.videos()}
    assert sizes == {(100, 88, 0.6)}


@pytest.mark.slow
def test_worker_processes_make_the_same_videos(tmp_path):
    """With real detectors on synthetic people: two workers and one make the same, to the byte."""
    from veridical.puppets import render_corpus

    manifest = render_corpus(
        tmp_path / "in", name="t", num_identities=2, videos_per_identity=2, duration_s=1.2, seed=3, workers=1
    )
    reports = [
        forge(
            manifest, tmp_path / f"out{workers}", methods=("face_swap", "lip_dub"), workers=workers, compression=["c0"]
        )
        for workers in (1, 2)
    ]
    columns = [name for name in reports[0].manifest.table.schema.names if name != "path"]
    assert reports[0].count("face_swap", "ok") >= 3
    first, second = (report.manifest.table.select(columns) for report in reports)
    assert first.equals(second)
    pairs = zip(*(report.manifest.videos() for report in reports), strict=True)
    assert all(Path(alone.path).read_bytes() == Path(shared.path).read_bytes() for alone, shared in pairs)
    assert os.path.commonpath([video.path for video in reports[1].manifest.videos()]).startswith(str(tmp_path / "out2"))


def test_audio_beside_a_silent_video_is_forged_and_kept(world, tmp_path):
    videos = []
    for video in world.videos():
        footage = [frame.image for frame in video_frames(Path(video.path))]
        silent, beside = (tmp_path / f"{Path(video.path).stem}{ending}" for ending in (".mp4", ".wav"))
        with wave.open(str(beside), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((audio_samples(Path(video.path)) * 32767).astype(np.int16).tobytes())
        write_video(silent, np.stack(footage), fps=probe(Path(video.path)).fps, crf=10)
        videos.append(replace(video, path=str(silent), attributes={"audio_path": str(beside)}))
    report = _forged(Manifest.from_videos(videos), tmp_path / "out", methods=("voice_vocoded",))
    rows = list(report.manifest.videos())
    assert rows, report.outcomes
    assert {video.generator for video in rows} == {None, "voice_vocoded"}
    for video in rows:
        assert video.has_audio
        assert audio_samples(Path(video.path)) is not None
        assert "audio_path" not in video.attributes
