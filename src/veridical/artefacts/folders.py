"""Who may write into a folder: one kind of artefact, made of the same things as before, and one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veridical import progress
from veridical.artefacts.files import check_writable, read_json, write_json
from veridical.errors import UsageError
from veridical.settings import differences

LOCK_FILE = ".writer.lock"


def check_folder(
    folder: Path, kind: str, marker: str, *, also: Collection[str] = (), is_replaced: bool = False
) -> bool:
    """Return whether a folder is an artefact of a kind already, and refuse one in which other files lie.

    Args:
        folder: Need not exist.
        kind: With its article, for messages ("a run").
        marker: Name of the file that every such artefact has.
        also: Other names by which one is recognised that was interrupted before its marker was written.
        is_replaced: Hidden files count too, as the whole folder will be replaced.

    Raises:
        UsageError: when it is a file, or holds files and neither the marker nor one of the other names.
        ArtefactError: when it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, and {kind} is a folder; choose another name")
    check_writable(folder / marker)
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if marker in names:
        return True
    visible = names if is_replaced else {name for name in names if not name.startswith(".")}
    if visible and not visible & set(also):
        raise UsageError(f"{folder}: holds files and is not {kind} (no {marker}); choose a new or empty folder")
    return False


def claim_folder(folder: Path, kind: str, marker: str, facts: Mapping[str, Any], *, also: Collection[str] = ()) -> None:
    """Note in a JSON marker what a folder is made of, so that work resumes there but is never mixed with other work.

    Args:
        folder: Made if need be.
        kind: With its article, for messages.
        marker: Name of the JSON file.
        facts: All that the content depends on.
        also: Other names by which a folder is recognised that has no marker yet.

    Raises:
        UsageError: when something else lies in the folder, or it was made of other facts; those that differ are named.
    """
    if not check_folder(folder, kind, marker, also=also):
        write_json(folder / marker, facts)
        return
    check_settings(folder, kind, read_json(folder / marker), facts)


def check_settings(folder: Path, kind: str, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to continue an artefact with other settings than it was made with.

    Raises:
        UsageError: naming the settings that differ, with both values.
    """
    apart = differences(there, asked)
    if apart:
        listed = "; ".join(f"{name}: {old!r} there, {new!r} asked for" for name, (old, new) in apart.items())
        raise UsageError(
            f"{folder}: holds {kind} made with other settings ({listed}); ask for the same, or choose another folder"
        )


@contextmanager
def locked(folder: Path, what: str) -> Generator[None]:
    """Make a folder if need be, and lock it: one process at a time.

    Raises:
        UsageError: when another process is writing to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = lock_for_writing(folder, what)
    try:
        yield
    finally:
        os.close(handle)


def lock_for_writing(folder: Path, what: str = "store") -> int:
    """Lock a folder and return the handle; closing it releases the folder.

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
