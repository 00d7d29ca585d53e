"""What all tests share: real clips from the environment, one thread each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
