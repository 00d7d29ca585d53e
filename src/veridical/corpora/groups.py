"""Leak groups: videos that share a person, an original, a source video or content belong in one split.

Videos and what they share (keys) form a graph; a group is one of its connected components. Everything is columnar: a
million videos take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from veridical.artefacts import Manifest
from veridical.corpora.hashes import near_duplicate_keys
from veridical.errors import unknown_name

Ints = npt.NDArray[np.int64]

LINKS = ("identity", "original", "youtube_id", "part", "sha256", "perceptual_hash")
"""What two videos can share. `identity`: a person (target, source, donor, actor). `original`: the real video that a
fake was made from. `youtube_id`: the source video two sequences were cut from. `part`: a release part whose actors
are its own (DFDC). `sha256`: the same file. `perceptual_hash`: nearly the same frames. All but identity and sha256
are attributes of the video."""


@dataclass(frozen=True, eq=False)
class KeyEdges:
    """Which videos have which keys of one kind: an edge per (video, key)."""

    link: str
    video: Ints
    """(E,) row of the video in the manifest."""
    key: Ints
    """(E,) index into `names`."""
    names: pa.Array
    """The distinct keys, as text."""


def attribute_column(manifest: Manifest, name: str) -> pa.Array:
    """Return one attribute of every video as a string array, null where a video lacks it."""
    array = _single(manifest.table["attributes"])
    if len(array) == 0:
        return pa.nulls(0, pa.string())
    rows = np.full(len(array), -1, dtype=np.int64)
    parents = _parents(array)
    start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
    keys, items = array.keys.slice(start, stop - start), array.items.slice(start, stop - start)
    hits = np.flatnonzero(pc.equal(keys, name).to_numpy(zero_copy_only=False))
    rows[parents[hits]] = hits
    return items.take(pa.array(rows, mask=rows < 0)).cast(pa.string())


def key_edges(manifest: Manifest, link: str, near: int = 6) -> KeyEdges:
    """Return the keys of one kind that the videos have.

    Args:
        manifest: The videos.
        link: A name in `LINKS`.
        near: For `perceptual_hash`: hashes that differ in at most this many of their bits count as the same.

    Raises:
        UsageError: when the link is not known.
    """
    if link not in LINKS:
        raise unknown_name("link", link, LINKS)
    if link == "identity":
        array = _single(manifest.table["identities"])
        values, videos = pc.list_flatten(array), _parents(array)
    elif link == "original":
        own = _single(manifest.table["video_id"])
        original = attribute_column(manifest, "original")
        values = pa.concat_arrays([own, original])
        videos = np.tile(np.arange(len(manifest), dtype=np.int64), 2)
    else:
        values = _single(manifest.table["sha256"]) if link == "sha256" else attribute_column(manifest, link)
        videos = np.arange(len(manifest), dtype=np.int64)
    if link == "perceptual_hash":
        values = near_duplicate_keys(values, near)
    encoded = values.dictionary_encode()
    known = encoded.is_valid().to_numpy(zero_copy_only=False)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return KeyEdges(link, videos[known], codes[known], encoded.dictionary)


def components(size: int, edges: Sequence[KeyEdges]) -> Ints:
    """Return (size,) the component of each video, numbered from 0."""
    offset, rows, columns = size, [], []
    for edge in edges:
        rows.append(edge.video)
        columns.append(edge.key + offset)
        offset += len(edge.names)
    row = np.concatenate(rows) if rows else np.empty(0, np.int64)
    column = np.concatenate(columns) if columns else np.empty(0, np.int64)
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column)), shape=(offset, offset))
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[:size], return_inverse=True)[1].astype(np.int64)


def leak_groups(manifest: Manifest, links: Sequence[str] = LINKS, near: int = 6) -> Manifest:
    """Return the manifest with `group` filled in: the smallest video_id of each component, whatever the order of rows.

    Args:
        manifest: The videos.
        links: What links videos, names in `LINKS`.
        near: See `key_edges`.
    """
    if len(manifest) == 0:
        return manifest
    labels = components(len(manifest), [key_edges(manifest, link, near) for link in links])
    return with_group(manifest, labels)


def with_group(manifest: Manifest, labels: Ints) -> Manifest:
    """Return the manifest with each video's group named after the smallest video_id of its component."""
    ids = manifest.table["video_id"]
    order = pc.sort_indices(ids).to_numpy()
    first = np.full(int(labels.max()) + 1, -1, dtype=np.int64)
    # Written from the last to the first, so that the smallest id of each component stays.
    first[labels[order[::-1]]] = order[::-1]
    return set_column(manifest, "group", ids.take(pa.array(first[labels])))


def set_column(manifest: Manifest, name: str, values: pa.Array) -> Manifest:
    """Return the manifest with one column replaced by an Arrow array (no Python objects in between)."""
    table = manifest.table
    return Manifest(table.set_column(table.schema.get_field_index(name), name, values))


def codes(values: pa.Array | pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return (codes, names): an integer per value (−1 for null) and the text of each integer."""
    encoded = _single(values).dictionary_encode()
    numbers = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, [str(name) for name in encoded.dictionary.to_pylist()]


def _single(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _parents(array: pa.Array) -> Ints:
    """Return, for each element of a list array's flattened values, the row it comes from."""
    lengths = np.diff(array.offsets.to_numpy())
    return np.repeat(np.arange(len(array), dtype=np.int64), lengths)
