"""The cache of features: it round-trips, is shared by processes, and survives their death."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_recipe

from veridical.clips import ClipStore
from veridical.errors import ArtefactError
from veridical.models import DetectorModel, Features, set_trainable
from veridical.randomness import seed_from
from veridical.training.feature_table import MIDDLE, FeatureTable
from veridical.training.features import DirectFeatures, ReusedFeatures, frozen_fingerprint

CPU = torch.device("cpu")


def some_features(count: int, seed: int = 0) -> Features:
    drawn = torch.Generator().manual_seed(seed)
    return Features(
        video=torch.randn(count, 5, 7, generator=drawn),
        audio=torch.randn(count, 3, 2, generator=drawn),
        has_video=torch.ones(count, dtype=torch.bool),
        has_audio=torch.arange(count) % 2 == 0,
        mouths=torch.randint(0, 256, (count, 4, 6, 6), dtype=torch.uint8, generator=drawn),
    )


def test_it_round_trips(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path / "t.lance", 20)
    rows, features = np.array([3, 8, 19, 0]), some_features(4)
    assert table.missing(rows, 2).tolist() == [0, 3, 8, 19]
    table.put(rows, 2, features)
    table.refresh()
    assert table.missing(np.arange(4), 2).tolist() == [1, 2]
    assert len(table.missing(rows, MIDDLE)) == 4, "another view"
    order = np.array([19, 3, 3])
    found = FeatureTable(tmp_path / "t.lance", 20).get(order, 2, CPU)
    for name in ("video", "audio", "has_audio", "mouths"):
        assert torch.equal(getattr(found, name), getattr(features, name)[[2, 0, 0]]), name
    assert found.flow is None
    alone = table.get(order, 2, CPU, only="video")
    assert torch.equal(alone.video, found.video)
    assert alone.audio.numel() == 0
    assert alone.mouths is None


def test_of_two_the_first_is_used(tmp_path: Path) -> None:
    first, second = (FeatureTable(tmp_path / "t.lance", 5) for _ in range(2))  # both see nothing
    first.put(np.array([1, 2]), 0, some_features(2, seed=1))
    second.put(np.array([2, 3]), 0, some_features(2, seed=2))
    first.refresh()
    assert first.missing(np.arange(5), 0).tolist() == [0, 4]
    found = first.get(np.array([1, 2, 3]), 0, CPU).video
    assert torch.equal(found[:2], some_features(2, seed=1).video)
    assert torch.equal(found[2], some_features(2, seed=2).video[1])


def source(store: ClipStore, folder: Path) -> ReusedFeatures:
    recipe = tiny_recipe(store.path)
    torch.manual_seed(seed_from(recipe.seed, "weights"))
    detector = DetectorModel(recipe.model).eval()
    set_trainable(detector, False)
    return ReusedFeatures(DirectFeatures(detector, store, recipe), folder)


@pytest.mark.slow
def test_killed_while_filling(store: ClipStore, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\nimport numpy as np\nfrom test_features import source\n"
        "from veridical.clips import ClipStore\nfrom veridical.training import features\n"
        "features.COMMIT_BYTES = 1\n"
        "source(ClipStore.open(Path(sys.argv[1])), Path(sys.argv[2])).announce(np.arange(64), 0)"
    )
    arguments = [sys.executable, "-c", code, str(store.path), str(tmp_path), str(Path(__file__).parent)]
    processes = [subprocess.Popen(arguments) for _ in range(2)]
    for _ in range(60_000):
        if len(list(tmp_path.glob("*.lance/_versions/*"))) >= 3:
            break
        assert processes[0].poll() is None
        time.sleep(0.01)
    processes[0].kill()
    processes[0].wait()
    assert processes[1].wait() == 0, "the other one fills the table all the same"
    kept = source(store, tmp_path)
    assert not len(kept.table.missing(np.arange(64), 0))
    rows = np.arange(0, 64, 7)
    assert torch.equal(kept.batch(rows, 0).video, kept.direct.batch(rows, 0).video)


def test_other_noise_under_the_same_name_changes_the_key(store: ClipStore, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.path, augmentation={"views": 2, "audio": {"noise_folder": str(tmp_path)}})
    detector = DetectorModel(recipe.model)
    (tmp_path / "street.wav").write_bytes(b"a recording")
    before = frozen_fingerprint(detector, store, recipe)
    assert frozen_fingerprint(detector, store, recipe) == before
    (tmp_path / "street.wav").write_bytes(b"another recording")
    assert frozen_fingerprint(detector, store, recipe) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"augmentation": {"views": 2, "video": {"hue": 0.05}}},
        {"inputs": {"frame_size": 56, "crop_size": 64, "min_speech_share": 0.5}},
        {"runtime": {"precision": "bf16-mixed"}},
    ],
)
def test_what_changes_features_changes_their_key(store: ClipStore, changes: dict[str, object]) -> None:
    detector = DetectorModel(tiny_recipe(store.path).model)
    before = frozen_fingerprint(detector, store, tiny_recipe(store.path))
    assert frozen_fingerprint(detector, store, tiny_recipe(store.path, **changes)) != before
    assert frozen_fingerprint(detector, store, tiny_recipe(store.path, augmentation={"views": 9})) == before
    with torch.no_grad():
        next(detector.temporal.parameters()).add_(1)
        next(detector.audio.blocks[-1].parameters()).add_(1)
    assert frozen_fingerprint(detector, store, tiny_recipe(store.path)) == before, "parts that learn do not count"
    with torch.no_grad():
        next(detector.audio.blocks[0].parameters()).add_(1)
    assert frozen_fingerprint(detector, store, tiny_recipe(store.path)) != before


def test_damaged_features_say_what_to_delete(tmp_path: Path) -> None:
    table = FeatureTable(tmp_path / "kept" / "key.lance", 3)
    table.put(np.arange(3), 0, some_features(3))
    file = max((tmp_path / "kept").rglob("data/*.lance"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ArtefactError, match=r"kept: cached features are damaged .*; delete this folder"):
        FeatureTable(tmp_path / "kept" / "key.lance", 3)
