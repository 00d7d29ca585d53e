"""Every video ends in the ledger; interruptions, failures and later additions leave a store that can be continued."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.base.clock import Clock
from tests.preparation.making import SMALL, Hanging, MarkerTools, manifest_of, write_marked

from veridical.artefacts import Manifest, Video
from veridical.clips import ClipStore, ClipWriter, StoreSettings, verify
from veridical.clips import writer as writer_file
from veridical.errors import ArtefactError, MissingWeightsError, UsageError
from veridical.machine import WorkerFailedError, processes
from veridical.preparation import Tools, jobs, prepare, preparing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    sound = (0.1 * np.sin(np.arange(80000) / 8)).astype(np.float32)
    return [
        write_marked(folder / f"v{number:02}.mp4", 25 + 20 * number, samples=sound if number % 2 else None)
        for number in range(6)
    ]


def run(manifest: Manifest, path: Path, settings: StoreSettings | None = SMALL, **options):
    return prepare(manifest, path, settings, **{"workers": 0, "make_tools": MarkerTools, **options})


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store"
    summary = run(manifest_of(*videos), path)
    assert summary.counts == {"ok": 6}
    return ClipStore.open(path)


def test_bad_input_gets_status_and_reason_and_the_rest_is_prepared(tmp_path, videos):
    good = videos[5]
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 99)
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    write_marked(tmp_path / "no_face.mp4", 50, faces=lambda _: "none")
    write_marked(tmp_path / "no_sound.mp4", 50)
    write_marked(tmp_path / "two_faces.mp4", 50, faces=lambda _: "two")
    write_marked(tmp_path / "short.mp4", 20)
    expected = {
        "good": ("ok", ""),
        "text": ("unreadable", "not a video"),
        "zero": ("unreadable", "empty"),
        "cut": ("unreadable", "cut short"),
        "gone": ("unreadable", "no such file"),
        "no_face": ("no_face", "no face was found"),
        "no_sound": ("ok", ""),
        "two_faces": ("ok", ""),
        "short": ("too_short", "0.80 s"),
    }
    (tmp_path / "good.mp4").write_bytes(good.read_bytes())
    manifest = manifest_of(*(tmp_path / f"{name}.mp4" for name in expected))
    summary = run(manifest, tmp_path / "store", workers=1)
    ledger = summary.ledger.set_index("video_id")
    assert {name: ledger.loc[name, "status"] for name in expected} == {
        name: status for name, (status, _) in expected.items()
    }
    for name, (_, reason) in expected.items():
        assert reason in ledger.loc[name, "reason"], name
    assert summary.counts == {"ok": 3, "unreadable": 4, "no_face": 1, "too_short": 1}
    assert summary.num_clips == 5 + 2 + 2 * 2
    assert set(summary.failures["video_id"]) == {"text", "zero", "cut", "gone", "no_face", "short"}
    assert verify(ClipStore.open(tmp_path / "store")) == []


def test_unexpected_errors_are_the_videos_own(tmp_path, videos, monkeypatch):
    def fails(source, *_):
        raise (MemoryError if source.path.stem == "v01" else KeyError)("deep inside")

    monkeypatch.setattr(jobs, "plan_clips", fails)
    ledger = run(manifest_of(*videos[:2]), tmp_path / "s").ledger
    assert list(ledger["status"]) == ["unreadable", "over_limit"]
    assert ledger["reason"][0] == "KeyError: 'deep inside'"


def test_limit_additions_and_nothing_to_do(tmp_path, videos, whole):
    path = tmp_path / "s"
    first = run(manifest_of(*videos[:4]), path, limit=3)
    assert (first.num_prepared, first.num_pending, len(first.ledger)) == (3, 1, 3)
    second = run(manifest_of(*videos), path)
    assert (second.num_prepared, second.num_pending, len(second.ledger)) == (3, 0, 6)
    third = run(manifest_of(*videos), path, None)
    assert (third.num_prepared, third.counts) == (0, {"ok": 6})
    assert ClipStore.open(path).fingerprint == whole.fingerprint
    assert len(ClipStore.open(path).manifest()) == 6
    assert run(manifest_of(*videos[:2]), path).counts == {"ok": 2}


def test_only_a_status_is_done_again(tmp_path, videos):
    broken = tmp_path / "broken.mp4"
    broken.write_text("this is not a video\n" * 99)
    manifest = manifest_of(*videos[:2], broken)
    assert run(manifest, tmp_path / "s").counts == {"ok": 2, "unreadable": 1}
    assert run(manifest, tmp_path / "s").num_prepared == 0
    again = run(manifest, tmp_path / "s", only_status=["unreadable", "timeout"])
    assert (again.num_prepared, again.counts) == (1, {"ok": 2, "unreadable": 1})
    broken.write_bytes(videos[2].read_bytes())
    assert run(manifest, tmp_path / "s").counts == {"ok": 3}, "a file that was mended is noticed"
    assert verify(ClipStore.open(tmp_path / "s")) == []
    with pytest.raises(UsageError, match=r"unknown status 'timeuot'.*timeout"):
        run(manifest, tmp_path / "s", only_status=["timeuot"])
    with pytest.raises(UsageError, match="no such clip store yet"):
        run(manifest, tmp_path / "other", only_status=["unreadable"])
    assert not (tmp_path / "other").exists()


def test_other_settings_are_refused(tmp_path, videos):
    run(manifest_of(videos[0]), tmp_path / "s")
    with pytest.raises(UsageError, match=r"crop_size: 64 there, 96 asked for"):
        run(manifest_of(*videos), tmp_path / "s", StoreSettings(crop_size=96))
    assert len(ClipStore.open(tmp_path / "s").ledger()) == 1


def test_time_limit(tmp_path, videos, monkeypatch):
    hangs = tmp_path / "hangs"
    monkeypatch.setattr(processes, "time", Clock(lambda: 600 * hangs.exists()))
    long = write_marked(tmp_path / "long.mp4", 150)
    manifest = manifest_of(long, videos[0])
    summary = run(manifest, tmp_path / "s", workers=1, timeout_s=600, make_tools=Hanging(hangs))
    assert summary.ledger.set_index("video_id")["status"].to_dict() == {"long": "timeout", videos[0].stem: "ok"}
    assert run(manifest_of(long, videos[0]), tmp_path / "s", only_status=["timeout"]).counts == {"ok": 2}


class NoTools(Tools):
    def load(self) -> None:
        raise MissingWeightsError("put the file here")


def test_missing_weights_blame_no_video(tmp_path, videos):
    with pytest.raises(MissingWeightsError, match="put the file here"):
        run(manifest_of(*videos), tmp_path / "s", make_tools=NoTools)
    assert not (tmp_path / "s").exists(), "no store is left behind"
    run(manifest_of(videos[0]), tmp_path / "s")
    for workers in (0, 1):
        with pytest.raises((MissingWeightsError, WorkerFailedError), match="put the file here"):
            run(manifest_of(*videos), tmp_path / "s", workers=workers, make_tools=NoTools)
    assert len(ClipStore.open(tmp_path / "s").ledger()) == 1


def test_a_second_run_is_refused(tmp_path, videos):
    run(manifest_of(videos[0]), tmp_path / "s")
    with ClipWriter(tmp_path / "s"), pytest.raises(UsageError, match="another process is writing"):
        run(manifest_of(*videos), tmp_path / "s")


def test_what_is_no_store_is_left_alone(tmp_path, videos):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(UsageError, match=r"holds files and is not a clip store \(no store.json\)"):
        run(manifest_of(videos[0]), tmp_path / "photos")
    with pytest.raises(UsageError, match="is a file, and a clip store is a folder"):
        run(manifest_of(videos[0]), tmp_path / "photos" / "a.jpg")
    with pytest.raises(ArtefactError, match=r"is not a clip store \(no store.json\)"):
        ClipStore.open(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("table", ["clips.lance", "ledger.lance"])
def test_full_disk_when_committing(tmp_path, videos, whole, monkeypatch, table):
    path, real_append, left = tmp_path / "s", writer_file._append, [2]

    def append(rows, where: Path):
        left[0] -= where.name == table
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real_append(rows, where)

    monkeypatch.setattr(writer_file, "_append", append)
    with pytest.raises(ArtefactError, match=r"No space left.*make room and run the same command again"):
        run(manifest_of(*videos), path, commit_seconds=0)
    monkeypatch.undo()
    assert 0 < len(ClipStore.open(path).ledger()) < 6
    assert run(manifest_of(*videos), path).counts == {"ok": 6}
    assert ClipStore.open(path).fingerprint == whole.fingerprint
    assert verify(ClipStore.open(path)) == []


def test_an_error_leaves_no_worker_behind(tmp_path, videos, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_file, "_append", full)
    before = multiprocessing.active_children()
    with pytest.raises(ArtefactError, match="No space left") as info:
        run(manifest_of(*videos), tmp_path / "s", workers=1, commit_seconds=0)
    assert set(multiprocessing.active_children()) <= set(before), info


def test_full_disk_in_a_worker_blames_no_video(tmp_path, videos, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs.pa, "OSFile", full)
    with pytest.raises(WorkerFailedError, match="No space left"):
        run(manifest_of(*videos), tmp_path / "s")
    monkeypatch.undo()
    assert len(ClipStore.open(tmp_path / "s").ledger()) == 0
    assert run(manifest_of(*videos), tmp_path / "s").counts == {"ok": 6}


@contextmanager
def stuck_run(manifest: Path, store: Path, videos: int, moment: str, sign: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Prepare in another process, which commits so many videos and is then stuck; `interrupted_run` says in what."""
    file = ROOT / "tests/preparation/interrupted_run.py"
    command = [sys.executable, str(file), str(manifest), str(store), str(videos), moment, str(sign)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    with (sign.with_suffix(".txt")).open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=errors)
    try:
        for _ in range(6000):
            if sign.exists():
                break
            assert process.poll() is None, sign.with_suffix(".txt").read_text()
            time.sleep(0.05)
        assert sign.exists()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "interruptions",
    [
        [(1, "video", signal.SIGKILL)],
        [(2, "ledger", signal.SIGKILL)],
        pytest.param(
            [
                (1, "video", signal.SIGKILL),
                (2, "video", signal.SIGINT),
                (3, "ledger", signal.SIGINT),
                (3, "video", signal.SIGTERM),
                (4, "ledger", signal.SIGTERM),
                (5, "video", signal.SIGKILL),
            ],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["once", "within a commit", "often"],
)
def test_kill_and_interrupt_at_any_moment(tmp_path, videos, whole, interruptions):
    manifest, path, done = tmp_path / "m.parquet", tmp_path / "s", 0
    manifest_of(*videos).write(manifest)
    for number, (reached, moment, how) in enumerate(interruptions):
        with stuck_run(manifest, path, reached - done, moment, tmp_path / f"sign{number}") as process:
            process.send_signal(how)
            assert process.wait(timeout=120) in (-how, 1)
        done = len(ClipStore.open(path).ledger())
        assert done == reached, "as many as were committed, and one at a time"
    assert run(manifest_of(*videos), path).counts == {"ok": 6}
    assert ClipStore.open(path).fingerprint == whole.fingerprint
    assert verify(ClipStore.open(path)) == []
    assert not (path / ".incoming").exists()


def test_what_a_killed_run_left_is_no_hindrance_where_it_cannot_be_deleted(tmp_path, videos, monkeypatch):
    run(manifest_of(videos[0]), tmp_path / "s")
    (tmp_path / "s" / ".incoming" / "old").mkdir(parents=True)
    monkeypatch.setattr(preparing.shutil, "rmtree", lambda *_, **__: None)
    assert run(manifest_of(*videos[:2]), tmp_path / "s").counts == {"ok": 2}


def test_arguments(tmp_path):
    manifest = Manifest.from_videos([Video("toy", "a", "a.mp4")])
    for options in ({"workers": -1}, {"limit": 0}, {"timeout_s": 0}):
        with pytest.raises(UsageError, match="expected"):
            run(manifest, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_another_file_under_the_same_name_is_prepared_anew(tmp_path, videos):
    path = tmp_path / "v.mp4"
    path.write_bytes(videos[2].read_bytes())
    first = run(manifest_of(path), tmp_path / "store")
    before = ClipStore.open(tmp_path / "store").fingerprint
    os.utime(path, (0, 0))
    assert run(manifest_of(path), tmp_path / "store").num_prepared == 0, "the same content, only touched"
    path.write_bytes(videos[5].read_bytes())
    again = run(manifest_of(path), tmp_path / "store")
    assert again.num_prepared == 1
    assert again.num_clips > first.num_clips
    store = ClipStore.open(tmp_path / "store")
    assert store.fingerprint != before
    assert verify(store) == []
    path.unlink()
    assert run(manifest_of(path), tmp_path / "store").num_prepared == 0, "the file is gone, its clips are still good"


@pytest.mark.parametrize("damage", ["gone", "emptied"])
def test_a_video_that_cannot_be_read_again_keeps_its_clips(tmp_path, videos, damage, monkeypatch):
    path = tmp_path / "v.mp4"
    path.write_bytes(videos[2].read_bytes())
    manifest = manifest_of(path, videos[0])
    first = run(manifest, tmp_path / "store")
    before = ClipStore.open(tmp_path / "store").fingerprint
    said: list[str] = []
    monkeypatch.setattr(preparing.progress, "say", said.append)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"")
    again = run(manifest, tmp_path / "store", only_status=["ok"] if damage == "gone" else [])
    assert (again.num_kept, again.num_prepared) == (1, int(damage == "gone"))
    assert again.num_clips == again.num_clips_in_store == first.num_clips
    assert [line for line in said if "1 videos could not be prepared again (first 'v'" in line]
    store = ClipStore.open(tmp_path / "store")
    assert store.fingerprint == before
    assert verify(store) == []


def test_clips_that_are_prepared_again_stay_until_there_are_new_ones(tmp_path, videos, monkeypatch):
    manifest = manifest_of(*videos[:2])
    run(manifest, tmp_path / "store")
    before = ClipStore.open(tmp_path / "store").fingerprint

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(preparing.ENGINES, "local", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(manifest, tmp_path / "store", only_status=["ok"])
    assert ClipStore.open(tmp_path / "store").fingerprint == before


def test_counts_tell_the_manifests_clips_from_the_stores(tmp_path, videos):
    whole = run(manifest_of(*videos[2:4]), tmp_path / "store")
    part = run(manifest_of(videos[2]), tmp_path / "store")
    assert whole.num_clips == part.num_clips_in_store > part.num_clips > 0


def test_a_manifest_that_is_missing_from_the_store_is_restored(tmp_path, videos):
    manifest = manifest_of(videos[0])
    run(manifest, tmp_path / "store")
    (tmp_path / "store" / "manifest.parquet").unlink()
    run(manifest, tmp_path / "store")
    assert ClipStore.open(tmp_path / "store").manifest().fingerprint == manifest.fingerprint


def test_what_is_no_regular_file_has_a_status_and_is_not_waited_for(tmp_path, videos):
    os.mkfifo(tmp_path / "pipe.mp4")
    ledger = run(manifest_of(tmp_path / "pipe.mp4", Path("/dev/null"), videos[0]), tmp_path / "store").ledger
    reasons = ledger.set_index("video_id")["reason"]
    for name in ("pipe", "null"):
        assert "is not a regular file" in reasons[name]
    assert set(ledger["status"]) == {"unreadable", "ok"}


def test_an_empty_manifest_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no videos"):
        run(Manifest.from_videos([]), tmp_path / "store")
    assert not (tmp_path / "store").exists()
