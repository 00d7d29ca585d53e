"""The split that a corpus was published with: as it is, or repaired where it leaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from veridical.artefacts import SPLITS, Manifest
from veridical.corpora.allocation import LEFT_OUT, TEST, TRAIN, VAL, Sides
from veridical.corpora.groups import LINKS, KeyEdges, attribute_column, codes, components, key_edges
from veridical.errors import UsageError

Ints = npt.NDArray[np.int64]

_TOO_MUCH = 0.25
"""If moving groups would take more than this share of the validation or test videos away, training videos are left out
instead, and validation and test stay as published."""


def official_sides(manifest: Manifest) -> Sides:
    """Return the published split.

    Raises:
        UsageError: when no video has one.
    """
    numbers, names = codes(attribute_column(manifest, "official_split"))
    unknown = [name for name in names if name not in SPLITS]
    if unknown:
        raise UsageError(f"official split: got {unknown[0]!r}, valid: {', '.join(SPLITS)}")
    side = np.array([SPLITS.index(name) for name in names] + [LEFT_OUT], dtype=np.int64)[numbers]
    if not (side >= 0).any():
        datasets = ", ".join(sorted(set(manifest.table["dataset"].unique().to_pylist())))
        raise UsageError(
            f"no video of {datasets} has an official split: the corpus has none, or its list files were not found "
            "by scan; use --scheme stratified, or put the lists in place and scan again"
        )
    rest = np.flatnonzero(side < 0)
    left_out = {"not in the official lists": rest} if len(rest) else {}
    return Sides(side, left_out)


def repaired_sides(manifest: Manifest) -> Sides:
    """Return the published split with every leaking group on one side.

    A group that lies on two sides goes to training if part of it is there, else to validation, so the repaired
    validation and test sets are parts of the published ones. Where groups are so large that this would empty these
    sets, they stay as published and the training (and validation) videos that share anything with them are left out.
    """
    official = official_sides(manifest)
    edges = [_among(key_edges(manifest, link), official.side >= 0) for link in LINKS]
    moved = _moved(official.side, components(len(manifest), edges))
    for side in (VAL, TEST):
        before = (official.side == side).sum()
        if before and (moved == side).sum() < (1 - _TOO_MUCH) * before:
            return _without_leaking_training(official, edges)
    rows = np.flatnonzero(moved != official.side)
    note = f"repaired: {len(rows)} videos of leaking groups moved to the training side of their group"
    return Sides(
        moved, official.left_out, np.stack([rows, official.side[rows]], axis=1), notes=(note,) if len(rows) else ()
    )


def _moved(side: Ints, component: Ints) -> Ints:
    lowest = np.full(int(component.max()) + 1, len(SPLITS), dtype=np.int64)
    used = side >= 0
    np.minimum.at(lowest, component[used], side[used])
    return np.where(used, lowest[component], side)


def _without_leaking_training(official: Sides, edges: list[KeyEdges]) -> Sides:
    side = official.side.copy()
    left_out = dict(official.left_out)
    for kept, others in ((TEST, (VAL, TRAIN)), (VAL, (TRAIN,))):
        leaking = np.zeros(len(side), dtype=bool)
        for edge in edges:
            held = np.zeros(len(edge.names), dtype=bool)
            held[edge.key[side[edge.video] == kept]] = True
            leaking[edge.video[held[edge.key]]] = True
        rows = np.flatnonzero(leaking & np.isin(side, others))
        if len(rows):
            side[rows] = LEFT_OUT
            left_out[f"shares a person, original or file with {SPLITS[kept]}"] = rows
    count = int((official.side >= 0).sum() - (side >= 0).sum())
    note = (
        f"repaired: the leaking groups are too large to move; {SPLITS[TEST]} is as published, {count} videos that "
        "share something with a later split are left out"
    )
    return Sides(side, left_out, notes=(note,))


def _among(edges: KeyEdges, used: npt.NDArray[np.bool_]) -> KeyEdges:
    """Return the edges of the used videos only: an unused video links nothing."""
    kept = used[edges.video]
    return KeyEdges(edges.link, edges.video[kept], edges.key[kept], edges.names)
