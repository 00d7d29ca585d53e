"""A store and a finished run that the tests of this room share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from veridical.clips import ClipStore
from veridical.training import TrainSummary, train

sys.path.insert(0, str(Path(__file__).parent))

from tiny import fabricate_store, tiny_recipe


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return fabricate_store(tmp_path_factory.mktemp("tiny") / "store")


@pytest.fixture(scope="session")
def summary(store: ClipStore) -> TrainSummary:
    return train(tiny_recipe(store.path), store.path.parent / "run")
