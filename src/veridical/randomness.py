"""Random streams that are pure functions of a seed and of names: nothing depends on order, workers or global state."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_from(seed: int, *names: object) -> int:
    """Return a 63-bit seed that depends on the seed and on each name (their `str`), and on nothing else."""
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return an independent generator for (seed, names).

    Example:
        >>> bool(stream(0, "clip", 3).random() == stream(0, "clip", 3).random())
        True
        >>> bool(stream(0, "clip", 3).random() == stream(1, "clip", 3).random())
        False
    """
    return np.random.default_rng(seed_from(seed, *names))
