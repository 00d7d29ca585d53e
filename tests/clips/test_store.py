"""The store gives back what was put in, whatever the order, the batches and the interruptions."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clips.making import SMALL, make_clip, make_manifest, make_store

from veridical.artefacts import lock_for_writing, read_json, write_json
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings, encode_clips, verify
from veridical.clips import writer as writer_file
from veridical.clips.encoding import content_digest
from veridical.errors import ArtefactError, UsageError

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


def assert_same(kept: Clip, given_clip: Clip) -> None:
    assert (kept.video_id, kept.start_s) == (given_clip.video_id, given_clip.start_s)
    error = np.abs(kept.frames.astype(int) - given_clip.frames.astype(int))
    assert kept.frames.shape == given_clip.frames.shape
    assert error.mean() < 2
    for name in ("boxes", "landmarks", "detector_score"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(given_clip, name))
    for name in ("samples", "speech"):
        one, other = getattr(kept, name), getattr(given_clip, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    videos=st.dictionaries(names, st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=4),
    commit_bytes=st.sampled_from([1, 10**9]),
    order=st.randoms(use_true_random=False),
)
def test_round_trip(tmp_path_factory, videos, commit_bytes, order):
    path = tmp_path_factory.mktemp("store") / "store"
    ClipStore.create(path, SMALL, make_manifest(*videos))
    clips = {
        name: [make_clip(name, float(second), sound=sound) for second in range(count)]
        for name, (count, sound) in videos.items()
    }
    shuffled = list(videos)
    order.shuffle(shuffled)
    with ClipWriter(path, commit_bytes=commit_bytes) as writer:
        for name in shuffled:
            writer.add(LedgerEntry(name, "ok"), clips[name])
    store = ClipStore.open(path)
    index = store.index()
    assert list(zip(index["video_id"], index["start_s"], strict=True)) == sorted(
        (name, clip.start_s) for name in clips for clip in clips[name]
    )
    rows = [*index["row"], 0]
    order.shuffle(rows)
    taken = store.take(rows)
    for row, clip in zip(rows, taken, strict=True):
        expected = clips[index["video_id"][row]][int(index["start_s"][row])]
        assert_same(clip, expected)
        assert index["has_audio"][row] == (expected.samples is not None)
    for name, (count, _) in videos.items():
        assert [clip.start_s for clip in store.take(store.rows_of(name))] == [float(second) for second in range(count)]


def test_rows_and_fingerprint_do_not_depend_on_order_or_batches(tmp_path):
    lengths = {"b": 2, "a": 3, "none": 0, "c": 1}
    one = make_store(tmp_path / "one", lengths)
    other = make_store(tmp_path / "other", dict(reversed(lengths.items())))
    assert one.fingerprint == other.fingerprint
    assert one.index().equals(other.index())
    assert make_store(tmp_path / "third", {**lengths, "c": 2}).fingerprint != one.fingerprint


def test_index_says_cheap_facts(tmp_path):
    clip = make_clip("a", 0.0)
    score = clip.detector_score.copy()
    score[2] = 0
    boxes = np.tile(np.float32([10, 10, 30, 90]), (5, 1))
    samples = np.full(16000, 16384, dtype=np.int16)
    speech = np.arange(50) < 10
    clip = Clip("a", 0.0, clip.frames, boxes, clip.landmarks, score, samples, speech)
    ClipStore.create(tmp_path / "s", SMALL, make_manifest("a"))
    with ClipWriter(tmp_path / "s") as writer:
        writer.add(LedgerEntry("a", "ok"), [clip, make_clip("a", 1.0, sound=False)])
    index = ClipStore.open(tmp_path / "s").index()
    assert index["speech_share"][0] == pytest.approx(0.2)
    assert index["loudness_dbfs"][0] == pytest.approx(-6.02, abs=0.01)
    assert index["mean_box_size_px"][0] == pytest.approx(40.0)
    assert (index["num_interpolated"][0], index["min_detector_score"][0]) == (1, 0)
    assert list(index["has_audio"]) == [True, False]
    assert np.isnan(index["speech_share"][1])


def test_take_outside_the_store(tmp_path):
    store = make_store(tmp_path / "s", {"a": 2})
    with pytest.raises(IndexError, match=r"\[0, 2\)"):
        store.take([0, 2])
    with pytest.raises(IndexError):
        store.take([-1])
    assert store.take([]) == []


def test_store_pickles_as_its_path(tmp_path):
    store = make_store(tmp_path / "s", {"a": 1})
    assert pickle.loads(pickle.dumps(store)).fingerprint == store.fingerprint


def test_ledger_keeps_reasons(tmp_path):
    ledger = make_store(tmp_path / "s", {"a": 2, "b": 0}).ledger().set_index("video_id")
    assert ledger.loc["b", ["status", "reason", "num_clips"]].to_list() == ["no_face", "no face in any frame", 0]
    assert ledger.loc["a", ["status", "num_clips"]].to_list() == ["ok", 2]
    with pytest.raises(ValueError, match="needs a reason"):
        LedgerEntry("x", "timeout")
    with pytest.raises(ValueError, match="status must be"):
        LedgerEntry("x", "fine")


def test_wrong_clips_are_refused(tmp_path):
    ClipStore.create(tmp_path / "s", SMALL, make_manifest("a", "b"))
    with ClipWriter(tmp_path / "s") as writer:
        with pytest.raises(ValueError, match="given for 'a'"):
            writer.add(LedgerEntry("a", "ok"), [make_clip("b", 0.0)])
        with pytest.raises(ValueError, match="frames must have shape"):
            writer.add(LedgerEntry("a", "ok"), [make_clip("a", 0.0, settings=StoreSettings(crop_size=48))])
    assert len(ClipStore.open(tmp_path / "s")) == 0


def test_second_writer_is_refused(tmp_path):
    make_store(tmp_path / "s", {"a": 1})
    with ClipWriter(tmp_path / "s"):
        with pytest.raises(UsageError, match="another process is writing"):
            ClipWriter(tmp_path / "s")
        code = f"from veridical.clips import ClipWriter; ClipWriter({str(tmp_path / 's')!r})"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another process is writing" in result.stderr
    ClipWriter(tmp_path / "s").close()


def test_clips_without_ledger_row_are_deleted(tmp_path, monkeypatch):
    path = tmp_path / "s"
    make_store(path, {"a": 2})
    real_append = writer_file._append

    def dies_before_the_ledger(table, where: Path):
        if where.name == "ledger.lance":
            raise OSError(28, "No space left on device")
        real_append(table, where)

    monkeypatch.setattr(writer_file, "_append", dies_before_the_ledger)
    with pytest.raises(ArtefactError, match=r"No space left.*make room"), ClipWriter(path) as writer:
        writer.add(LedgerEntry("b", "ok"), [make_clip("b", 0.0), make_clip("b", 1.0)])
    monkeypatch.undo()
    assert len(ClipStore.open(path)) == 4
    with ClipWriter(path) as writer:
        assert writer.num_orphans == 2
        writer.add(LedgerEntry("b", "ok"), [make_clip("b", 0.0), make_clip("b", 1.0)])
    assert ClipStore.open(path).fingerprint == make_store(tmp_path / "whole", {"a": 2, "b": 2}).fingerprint


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("table", ["clips.lance", "ledger.lance"])
def test_an_interrupted_commit_writes_nothing_twice(tmp_path, monkeypatch, table, written):
    path = tmp_path / "s"
    make_store(path, {"a": 2})
    real_append = writer_file._append

    def interrupted(rows, where: Path):
        if where.name != table or written:
            real_append(rows, where)
        if where.name == table:
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(writer_file, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt), ClipWriter(path, commit_bytes=1) as writer:
        writer.add(LedgerEntry("b", "ok"), [make_clip("b", 0.0), make_clip("b", 1.0)])
    with ClipWriter(path) as writer:
        if "b" not in set(ClipStore.open(path).ledger()["video_id"]):
            writer.add(LedgerEntry("b", "ok"), [make_clip("b", 0.0), make_clip("b", 1.0)])
    assert verify(ClipStore.open(path)) == []
    assert ClipStore.open(path).fingerprint == make_store(tmp_path / "whole", {"a": 2, "b": 2}).fingerprint


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("done", [True, False])
def test_a_replacement_that_is_interrupted_leaves_old_or_new_clips_or_a_pending_video(
    tmp_path, monkeypatch, step, done
):
    path = tmp_path / "s"
    make_store(path, {"a": 2, "b": 2})
    steps = iter(range(4))

    def failing_at_step(real):
        def act(*arguments):
            number = next(steps)
            if number != step or done:
                real(*arguments)
            if number == step:
                raise KeyboardInterrupt

        return act

    with ClipWriter(path) as writer:
        for name in ("_append", "_delete"):
            monkeypatch.setattr(writer_file, name, failing_at_step(getattr(writer_file, name)))
        writer.add(LedgerEntry("a", "ok"), [make_clip("a", 0.0), make_clip("a", 1.0), make_clip("a", 2.0)])
        assert len(ClipStore.open(path)) == 4, "the old clips are there until the commit"
        with pytest.raises(KeyboardInterrupt):
            writer.commit()
        monkeypatch.undo()
    with ClipWriter(path) as writer:
        left = ClipStore.open(path)
        assert verify(left) == []
        assert len(left.rows_of("b")) == 2
        kept = len(left.rows_of("a"))
        assert kept == {(0, False): 2, (3, True): 3}.get((step, done), 0)
        assert ("a" in set(left.ledger()["video_id"])) == bool(kept)


def test_replace_and_compact_keep_the_rest(tmp_path):
    path = tmp_path / "s"
    lengths = {f"it's {number}": 2 for number in range(12)}
    ClipStore.create(path, SMALL, make_manifest(*lengths))
    with ClipWriter(path, commit_bytes=1) as writer:
        for name in lengths:
            writer.add(LedgerEntry(name, "ok"), [make_clip(name, 0.0), make_clip(name, 1.0)])
        for name in ("it's 3", "it's 11"):
            writer.add(LedgerEntry(name, "ok"), [make_clip(name, 0.0)])
        before = ClipStore.open(path).fingerprint
        writer.compact()
    store = ClipStore.open(path)
    assert store.fingerprint == before
    assert verify(store) == []
    assert set(store.ledger()["video_id"]) == set(lengths)
    assert store.index()["video_id"].value_counts().to_dict() == lengths | {"it's 3": 1, "it's 11": 1}
    assert_same(store.take(store.rows_of("it's 5"))[1], make_clip("it's 5", 1.0))


def test_create_and_open_say_what_is_wrong(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(ArtefactError, match="no such clip store"):
        ClipStore.open(path)
    store = make_store(path, {"a": 1})
    assert store.facts["schema_version"] == 1
    assert store.manifest().fingerprint == store.facts["manifest_fingerprint"]
    with pytest.raises(UsageError, match="is a clip store already"):
        ClipStore.create(path, SMALL, make_manifest("a"))
    facts = read_json(path / "store.json")
    write_json(path / "store.json", {**facts, "schema_version": 0})
    with pytest.raises(ArtefactError, match="schema version 0"):
        ClipStore.open(path)
    write_json(path / "store.json", facts)
    (path / "clips.lance" / "_versions").rename(path / "away")
    with pytest.raises(ArtefactError, match="missing or damaged"):
        ClipStore.open(path)


@pytest.mark.parametrize(
    "values", [{"fps": 4.5}, {"hop_s": 0.55}, {"window_s": 0.5}, {"max_missing_faces": 5}, {"crop": 3}]
)
def test_settings_that_cannot_be(values):
    with pytest.raises(ValueError):
        StoreSettings(**values)


@pytest.mark.parametrize("table", ["clips.lance", "ledger.lance"])
def test_a_truncated_table_is_named(tmp_path, table):
    store = make_store(tmp_path / "s", {"a": 2, "b": 2})
    for path in (tmp_path / "s" / table / "data").iterdir():
        path.write_bytes(path.read_bytes()[:30])
    message = rf"s/{table}: is (missing or )?damaged"
    reads = [lambda: ClipStore.open(tmp_path / "s").ledger()]
    if table == "clips.lance":
        reads = [lambda: ClipStore.open(tmp_path / "s").index(), lambda: store.take([0])]
    for read in [
        *reads,
        lambda: ClipWriter(tmp_path / "s").__enter__(),
        lambda: verify(ClipStore.open(tmp_path / "s")),
    ]:
        with pytest.raises(ArtefactError, match=message):
            read()
    os.close(lock_for_writing(tmp_path / "s"))


def test_a_store_without_numbers_of_people_opens_and_is_continued(tmp_path):
    """Stores of older releases hold one person of each video."""
    path = tmp_path / "store"
    make_store(path, {"a": 2})
    digest = ClipStore.open(path).fingerprint
    lance.dataset(str(path / "clips.lance")).drop_columns(["person"])
    old = ClipStore.open(path)
    assert verify(old) == []
    assert old.fingerprint == digest
    assert old.index()["person"].tolist() == [1, 1]
    assert [clip.person for clip in old.take([0, 1])] == [1, 1]
    with ClipWriter(path) as writer:
        writer.add(LedgerEntry("b", "ok"), [make_clip("b", 0.0), replace(make_clip("b", 0.0, seed=1), person=2)])
    store = ClipStore.open(path)
    assert store.index()[["video_id", "person"]].to_numpy().tolist() == [["a", 1], ["a", 1], ["b", 1], ["b", 2]]
    assert [clip.person for clip in store.take([3, 0])] == [2, 1]
    assert verify(store) == []


def test_the_digest_covers_the_number_of_the_person(tmp_path):
    clips = [make_clip("a", 0.0), replace(make_clip("a", 0.0), person=2)]
    assert content_digest(encode_clips(clips[:1], SMALL)) != content_digest(encode_clips(clips[1:], SMALL))
