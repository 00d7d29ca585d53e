"""Perceptual hashes: find videos that show nearly the same frames, whatever their encoding and size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_SIDE = 8
_MAX_BUCKET = 200


def perceptual_hash(frames: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Return the difference hash of some frames of a video, 16 hex digits (64 bits) per frame.

    A bit is set where brightness rises from one cell of an 8 × 9 grid to its right neighbour.

    Args:
        frames: (H, W, 3) RGB arrays, taken at the same relative times in every video.
    """
    digits = []
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
        digits.append(np.packbits((np.diff(small, axis=1) > 0).ravel()).tobytes().hex())
    return "".join(digits)


def near_duplicate_keys(hashes: pa.Array, near: int) -> pa.Array:
    """Return a key per hash (null stays null) such that hashes within `near` bits of each other get the same key.

    Chains are merged: if a is near b and b near c, all three share a key. Candidates share one of near + 1 bands
    exactly, which by the pigeonhole principle every pair within `near` bits does.
    """
    texts = hashes.to_pylist()
    distinct = sorted({text for text in texts if text is not None})
    place = {text: index for index, text in enumerate(distinct)}
    pairs = [
        (place[first], place[second])
        for first, second in _candidates(distinct, near)
        if (int(first, 16) ^ int(second, 16)).bit_count() <= near
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(distinct), len(distinct)))
    component = connected_components(graph, directed=False)[1] if distinct else np.empty(0, np.int64)
    # The key of a component is its smallest hash; `distinct` is sorted, so that is the first.
    _, smallest = np.unique(component, return_index=True)
    keys = {text: distinct[smallest[number]] for text, number in zip(distinct, component, strict=True)}
    return pa.array([keys.get(text) for text in texts], type=pa.string())


def _candidates(distinct: Sequence[str], near: int) -> set[tuple[str, str]]:
    """Return pairs of hashes of one length that agree exactly in a band."""
    buckets: dict[tuple[int, int, str], list[str]] = {}
    for text in distinct:
        edges = np.linspace(0, len(text), near + 2).astype(int)
        for band, (start, stop) in enumerate(pairwise(edges)):
            if stop > start:
                buckets.setdefault((len(text), band, text[start:stop]), []).append(text)
    pairs: set[tuple[str, str]] = set()
    for members in buckets.values():
        # A bucket this full is a band without information (dark frames); comparing all its pairs would be quadratic.
        if 1 < len(members) <= _MAX_BUCKET:
            pairs.update((a, b) for i, a in enumerate(members) for b in members[i + 1 :])
    return pairs
