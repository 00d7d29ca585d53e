"""Atomic files and fingerprints: an artefact exists whole or not at all, and records what it was made from."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veridical.errors import ArtefactError

_STAMP_BYTES = 65_536
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary name next to `path`; it is renamed to `path` when the block ends well, deleted otherwise.

    Raises:
        ArtefactError: when `path` is a folder, or the disk is full or read-only.
    """
    if path.is_dir():
        raise ArtefactError(f"{path}: is a folder, expected the name of a file to write")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if is_out_of_room(error):
            raise out_of_room(path, error) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_out_of_room(error: OSError) -> bool:
    """Return whether a file could not be written because its disk, or the user's share of it, is full or read-only."""
    return error.errno in _NO_ROOM


def out_of_room(path: Path, error: OSError) -> ArtefactError:
    """Return the error that ends a run, as no other file can be written either; it names the file and the disk to free."""
    folder = _nearest_folder(path)
    free = shutil.disk_usage(folder).free / 1e6
    reason = os.strerror(error.errno or errno.ENOSPC)
    return ArtefactError(
        f"{path}: cannot be written: {reason} ({free:.1f} MB free on the disk of {folder}); make room there, then run the same "
        "command again"
    )


def check_writable(path: Path) -> None:
    """Refuse, before any work is done, a file or folder that cannot be written.

    Raises:
        ArtefactError: when it, or the folder that it would be in, is a file or may not be written into.
    """
    folder = path if path.is_dir() else _nearest_folder(path)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ArtefactError(f"{path}: cannot be written: {folder} is not a folder that you may write into")


def _nearest_folder(path: Path) -> Path:
    """Return the nearest of the folders above a path that exists; a file may stand where a folder should be."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def check_file_name(path: Path, *suffixes: str) -> None:
    """Refuse, before any work is done, a file name that cannot be written, or whose suffix does not fit its content.

    Args:
        path: The file to be written.
        suffixes: Those that are valid, for example `.parquet`.

    Raises:
        ArtefactError: when it is a folder, ends in something else, or its folder cannot be written.
    """
    if path.is_dir():
        raise ArtefactError(f"{path}: is a folder, expected the name of a file to write")
    if path.suffix.lower() not in suffixes:
        problem = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        example = path.with_suffix(suffixes[0])
        raise ArtefactError(f"{path}: {problem}; valid: {', '.join(suffixes)}, for example {example}")
    check_writable(path)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yield a temporary folder; it replaces `path` (if there) when the block ends well, and is deleted otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fingerprint(value: object) -> str:
    """Return 16 hex digits that change when the value does.

    Args:
        value: Bytes, a pyarrow table, or anything that JSON can hold.
    """
    digest = hashlib.blake2b(digest_size=8)
    if isinstance(value, bytes):
        digest.update(value)
    elif isinstance(value, pa.Table):
        for name in value.schema.names:
            digest.update(name.encode())
            _digest_array(digest, value[name].combine_chunks())
    else:
        digest.update(json.dumps(value, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _digest_array(digest: hashlib.blake2b, array: pa.Array | pa.ChunkedArray) -> None:
    """Digest the logical values of an Arrow array: equal values may lie in memory in several ways."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    digest.update(f"{array.type}:{len(array)}".encode())
    digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_map(array.type):
        array = array.cast(pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))
    if pa.types.is_list(array.type):
        digest.update(pc.fill_null(pc.list_value_length(array), 0).to_numpy().tobytes())
        _digest_array(digest, array.flatten())
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            _digest_array(digest, field)
    elif pa.types.is_string(array.type):
        digest.update(pc.fill_null(pc.binary_length(array), 0).to_numpy().tobytes())
        digest.update("".join(pc.fill_null(array, "").to_pylist()).encode())
    else:
        zero = False if pa.types.is_boolean(array.type) else 0
        digest.update(pc.fill_null(array, zero).to_numpy(zero_copy_only=False).tobytes())


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex digits, whatever its size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stamp(path: Path | str) -> str:
    """Return what tells a file from another without reading all of it, on any machine: its size, beginning and end.

    It is empty when the file cannot be read or is no regular file.
    """
    try:
        if not Path(path).is_file():  # to open a named pipe is to wait for its writer
            return ""
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            ends = file.read(_STAMP_BYTES)
            file.seek(max(0, size - _STAMP_BYTES))
            return fingerprint(f"{size}:".encode() + ends + file.read(_STAMP_BYTES))
    except OSError:
        return ""


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically, indented, keys in the order given; NaN is refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ArtefactError: when the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{path}: not found") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path}: is damaged or not JSON ({error})") from None


def write_table(path: Path, table: pa.Table, kind: str, version: int) -> None:
    """Write a parquet table atomically with its kind, schema version and content fingerprint in the metadata.

    Raises:
        ArtefactError: when the file's name does not end in .parquet, or cannot be written.
    """
    check_file_name(path, ".parquet")
    facts = {
        "veridical.kind": kind,
        "veridical.schema_version": str(version),
        "veridical.fingerprint": fingerprint(table),
    }
    metadata = {**(table.schema.metadata or {}), **{key.encode(): value.encode() for key, value in facts.items()}}
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_table(path: Path, kind: str, version: int) -> pa.Table:
    """Read a parquet table and check its kind and schema version.

    Raises:
        ArtefactError: when it is missing, damaged, of another kind, or of another schema version.
    """
    if path.is_dir():
        inside = sorted(file.name for file in path.glob("*.parquet"))
        hint = f"; in it: {', '.join(inside[:3])}" if inside else ""
        raise ArtefactError(f"{path}: is a folder, expected a {kind} file{hint}")
    if not path.is_file():
        raise ArtefactError(f"{path}: no such {kind} file")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        hint = "; a csv of videos becomes a manifest with `veridical scan csv`" if path.suffix == ".csv" else ""
        raise ArtefactError(f"{path}: is damaged or not a parquet file ({str(error).splitlines()[0]}){hint}") from None
    metadata = table.schema.metadata or {}
    found_kind = metadata.get(b"veridical.kind", b"unknown").decode()
    found_version = metadata.get(b"veridical.schema_version", b"none").decode()
    if found_kind != kind:
        raise ArtefactError(f"{path}: expected a {kind}, found a table of kind {found_kind!r}")
    if found_version != str(version):
        raise ArtefactError(
            f"{path}: schema version {found_version} of {kind}, this release reads {version}; make the {kind} again"
        )
    return table
