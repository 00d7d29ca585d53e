"""How many cores this process may use, and the environment in which a process uses one of them."""

from __future__ import annotations

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
"""Set before a worker imports any numeric library; contended spinning threads made detection fifteen times slower."""


def num_cores() -> int:
    """Return the number of cores this process may use: affinity and container quotas count, on every system."""
    from joblib import cpu_count  # a quarter of a second that most commands never need

    return int(cpu_count())
