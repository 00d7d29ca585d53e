"""Allocation: leak groups are dealt to sides so that every stratum comes near its share, and the totals nearest of all.

Groups with the same counts per stratum (the same signature) are interchangeable, so the problem is a small table "how
many groups of each signature go to each side". It is filled by shares, rounded greedily, then improved by moves and
swaps; which groups those are is drawn by the seed. A million single-video groups take as long as twenty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TOTAL_WEIGHT = 100.0
_EMPTY_PENALTY = 1e6
_REFINED_SIGNATURES = 64
_MAX_STEPS = 400


@dataclass(frozen=True, eq=False)
class _Signatures:
    """Groups by their counts. U signatures, K strata, and two more columns: 1 for the group itself, and all its videos.

    The number of groups is shared out like a stratum, so that a test set is not one person with many videos.
    """

    counts: Ints
    """(U, K + 2)"""
    of_group: Ints
    """(G,) the signature of each group."""
    multiplicity: Ints
    """(U,) how many groups have it."""


def allocate(group: Ints, stratum: Ints, fractions: Sequence[float], rng: np.random.Generator) -> Ints:
    """Deal groups to sides.

    Args:
        group: (N,) group of each video, numbered 0 … G − 1 without gaps.
        stratum: (N,) stratum of each video, numbered 0 … K − 1.
        fractions: Share of each side; they sum to 1, zeros allowed.
        rng: Draws which of the interchangeable groups go where.

    Returns:
        (G,) the side of each group.
    """
    signatures = _signatures(group, stratum)
    share = np.asarray(fractions, dtype=np.float64)
    used = np.flatnonzero(share > 0)
    target = share[used, None] * (signatures.counts * signatures.multiplicity[:, None]).sum(axis=0)[None, :]
    dealt = _deal(signatures, share[used], target)
    _refine(signatures.counts, dealt, target)
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
    dense = np.zeros((len(first), num_strata + 2), dtype=np.int64)
    signature_of_first = np.full(len(starts), -1, dtype=np.int64)
    signature_of_first[first] = np.arange(len(first))
    wanted = signature_of_first[row] >= 0
    dense[signature_of_first[row[wanted]], column[wanted]] = counts[wanted]
    dense[:, -1] = dense.sum(axis=1)
    dense[:, -2] = 1
    return _Signatures(dense, of_group.astype(np.int64), multiplicity.astype(np.int64))


def _deal(signatures: _Signatures, share: Floats, target: Floats) -> Ints:
    """Return (U, S) how many groups of each signature each side gets; the rest after flooring is placed greedily."""
    dealt = np.floor(signatures.multiplicity[:, None] * share[None, :] + 1e-9).astype(np.int64)
    current = (dealt.T @ signatures.counts).astype(np.float64)
    scale = 1.0 / np.maximum(target, 1e-9)
    order = np.lexsort((np.arange(len(dealt)), -signatures.counts[:, -1]))
    for index in order:
        counts = signatures.counts[index]
        columns = np.flatnonzero(counts)
        for _ in range(int(signatures.multiplicity[index] - dealt[index].sum())):
            cost = ((current[:, columns] + counts[columns] / 2) * scale[:, columns] * counts[columns]).sum(axis=1)
            side = int(np.argmin(cost))
            dealt[index, side] += 1
            current[side] += counts
    return dealt


def _refine(counts: Ints, dealt: Ints, target: Floats) -> None:
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
            before = _badness(current[source], target[source]) + _badness(current[destination], target[destination])
            after = _badness(current[source] - change[allowed], target[source])
            after = after + _badness(current[destination] + change[allowed], target[destination])
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


def _badness(current: Floats, target: Floats) -> Floats:
    """Return chi-square over the strata, heavier on the total, heaviest on a stratum that a side lacks."""
    weight = np.ones(target.shape[-1])
    weight[-1] = _TOTAL_WEIGHT
    square = ((current - target) ** 2 / np.maximum(target, 1e-9) * weight).sum(axis=-1)
    empty = ((current <= 0) & (target > 0)).sum(axis=-1)
    result: Floats = square + _EMPTY_PENALTY * empty
    return result


def _movable(counts: Ints, dealt: Ints) -> Ints:
    """Choose the signatures that may be moved: all when there are few, else those that help most."""
    if len(counts) <= _REFINED_SIGNATURES:
        return np.arange(len(counts))
    lacking = ((dealt.T @ counts) == 0).any(axis=0)
    helps = (counts[:, lacking] > 0).any(axis=1)
    return np.lexsort((counts[:, -1], ~helps))[:_REFINED_SIGNATURES]


def _draw(signatures: _Signatures, dealt: Ints, rng: np.random.Generator) -> Ints:
    """Return (G,) the side of each group: the groups of a signature are shuffled and dealt out."""
    shuffled = rng.permutation(len(signatures.of_group))
    order = shuffled[np.argsort(signatures.of_group[shuffled], kind="stable")]
    flat_sides = np.tile(np.arange(dealt.shape[1]), len(dealt))
    side = np.empty(len(order), dtype=np.int64)
    side[order] = np.repeat(flat_sides, dealt.ravel())
    return side
