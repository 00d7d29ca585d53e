"""Sides: which split each video goes to, what was left out or moved and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

TRAIN, VAL, TEST, LEFT_OUT = 0, 1, 2, -1


@dataclass(frozen=True, eq=False)
class Sides:
    """The outcome of a scheme, before it is written into a manifest."""

    side: Ints
    """(N,) TRAIN, VAL, TEST or LEFT_OUT."""
    left_out: Mapping[str, Ints] = field(default_factory=dict)
    """Reason → rows of the videos in no split."""
    moved_from: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    """(M, 2) row and original side of each video that was moved."""
    group: Ints | None = None
    """(N,) the group of each video, −1 for none, where it is not the connected component."""
    notes: tuple[str, ...] = ()
    """What whoever reads a result made with this split must know."""
