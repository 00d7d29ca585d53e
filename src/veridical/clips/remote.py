"""Clip stores on object storage (S3-compatible, Google Cloud Storage, Azure): copies, for reading.

Stores are written on disks: one writer is a lock on a file, and folders are renamed when they are whole. A finished store is a
folder of files that do not change, so a copy of it can be read from anywhere. Credentials and endpoint come from the environment:
for S3 `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`; for other servers also `AWS_ENDPOINT_URL`, and
`AWS_ALLOW_HTTP=true` without TLS.
"""

from __future__ import annotations

import re
from pathlib import Path

from lance.file import LanceFileSession

from veridical import progress
from veridical.artefacts import atomic_path, fingerprint, lock_for_reading
from veridical.errors import ArtefactError, UsageError
from veridical.weights import cache_folder

SCHEMES = ("s3", "gs", "az")


def remote_uri(path: Path | str) -> str | None:
    """Return the address of a store on object storage, also after `Path` took one of its slashes; None for a local path."""
    match = re.match(rf"({'|'.join(SCHEMES)}):/{{1,2}}([^/].*?)/*$", str(path))
    return f"{match[1]}://{match[2]}" if match else None


def local_folder(uri: str) -> Path:
    """Return where the small files of a remote store are kept, and what training derives from it."""
    return cache_folder().parent / "stores" / fingerprint(uri)


def fetch(uri: str, name: str) -> Path:
    """Copy one file of a remote store into its local folder and return its path.

    Raises:
        ArtefactError: when it is not there or cannot be reached.
    """
    path = local_folder(uri) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        try:
            LanceFileSession(uri).download_file(name, str(temporary))
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{uri}/{name}: cannot be read ({first_cause(error)})") from None
    return path


def copy_store(store: Path, uri: str) -> None:
    """Copy a store to object storage while no process writes to it; `store.json` comes last and makes the copy a store.

    Raises:
        UsageError: when there is no store, a process is writing to it (`prepare` is running), the address is not one of object
            storage, or a store is there already: newer files next to older ones would be read as one table.
        ArtefactError: when it cannot be written.
    """
    target = remote_uri(uri)
    if target is None:
        raise UsageError(f"{uri}: expected an address such as s3://bucket/folder")
    if not (store / "store.json").is_file():
        raise UsageError(f"{store}: is not a clip store (no store.json)")
    with lock_for_reading(store):
        _upload(store, target)


def _upload(store: Path, target: str) -> None:
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and not _is_hidden(path.relative_to(store))]
    files.sort(key=lambda path: path == store / "store.json")
    try:
        session = LanceFileSession(target)
        if session.contains("store.json"):
            raise UsageError(f"{target}: holds a clip store already; copy to another address, or delete that one first")
        for path in progress.track(files, "copy", unit="file"):
            session.upload_file(str(path), path.relative_to(store).as_posix())
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{target}: cannot be written ({first_cause(error)})") from None


def _is_hidden(path: Path) -> bool:
    """Return whether a file is the writer's own: a lock, or what a killed run left behind."""
    return any(part.startswith(".") for part in path.parts)


def first_cause(error: Exception) -> str:
    """Return the message without places in Lance's source code."""
    return re.split(r", /\S+\.rs:", str(error).splitlines()[0])[0][:300]
