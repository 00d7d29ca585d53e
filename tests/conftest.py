"""What all tests share: real clips from the environment, one thread each, no deadline by the clock of a busy machine."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real clips, or a skip that says what to set."""
    folder = os.environ.get("VERIDICAL_REAL_CLIPS")
    if not folder:
        pytest.skip("set VERIDICAL_REAL_CLIPS to a folder of real talking people (GRID) to run this test")
    return Path(folder)
