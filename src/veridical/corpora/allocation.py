"""Allocation of leak groups to sides (train, val, test), so that every stratum comes near its share on each side.

Sides also get their share of groups, and of large ones: a test set of two people with many videos each would have the
right number of videos and prove little. Groups with the same counts per stratum (the same signature) are interchangeable,
so the problem is a small table "how many groups of each signature go to each side". It is filled by shares, rounded
greedily in an order that the seed draws, then improved by moves and swaps; which groups of a signature go where is drawn
too. A million single-video groups take as long as twenty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TRAIN, VAL, TEST, LEFT_OUT = 0, 1, 2, -1

_GROUPS_WEIGHT, _SQUARES_WEIGHT, _TOTAL_WEIGHT = 30.0, 30.0, 100.0
_SQUARES = -2
_EMPTY_PENALTY = 1e6
_ORDER_JITTER = 0.5
_REFINED_SIGNATURES = 64
_MAX_STEPS = 400


@dataclass(frozen=True, eq=False)
class Sides:
    """Which side each video goes to and why: the outcome of a split scheme, before it is written into a manifest."""

    side: Ints
    """(N,) TRAIN, VAL, TEST or LEFT_OUT."""
    left_out: Mapping[str, Ints] = field(default_factory=dict)
    """Reason → rows of the videos in no split."""
    moved_from: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    """(M, 2) row and original side of each video that was moved."""
    group: Ints | None = None
    """(N,) the group of each video, −1 for none, where it is not the connected component."""
    notes: tuple[str, ...] = ()
    """Caveats for readers of results made with this split."""


@dataclass(frozen=True, eq=False)
class _Signatures:
    """Distinct counts per stratum, and which group has which.

    U signatures, K strata and three more columns: 1 for the group itself, the square of its videos, and all its videos.
    """

    counts: Ints
    """(U, K + 3)"""
    of_group: Ints
    """(G,) the signature of each group."""
    multiplicity: Ints
    """(U,) how many groups have it."""

    @property
    def scale(self) -> Floats:
        """(K + 3,) factors that bring each column to the scale of one video."""
        factors = np.ones(self.counts.shape[1])
        groups, squares, videos = (self.counts[:, -3:] * self.multiplicity[:, None]).sum(axis=0)
        factors[-3:-1] = videos / groups, videos / squares
        return factors


def allocate(group: Ints, stratum: Ints, fractions: Sequence[float], rng: np.random.Generator) -> Ints:
    """Assign each group to a side.

    Args:
        group: (N,) group of each video, numbered 0 … G − 1 without gaps.
        stratum: (N,) stratum of each video, numbered 0 … K − 1.
        fractions: Share of each side; they sum to 1, zeros allowed.
        rng: Decides which of the interchangeable groups go where.

    Returns:
        (G,) the side of each group.
    """
    signatures = _signatures(group, stratum)
    share = np.asarray(fractions, dtype=np.float64)
    used = np.flatnonzero(share > 0)
    target = share[used, None] * (signatures.counts * signatures.multiplicity[:, None]).sum(axis=0)[None, :]
    dealt = _deal(signatures, share[used], target, rng)
    weight = signatures.scale
    weight[-3:] *= _GROUPS_WEIGHT, _SQUARES_WEIGHT, _TOTAL_WEIGHT
    _refine(signatures.counts, dealt, target, weight)
    return used[_draw(signatures, dealt, rng)]


def _signatures(group: Ints, stratum: Ints) -> _Signatures:
    num_strata = int(stratum.max()) + 1
    cell, counts = np.unique(group * num_strata + stratum, return_counts=True)
    row, column = cell // num_strata, cell % num_strata
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    # Two different signatures with one 64-bit hash: under one in a million even for a million signatures.
    weights = np.random.default_rng(0).integers(1, 2**63, size=num_strata, dtype=np.uint64)
    hashes = np.add.reduceat(weights[column] * counts.astype(np.uint64), starts)
    _, first, of_group, multiplicity = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    dense = np.zeros((len(first), num_strata + 3), dtype=np.int64)
    signature_of_first = np.full(len(starts), -1, dtype=np.int64)
    signature_of_first[first] = np.arange(len(first))
    wanted = signature_of_first[row] >= 0
    dense[signature_of_first[row[wanted]], column[wanted]] = counts[wanted]
    dense[:, -1] = dense.sum(axis=1)
    dense[:, -2] = dense[:, -1] ** 2
    dense[:, -3] = 1
    return _Signatures(dense, of_group.astype(np.int64), multiplicity.astype(np.int64))


def _deal(signatures: _Signatures, share: Floats, target: Floats, rng: np.random.Generator) -> Ints:
    """Return (U, S) how many groups of each signature each side gets; what flooring leaves over is placed greedily."""
    dealt = np.floor(signatures.multiplicity[:, None] * share[None, :] + 1e-9).astype(np.int64)
    current = (dealt.T @ signatures.counts).astype(np.float64)
    scale = signatures.scale / np.maximum(target, 1e-9)
    order = np.argsort(-signatures.counts[:, -1] * (1 + _ORDER_JITTER * rng.random(len(dealt))), kind="stable")
    for index in order:
        counts = signatures.counts[index]
        columns = np.flatnonzero(counts)
        for _ in range(int(signatures.multiplicity[index] - dealt[index].sum())):
            cost = ((current[:, columns] + counts[columns] / 2) * scale[:, columns] * counts[columns]).sum(axis=1)
            side = int(np.argmin(cost))
            dealt[index, side] += 1
            current[side] += counts
    return dealt


def _refine(counts: Ints, dealt: Ints, target: Floats, weight: Floats) -> None:
    """Improve `dealt` in place by the best move of one group, or swap of two, until none helps."""
    chosen = _movable(counts, dealt)
    pool = np.vstack([counts[chosen], np.zeros((1, counts.shape[1]), dtype=np.int64)])
    first, second = (axis.ravel() for axis in np.meshgrid(np.arange(len(chosen)), np.arange(len(pool)), indexing="ij"))
    change = (pool[first] - pool[second]).astype(np.float64)
    current = (dealt.T @ counts).astype(np.float64)
    sides = [(a, b) for a in range(len(target)) for b in range(len(target)) if a != b]
    for _ in range(_MAX_STEPS):
        best_gain, best = -1e-9, None
        available = np.vstack([dealt[chosen], np.full((1, dealt.shape[1]), 1)])
        for source, destination in sides:
            allowed = np.flatnonzero((available[first, source] > 0) & (available[second, destination] > 0))
            if not len(allowed):
                continue
            before = _badness(current[source], target[source], weight)
            before = before + _badness(current[destination], target[destination], weight)
            after = _badness(current[source] - change[allowed], target[source], weight)
            after = after + _badness(current[destination] + change[allowed], target[destination], weight)
            winner = int(np.argmin(after))
            if after[winner] - before < best_gain:
                best_gain, best = float(after[winner] - before), (source, destination, int(allowed[winner]))
        if best is None:
            return
        source, destination, pair = best
        _swap(dealt, chosen, (int(first[pair]), int(second[pair])), (source, destination))
        current[source] -= change[pair]
        current[destination] += change[pair]


def _swap(dealt: Ints, chosen: Ints, pair: tuple[int, int], sides: tuple[int, int]) -> None:
    source, destination = sides
    dealt[chosen[pair[0]], source] -= 1
    dealt[chosen[pair[0]], destination] += 1
    if pair[1] < len(chosen):
        dealt[chosen[pair[1]], destination] -= 1
        dealt[chosen[pair[1]], source] += 1


def _badness(current: Floats, target: Floats, weight: Floats) -> Floats:
    """Return weighted chi-square over the columns, heaviest on a stratum that a side lacks; few large groups are fine."""
    off = current - target
    off[..., _SQUARES] = np.maximum(off[..., _SQUARES], 0.0)
    square = (off**2 / np.maximum(target, 1e-9) * weight).sum(axis=-1)
    empty = ((current <= 0) & (target > 0)).sum(axis=-1)
    result: Floats = square + _EMPTY_PENALTY * empty
    return result


def _movable(counts: Ints, dealt: Ints) -> Ints:
    """Return the signatures that may be moved: all when they are few, else those that help most."""
    if len(counts) <= _REFINED_SIGNATURES:
        return np.arange(len(counts))
    lacking = ((dealt.T @ counts) == 0).any(axis=0)
    helps = (counts[:, lacking] > 0).any(axis=1)
    return np.lexsort((counts[:, -1], ~helps))[:_REFINED_SIGNATURES]


def _draw(signatures: _Signatures, dealt: Ints, rng: np.random.Generator) -> Ints:
    """Return (G,) the side of each group: the groups of a signature are shuffled and assigned."""
    shuffled = rng.permutation(len(signatures.of_group))
    order = shuffled[np.argsort(signatures.of_group[shuffled], kind="stable")]
    flat_sides = np.tile(np.arange(dealt.shape[1]), len(dealt))
    side = np.empty(len(order), dtype=np.int64)
    side[order] = np.repeat(flat_sides, dealt.ravel())
    return side
