"""Weights in the cache are the ones that were meant, or are fetched again."""

from __future__ import annotations

import hashlib

import pytest

from veridical import weights
from veridical.errors import MissingWeightsError

WHOLE = b"weights" * 99


@pytest.fixture
def cached(tmp_path, monkeypatch):
    source = weights.HostedWeights("https://nowhere.invalid/a/b/net.onnx", hashlib.sha256(WHOLE).hexdigest(), "", "")
    monkeypatch.setenv("VERIDICAL_CACHE", str(tmp_path))
    monkeypatch.setitem(weights.WEIGHTS, "net", source)
    path = weights.cache_folder() / "net.onnx"
    path.parent.mkdir()
    path.write_bytes(WHOLE)
    return path


def test_a_damaged_file_is_seen_and_replaced(cached, monkeypatch):
    monkeypatch.setattr(weights.HostedWeights, "download", lambda _: WHOLE)
    assert weights.is_cached("net")
    cached.write_bytes(WHOLE[:100])
    assert weights.is_damaged("net")
    assert not weights.is_cached("net")
    assert weights.locate("net").read_bytes() == WHOLE
    assert weights.is_cached("net")
    assert not weights.is_damaged("net")


def test_a_damaged_file_that_cannot_be_replaced_is_named(cached, monkeypatch):
    def offline(_):
        raise MissingWeightsError("no network")

    monkeypatch.setattr(weights.HostedWeights, "download", offline)
    cached.write_bytes(WHOLE[:100])
    with pytest.raises(MissingWeightsError, match=r"net\.onnx is damaged .*no network.*put the file https"):
        weights.locate("net")
    cached.unlink()
    with pytest.raises(MissingWeightsError, match=r"^weights net\.onnx cannot be downloaded"):
        weights.locate("net")
