"""One writer at a time in a folder, and none while a store is copied: a lock on a file, which ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from veridical import progress
from veridical.errors import UsageError

LOCK_FILE = ".writer.lock"


def lock_for_writing(folder: Path, what: str = "store") -> int:
    """Lock a folder and return the handle; closing it gives the folder free.

    Args:
        folder: A store, or whatever else one process at a time writes to.
        what: Its kind, for messages.

    Raises:
        UsageError: when another process is writing to it, or copying it.
    """
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, folder, fcntl.LOCK_EX, what)
        with contextlib.suppress(OSError):  # no room: it is locked all the same
            os.ftruncate(handle, 0)
            os.write(handle, f"last written by process {os.getpid()} on {socket.gethostname()}".encode())
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextmanager
def lock_for_reading(store: Path) -> Generator[None]:
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
        _take(handle, store, fcntl.LOCK_SH, "store")
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path, kind: int, what: str) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 200).decode(errors="replace").strip() or "never written"
        raise UsageError(
            f"{folder}: another process is writing to this {what}, or copying it ({holder}); wait for it to end"
        ) from None
    except OSError as error:
        progress.say(
            f"{folder}: cannot be locked here ({error.strerror}); see to it that one process at a time writes to it"
        )
