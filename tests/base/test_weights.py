"""Weights in the cache are the ones that were meant, or are fetched again."""

from __future__ import annotations

import hashlib
import ssl
import time
import urllib.error

import pytest
from huggingface_hub import constants

from veridical import weights
from veridical.errors import MissingWeightsError
from veridical.models import DetectorModel
from veridical.training import read_recipe

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


@pytest.fixture
def no_hub(monkeypatch):
    """A hub at an address that refuses connections; returns how often it was asked."""
    asked = []

    def refused(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))

    monkeypatch.setattr(weights.urllib.request, "urlopen", refused)
    weights._answers.cache_clear()
    yield asked
    weights._answers.cache_clear()


def test_a_hub_out_of_reach_is_asked_once_and_said_in_one_line(no_hub, capfd):
    recipe = "contract-v1"
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(MissingWeightsError, match=r"the model hub https://.* cannot be reached") as error:
            DetectorModel(read_recipe(recipe).model)
    assert time.monotonic() - began < 20
    assert len(no_hub) == 1
    assert len(str(error.value).splitlines()) == 1
    assert "video.weights" in str(error.value), "what to do instead"
    assert "Retry" not in "".join(capfd.readouterr())
    assert not constants.HF_HUB_OFFLINE, "as it was before"


def test_files_of_this_machine_are_loaded_without_asking_the_hub(no_hub, tmp_path):
    with weights.model_hub(str(tmp_path)):
        assert not constants.HF_HUB_OFFLINE
    assert not no_hub
    with weights.model_hub("owner/name"):
        assert constants.HF_HUB_OFFLINE, "its cache is all there is"


def test_a_hub_that_answers_anything_is_reached(monkeypatch):
    for answer in (urllib.error.HTTPError("u", 403, "no", {}, None), urllib.error.URLError(ssl.SSLError("bad"))):
        monkeypatch.setattr(
            weights.urllib.request, "urlopen", lambda *_, answer=answer, **__: (_ for _ in ()).throw(answer)
        )
        assert weights._answers.__wrapped__("https://hub")
