"""What all tests share: real clips from the environment, one thread each, nothing that depends on the speed of the machine, on
chance or on the shell. `--hypothesis-profile search` looks for other examples in the properties.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

ANY_SPEED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("same examples", **ANY_SPEED, derandomize=True)
hypothesis.settings.register_profile("search", **ANY_SPEED)
hypothesis.settings.load_profile("same examples")
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(name, None)  # each has help and messages written in colour
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
