"""The detector: model folders round-trip, scores are those of the network, stores and files are scored alike."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.inference.making import make_store, tiny_detector

from veridical.artefacts import Manifest
from veridical.clips import ClipStore, StoreSettings
from veridical.errors import ArtefactError, UsageError
from veridical.inference import CONDITIONS, Detector, load_detector, save_detector, score_store
from veridical.media import write_video
from veridical.models import DetectorModel


@pytest.fixture(scope="module")
def detector() -> Detector:
    return tiny_detector()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    sounds = {"a": "speech", "bb": "none", "ccc": "quiet"}
    return make_store(tmp_path_factory.mktemp("s"), sounds, splits=("val", "test", "test"), clips=3)


def test_a_model_folder_round_trips(detector: Detector, tmp_path: Path) -> None:
    save_detector(tmp_path / "run" / "model", detector)
    for folder in (tmp_path / "run" / "model", tmp_path / "run"):
        again = load_detector(folder)
        assert again.facts == detector.facts
        (network,), (original,) = again.members, detector.members
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters()), "features of it can be kept"
        state = network.state_dict()
        assert state
        assert all(torch.equal(value, state[name]) for name, value in original.state_dict().items())
    assert not list((tmp_path / "run" / "model").glob("*.p*k*l*")), "no pickles"


@pytest.mark.parametrize("damage", ["missing", "weights", "facts", "version", "other"])
def test_damaged_models(detector: Detector, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    save_detector(folder, detector)
    facts = json.loads((folder / "model.json").read_text())
    if damage == "missing":
        shutil.rmtree(folder)
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes(b"not tensors")
    elif damage == "facts":
        (folder / "model.json").write_text("{")
    elif damage == "version":
        (folder / "model.json").write_text(json.dumps({**facts, "schema_version": 99}))
    else:
        facts["detector"]["temporal"]["width"] = 8
        (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ArtefactError, match="model"):
        load_detector(folder)


def test_scores_of_a_store(detector: Detector, store: ClipStore) -> None:
    frame = score_store(detector, store, store.manifest(), batch=2).frame()
    assert len(frame) == 9 * len(CONDITIONS)
    logits = frame.pivot(index=["video_id", "start_s"], columns="condition", values="logit")
    assert logits.loc["a"].notna().all(axis=None)
    for silent in ("bb", "ccc"):
        assert logits.loc[silent][["audio_head", "video_masked"]].isna().all(axis=None), (
            "without audio there is no score"
        )
        np.testing.assert_allclose(logits.loc[silent]["joint"], logits.loc[silent]["audio_masked"], rtol=1e-5)
    joint = frame[frame["condition"] == "joint"]
    np.testing.assert_allclose(joint["p_fake"], 1 / (1 + np.exp(-joint["logit"] / 2.0)))
    assert frame[frame["condition"] != "joint"]["p_fake"].isna().all()
    assert joint.set_index("video_id")["attributes"]["bb"].iloc[0] == {"sound": "none"}


def test_scores_do_not_depend_on_the_batch(detector: Detector, store: ClipStore) -> None:
    first, second = (score_store(detector, store, store.manifest(), batch=size).frame()["logit"] for size in (1, 9))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_only_the_named_splits_are_scored(detector: Detector, store: ClipStore) -> None:
    frame = score_store(detector, store, store.manifest(), splits=["test"], conditions=("joint",)).frame()
    assert set(frame["video_id"]) == {"bb", "ccc"}
    with pytest.raises(UsageError, match="nothing to score"):
        score_store(detector, store, store.manifest(), splits=["train"])


def test_a_store_of_another_preparation_is_refused(detector: Detector, tmp_path: Path) -> None:
    other = ClipStore.create(tmp_path / "store", StoreSettings(crop_size=96, fps=10), Manifest.from_videos([]))
    message = r"fps: found 10, wanted 5; crop_size: found 96, wanted 64\).*--set fps=5 --set crop_size=64"
    with pytest.raises(UsageError, match=message):
        score_store(detector, other, other.manifest())


def test_clips_score_alike_through_both_paths(detector: Detector, store: ClipStore) -> None:
    clips = store.take(range(9))
    scores = detector.score_clips(clips)
    frame = score_store(detector, store, store.manifest(), conditions=("joint",)).frame()
    np.testing.assert_allclose([score.logit for score in scores], frame["logit"], rtol=1e-4, atol=1e-5)
    assert [score.audio_logit is None for score in scores] == [False] * 3 + [True] * 6


def test_a_video_without_a_face_says_so(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    write_video(path, [np.full((96, 128, 3), 128, np.uint8)] * 50, fps=25)
    with pytest.raises(Exception, match="face") as caught:
        detector.predict(path)
    assert caught.value.status == "no_face"


def test_an_ensemble_is_the_mean_logit(detector: Detector, store: ClipStore, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = DetectorModel(detector.facts.detector).eval()
    save_detector(tmp_path / "run" / "model", Detector(detector.facts, [*detector.members, other]))
    ensemble = load_detector(tmp_path / "run")
    assert len(ensemble.members) == ensemble.facts.members == 2
    whole, first, second = (
        score_store(one, store, store.manifest()).frame()["logit"]
        for one in (ensemble, detector, Detector(detector.facts, [other]))
    )
    np.testing.assert_allclose(whole, (first + second) / 2, rtol=1e-5)
    assert np.abs(first - second).max() > 1e-3
    (tmp_path / "run" / "model" / "model-1.safetensors").unlink()
    with pytest.raises(ArtefactError, match=r"model-1\.safetensors"):
        load_detector(tmp_path / "run")


def test_a_model_can_be_read_by_whom_other_files_can(detector: Detector, tmp_path: Path) -> None:
    save_detector(tmp_path / "model", detector)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
    assert len(modes) == 2
    assert len(set(modes.values())) == 1, modes
