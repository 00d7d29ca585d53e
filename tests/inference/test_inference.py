"""Inference: bundles round-trip, scores are what the model says, one path for stores and files."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from veridical.artefacts import Manifest
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.errors import ArtefactError, UsageError
from veridical.inference import (
    CONDITIONS,
    Bundle,
    Calibration,
    LoadedDetector,
    ModelFacts,
    load_bundle,
    save_bundle,
    score_store,
)
from veridical.inputs import InputSettings
from veridical.media import write_video
from veridical.models import DetectorModel, ModelSettings
from veridical.settings import parse_settings

SIZE = 64


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    whisper = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    values = {
        "video": {"backbone": "test_efficientnet", "weights": "random", "input_size": 56},
        "temporal": {"width": 16, "output": 32},
        "audio": {"kind": "whisper", "weights": "random", "trainable_blocks": 1, "config": whisper},
        "fusion": {"width": 16, "heads": 2},
        "audio_width": 24,
    }
    settings = parse_settings(ModelSettings, values, "test")
    facts = ModelFacts(
        name="test", veridical_version="0", inputs=InputSettings(frame_size=56, crop_size=SIZE),
        preparation=StoreSettings(crop_size=SIZE),
        detector=settings, calibration=Calibration(temperature=2.0, fitted_on="val", num_videos=9),
        operating_points={"eer": 0.1}, fingerprints={}, licence="none", pretrained={},
    )  # fmt: skip
    return Bundle(DetectorModel(settings).eval(), facts)


def make_clip(video_id: str, second: int, sound: str) -> Clip:
    generator = np.random.default_rng([second, len(video_id)])
    samples = {"speech": generator.normal(0, 3000, 16000), "quiet": generator.normal(0, 5, 16000), "none": None}[sound]
    return Clip(
        video_id, float(second), generator.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8),
        np.tile(np.array([[0, 0, 9, 9]], np.float32), (5, 1)), np.zeros((5, 5, 2), np.float32), np.ones(5, np.float32),
        None if samples is None else samples.astype(np.int16), None if samples is None else np.ones(50, bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    from veridical.artefacts import Video

    sounds = {"a": "speech", "bb": "none", "ccc": "quiet"}
    videos = [
        Video(
            dataset="d",
            video_id=name,
            path=name,
            label=i % 2,
            split=("val", "test", "test")[i],
            attributes={"sound": sound},
        )
        for i, (name, sound) in enumerate(sounds.items())
    ]
    store = ClipStore.create(
        tmp_path_factory.mktemp("s") / "store", StoreSettings(crop_size=SIZE), Manifest.from_videos(videos)
    )
    with ClipWriter(store.path) as writer:
        for name, sound in sounds.items():
            writer.add(LedgerEntry(name, "ok", num_clips=3), [make_clip(name, second, sound) for second in range(3)])
    return ClipStore.open(store.path)


def test_bundle_round_trip(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(tmp_path / "run" / "model", bundle)
    for folder in (tmp_path / "run" / "model", tmp_path / "run"):
        again = load_bundle(folder)
        assert again.facts == bundle.facts
        assert not again.detector.training
        assert not any(weight.requires_grad for weight in again.detector.parameters()), "features of it can be kept"
        state = again.detector.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in bundle.detector.state_dict().items())
    assert not list((tmp_path / "run" / "model").glob("*.p*k*l*")), "no pickles"


@pytest.mark.parametrize("damage", ["missing", "weights", "facts", "version", "other"])
def test_damaged_bundles(bundle: Bundle, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    save_bundle(folder, bundle)
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
        load_bundle(folder)


def test_scores_of_a_store(bundle: Bundle, store: ClipStore) -> None:
    frame = score_store(bundle, store, store.manifest(), batch=2).frame()
    assert len(frame) == 9 * len(CONDITIONS)
    logits = frame.pivot(index=["video_id", "start_s"], columns="condition", values="logit")
    assert logits.loc["a"].notna().all(axis=None)
    for silent in ("bb", "ccc"):
        assert logits.loc[silent][["audio_head", "video_masked"]].isna().all(axis=None), (
            "nothing to hear, nothing to judge"
        )
        np.testing.assert_allclose(logits.loc[silent]["joint"], logits.loc[silent]["audio_masked"], rtol=1e-5)
    joint = frame[frame["condition"] == "joint"]
    np.testing.assert_allclose(joint["p_fake"], 1 / (1 + np.exp(-joint["logit"] / 2.0)))
    assert frame[frame["condition"] != "joint"]["p_fake"].isna().all()
    assert joint.set_index("video_id")["attributes"]["bb"].iloc[0] == {"sound": "none"}


def test_scores_do_not_depend_on_the_batch(bundle: Bundle, store: ClipStore) -> None:
    first, second = (score_store(bundle, store, store.manifest(), batch=size).frame()["logit"] for size in (1, 9))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_splits_are_chosen(bundle: Bundle, store: ClipStore) -> None:
    frame = score_store(bundle, store, store.manifest(), splits=["test"], conditions=("joint",)).frame()
    assert set(frame["video_id"]) == {"bb", "ccc"}
    with pytest.raises(UsageError, match="nothing to score"):
        score_store(bundle, store, store.manifest(), splits=["train"])


def test_a_store_of_another_preparation_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = ClipStore.create(tmp_path / "store", StoreSettings(crop_size=96, fps=10), Manifest.from_videos([]))
    said = r"fps: found 10, wanted 5; crop_size: found 96, wanted 64\).*--set fps=5 --set crop_size=64"
    with pytest.raises(UsageError, match=said):
        score_store(bundle, other, other.manifest())


def test_clips_score_alike_through_both_paths(bundle: Bundle, store: ClipStore) -> None:
    clips = store.take(range(9))
    scores = LoadedDetector(bundle).score_clips(clips)
    frame = score_store(bundle, store, store.manifest(), conditions=("joint",)).frame()
    np.testing.assert_allclose([score.logit for score in scores], frame["logit"], rtol=1e-4, atol=1e-5)
    assert [score.audio_logit is None for score in scores] == [False] * 3 + [True] * 6


def test_a_video_without_a_face_says_so(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    write_video(path, [np.full((96, 128, 3), 128, np.uint8)] * 50, fps=25)
    with pytest.raises(Exception, match="face") as caught:
        LoadedDetector(bundle).predict(path)
    assert caught.value.status == "no_face"


def test_an_ensemble_is_the_mean_logit(bundle: Bundle, store: ClipStore, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = DetectorModel(bundle.facts.detector).eval()
    save_bundle(tmp_path / "run" / "model", Bundle(bundle.detector, bundle.facts, (other,)))
    ensemble = load_bundle(tmp_path / "run")
    assert len(ensemble.members) == ensemble.facts.members == 2
    found = [
        score_store(one, store, store.manifest()).frame()["logit"]
        for one in (ensemble, bundle, Bundle(other, bundle.facts))
    ]
    np.testing.assert_allclose(found[0], (found[1] + found[2]) / 2, rtol=1e-5)
    assert np.abs(found[1] - found[2]).max() > 1e-3
    (tmp_path / "run" / "model" / "model-1.safetensors").unlink()
    with pytest.raises(ArtefactError, match=r"model-1\.safetensors"):
        load_bundle(tmp_path / "run")


def test_a_model_can_be_read_by_whom_other_files_can(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(tmp_path / "model", bundle)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
    assert len(modes) == 2
    assert len(set(modes.values())) == 1, modes
