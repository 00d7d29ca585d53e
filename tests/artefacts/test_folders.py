"""Folders: one kind of artefact, made of one thing, written by one process; what a file system cannot do is said."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from veridical import progress
from veridical.artefacts import check_folder, claim_folder, lock_for_reading, lock_for_writing, read_json
from veridical.errors import UsageError


def test_a_folder_is_new_made_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert not check_folder(folder, "a run", "recipe.yaml")
    assert not folder.exists()
    folder.mkdir()
    (folder / ".DS_Store").touch()
    assert not check_folder(folder, "a run", "recipe.yaml")
    with pytest.raises(
        UsageError, match=r"holds files and is not a run \(no recipe.yaml\); choose a new or empty folder"
    ):
        check_folder(folder, "a run", "recipe.yaml", is_replaced=True)
    (folder / "data.json").touch()
    assert not check_folder(folder, "a run", "recipe.yaml", also=["data.json"])
    with pytest.raises(UsageError, match="holds files and is not a run"):
        check_folder(folder, "a run", "recipe.yaml")
    (folder / "recipe.yaml").touch()
    assert check_folder(folder, "a run", "recipe.yaml")
    with pytest.raises(UsageError, match="is a file, and a run is a folder"):
        check_folder(folder / "data.json", "a run", "recipe.yaml")


def test_a_folder_is_made_of_one_thing(tmp_path: Path) -> None:
    facts = {"seed": 3, "scenes": {"music": 0.5}, "sizes": (1, 2)}
    for _ in range(2):
        claim_folder(tmp_path / "out", "a corpus", "facts.json", facts)
    for other, named in (
        ({**facts, "seed": 4}, "seed: 3 there, 4 asked for"),
        ({**facts, "scenes": {"music": 0}}, "scenes.music: 0.5 there, 0 asked for"),
        ({**facts, "sizes": (1, 3)}, "sizes.1: 2 there, 3 asked for"),
    ):
        with pytest.raises(
            UsageError, match=f"out: holds a corpus made with other settings .{named}.; ask for the same"
        ):
            claim_folder(tmp_path / "out", "a corpus", "facts.json", other)
    assert read_json(tmp_path / "out" / "facts.json")["seed"] == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "talk.mp4").touch()
    with pytest.raises(UsageError, match="holds files and is not a corpus"):
        claim_folder(tmp_path / "mine", "a corpus", "facts.json", facts)


def test_one_writer_and_no_copy_meanwhile(tmp_path: Path) -> None:
    handle = lock_for_writing(tmp_path, "run")
    with pytest.raises(UsageError, match=rf"another process is writing to this run.*by process {os.getpid()}"):
        lock_for_writing(tmp_path, "run")
    with pytest.raises(UsageError, match="another process is writing to this store"), lock_for_reading(tmp_path):
        pass
    os.close(handle)
    with lock_for_reading(tmp_path), pytest.raises(UsageError, match="or copying it"):
        lock_for_writing(tmp_path)


def test_a_file_system_without_locks_is_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    said: list[str] = []
    monkeypatch.setattr(fcntl, "flock", without)
    monkeypatch.setattr(progress, "say", said.append)
    os.close(lock_for_writing(tmp_path))
    assert "cannot be locked here (No locks available)" in said[0]


def test_a_folder_on_a_full_disk_is_locked_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    handle = lock_for_writing(tmp_path)
    with pytest.raises(UsageError, match="another process is writing"):
        lock_for_writing(tmp_path)
    os.close(handle)
    os.close(lock_for_writing(tmp_path))


def test_an_interruption_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock_for_writing(tmp_path)
    os.close(lock_for_writing(tmp_path))
