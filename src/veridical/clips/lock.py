"""One writer at a time in a store, and none while it is copied: a lock on a file, which ends with its process."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from veridical.errors import UsageError

LOCK_FILE = ".writer.lock"


def lock_for_writing(store: Path) -> int:
    """Lock a store and return the handle; closing it gives the store free.

    Raises:
        UsageError: when another process is writing to the store, or copying it.
    """
    handle = os.open(store / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, store, fcntl.LOCK_EX)
    except UsageError:
        os.close(handle)
        raise
    os.ftruncate(handle, 0)
    os.write(handle, f"last written by process {os.getpid()} on {socket.gethostname()}".encode())
    return handle


@contextmanager
def unwritten(store: Path) -> Generator[None]:
    """Keep writers away from a store while it is copied. A store on a disk that cannot be written has none.

    Raises:
        UsageError: when a process is writing to it.
    """
    try:
        handle = os.open(store / LOCK_FILE, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield
        return
    try:
        _take(handle, store, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _take(handle: int, store: Path, kind: int) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 200).decode(errors="replace").strip() or "never written"
        raise UsageError(
            f"{store}: another process is writing to this store, or copying it ({holder}); wait for it to end"
        ) from None
