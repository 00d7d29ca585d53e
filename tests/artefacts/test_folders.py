"""The lock of a folder: one process writes, and what a file system cannot do is said."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from veridical import progress
from veridical.artefacts import lock_for_reading, lock_for_writing
from veridical.errors import UsageError


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


def test_a_full_disk_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    os.close(lock_for_writing(tmp_path))
    os.close(lock_for_writing(tmp_path))
