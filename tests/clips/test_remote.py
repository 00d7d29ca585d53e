"""Stores on object storage are copies for reading: addresses, what is said of missing ones, equality."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.clips.making import make_store

from veridical.artefacts import Manifest
from veridical.clips import ClipStore, ClipWriter, StoreSettings, copy_store, remote, verify
from veridical.clips import store as store_file
from veridical.errors import ArtefactError, UsageError


@pytest.fixture
def files_are_remote(monkeypatch, tmp_path) -> None:
    """Let `file://` pass for object storage: the same code, another server."""
    original = remote.remote_uri
    for module in (remote, store_file):
        monkeypatch.setattr(module, "remote_uri", lambda path: path if str(path)[:7] == "file://" else original(path))
    monkeypatch.setenv("VERIDICAL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("given", ["s3://bucket/a/b", Path("s3://bucket/a/b"), "s3://bucket/a/b/"])
def test_addresses_survive_being_paths(given: str | Path) -> None:
    assert remote.remote_uri(given) == "s3://bucket/a/b"


@pytest.mark.parametrize("given", ["store", "/a/s3/b", "http://a/b", "s3:", "s3://"])
def test_what_is_no_address(given: str) -> None:
    assert remote.remote_uri(given) is None


def test_a_copy_is_the_store(files_are_remote, tmp_path) -> None:
    local = make_store(tmp_path / "s", {"a": 3, "b": 2})
    (tmp_path / "s" / ".writer.lock").touch()
    (tmp_path / "s" / ".incoming").mkdir()
    (tmp_path / "s" / ".incoming" / "clips").touch()  # of a run that was killed
    uri = f"file://{tmp_path}/bucket/s"
    (tmp_path / "bucket").mkdir()
    copy_store(tmp_path / "s", uri)
    copy = ClipStore.open(uri)
    assert copy.location == uri
    assert copy.fingerprint == local.fingerprint
    assert copy.manifest().fingerprint == local.manifest().fingerprint
    assert verify(copy) == []
    assert copy.take_table([4, 0]).equals(local.take_table([4, 0]))
    assert len(pickle.loads(pickle.dumps(copy))) == 5
    assert not list((tmp_path / "bucket" / "s").glob(".*")), "nothing that belongs to writers"
    assert copy.path.is_relative_to(tmp_path / "cache")
    with pytest.raises(UsageError, match="holds a clip store already"):
        copy_store(tmp_path / "s", uri)


def test_a_store_is_not_copied_while_it_is_written_nor_written_while_it_is_copied(
    files_are_remote, tmp_path, monkeypatch
) -> None:
    make_store(tmp_path / "s", {"a": 2})
    uri = f"file://{tmp_path}/bucket/s"
    (tmp_path / "bucket").mkdir()
    with ClipWriter(tmp_path / "s"), pytest.raises(UsageError, match="another process is writing to this store"):
        copy_store(tmp_path / "s", uri)
    assert not (tmp_path / "bucket" / "s").exists()
    tried = []

    def upload(store: Path, target: str) -> None:
        with pytest.raises(UsageError, match="or copying it"):
            ClipWriter(store)
        tried.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(remote, "_upload", upload)
        copy_store(tmp_path / "s", uri)
    assert tried == [uri]
    with ClipWriter(tmp_path / "s"):
        pass
    copy_store(tmp_path / "s", uri)


def test_what_is_missing_is_said(files_are_remote, tmp_path) -> None:
    with pytest.raises(ArtefactError, match=r"file://.*/store.json: cannot be read"):
        ClipStore.open(f"file://{tmp_path}/nothing")
    with pytest.raises(UsageError, match="is not a clip store"):
        copy_store(tmp_path, "s3://bucket/a")
    with pytest.raises(UsageError, match="expected an address"):
        copy_store(tmp_path, "bucket/a")
    with pytest.raises(UsageError, match=r"s3://b/a: stores are written on disks"):
        ClipStore.create(Path("s3://b/a"), StoreSettings(), Manifest.from_videos([]))
