"""Splitting people inside components too large to be assigned whole; videos with people of two sides are left out.

In FakeAVCeleb fifty people of one race and gender are all linked to each other by face swaps. Sides are grown person by
person, each time taking the one with the largest share of videos in common with the side, so that few videos cross.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import coo_matrix, csr_matrix

from veridical.artefacts import Manifest
from veridical.corpora.allocation import allocate
from veridical.corpora.groups import LINKS, KeyEdges, attribute_column, components, key_edges

Ints = npt.NDArray[np.int64]

LARGER_THAN_A_SPLIT = 1.1
FEWEST_GROUPS = 10
"""Fewest leak groups over which videos are resampled."""
_MANY_PEOPLE = 20
_FEWEST_GROUPS = 2.0


def split_people(manifest: Manifest, stratum: Ints, fractions: Sequence[float], rng: np.random.Generator) -> Ints:
    """Return (N,) the side of each video; −1 for videos that cross sides and must be left out.

    Components of many people are split inside, each in the same shares, so that every community is on every side (the
    components of FakeAVCeleb are its ten groups of race and gender); small components are assigned whole.

    Args:
        manifest: The videos.
        stratum: (N,) stratum of each video, see `allocate`.
        fractions: Share of each side, summing to 1.
        rng: Decides with whom each side begins.
    """
    component = components(len(manifest), [key_edges(manifest, link) for link in LINKS])
    edges = _people_edges(manifest)
    large = _large(component, edges, fractions)
    side = np.full(len(manifest), -1, dtype=np.int64)
    small = np.flatnonzero(~large[component])
    if len(small):
        group = np.unique(component[small], return_inverse=True)[1].astype(np.int64)
        side[small] = allocate(group, stratum[small], fractions, rng)[group]
    for number in np.flatnonzero(large):
        mine = component[edges.video] == number
        video = edges.video[mine]
        person, key = np.unique(edges.key[mine], return_inverse=True)
        rows, row = np.unique(video, return_inverse=True)
        member = coo_matrix((np.ones(len(row)), (row, key)), shape=(len(rows), len(person))).tocsr()
        side[rows] = _agree(len(rows), row.astype(np.int64), _grow(member, np.asarray(fractions), rng)[key])
    for link in LINKS:
        if link != "identity":
            side = _one_side_per_key(key_edges(manifest, link), side)
    return side


def _large(component: Ints, edges: KeyEdges, fractions: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Return (C,) which components must be split inside."""
    pairs = np.unique(np.stack([component[edges.video], edges.key], axis=1), axis=0)
    people = np.bincount(pairs[:, 0], minlength=int(component.max()) + 1)
    too_large = np.bincount(component) > LARGER_THAN_A_SPLIT * max(fractions) * len(component)
    result: npt.NDArray[np.bool_] = (people >= _MANY_PEOPLE) | (too_large & (people > 1))
    return result


def too_coarse(manifest: Manifest, component: Ints, fractions: Sequence[float]) -> bool:
    """Say whether components are too large, or too few for the people they hold, to be assigned whole.

    Too few means: the smallest side would get fewer than two of them on average, though a component holds many people.
    """
    sizes = np.bincount(component)
    if sizes.max() > LARGER_THAN_A_SPLIT * max(fractions) * len(component):
        return True
    effective = len(component) ** 2 / float((sizes.astype(np.float64) ** 2).sum())
    smallest = min(share for share in fractions if share > 0)
    return smallest * effective < _FEWEST_GROUPS and bool(_large(component, _people_edges(manifest), fractions).any())


def target_groups(manifest: Manifest) -> Ints:
    """Return (N,) components linked by everything but the donors: by the person shown, not the one put in.

    A video without a named target counts as showing all its people.
    """
    target = attribute_column(manifest, "target")
    named = np.flatnonzero(np.asarray(target.is_valid()))
    everyone = key_edges(manifest, "identity")
    shown = ~np.isin(everyone.video, named)
    people = [target.take(pa.array(named)), everyone.names.take(pa.array(everyone.key[shown])).cast(pa.string())]
    encoded = pa.concat_arrays(people).dictionary_encode()
    video = np.concatenate([named, everyone.video[shown]])
    edges = [key_edges(manifest, link) for link in LINKS if link != "identity"]
    edges.append(KeyEdges("identity", video, encoded.indices.to_numpy().astype(np.int64), encoded.dictionary))
    return components(len(manifest), edges)


def resampling_units(manifest: Manifest, video_ids: Sequence[str]) -> list[str]:
    """Return for each of these videos what a bootstrap over them draws: its leak group, or the person it shows.

    Donors tie people together: all videos of a corpus of swaps can form one leak group, and one group cannot be resampled. With
    fewer than `FEWEST_GROUPS` the person shown counts instead, which makes intervals slightly too narrow. A video without a leak
    group is a unit of its own.
    """
    position = {name: row for row, name in enumerate(manifest.table["video_id"].to_pylist())}
    rows = [position[video_id] for video_id in video_ids]
    named = manifest.table["group"].to_pylist()
    groups = [named[row] or video_id for row, video_id in zip(rows, video_ids, strict=True)]
    people = target_groups(manifest)[rows]
    if len(set(groups)) < min(FEWEST_GROUPS, len(set(people))):
        return [f"person shown {person}" for person in people]
    return groups


def _people_edges(manifest: Manifest) -> KeyEdges:
    """Return identity edges, with a stand-in person for each component of videos that name nobody."""
    edges = key_edges(manifest, "identity")
    nameless = np.ones(len(manifest), dtype=bool)
    nameless[edges.video] = False
    others = [key_edges(manifest, link) for link in LINKS if link != "identity"]
    stand_in = components(len(manifest), others)
    rows = np.flatnonzero(nameless)
    _, key = np.unique(stand_in[rows], return_inverse=True)
    return KeyEdges(
        "identity",
        np.concatenate([edges.video, rows]),
        np.concatenate([edges.key, key.astype(np.int64) + len(edges.names)]),
        edges.names,
    )


def _grow(member: csr_matrix, fractions: npt.NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """Return (P,) the side of each person; sides are grown from the smallest to the largest, which takes the rest."""
    share = member.multiply(1.0 / np.maximum(member.sum(axis=1), 1)).tocsr()
    weight = np.asarray(share.sum(axis=0)).ravel()
    together = (member.T @ member).tocsr()
    degree = np.asarray(together.sum(axis=1)).ravel()
    side = np.full(len(weight), int(np.argmax(fractions)), dtype=np.int64)
    free = np.ones(len(weight), dtype=bool)
    for index in np.argsort(fractions, kind="stable")[:-1]:
        wanted = fractions[index] * weight.sum()
        inside = np.zeros(len(weight))
        while wanted > 0 and free.any():
            # The seed breaks ties; at the start all people are tied.
            score = np.where(free, inside / np.maximum(degree, 1), -1.0) + 1e-9 * rng.random(len(weight))
            person = int(np.argmax(score))
            if weight[person] > 2 * wanted and inside.any():
                break
            side[person], free[person] = index, False
            wanted -= weight[person]
            inside += np.asarray(together[person].todense()).ravel()
    return side


def _agree(size: int, video: Ints, side: Ints) -> Ints:
    """Return (size,) the side on which all people of a video are, −1 where they are not on one."""
    low = np.full(size, np.iinfo(np.int64).max)
    high = np.full(size, -1, dtype=np.int64)
    np.minimum.at(low, video, side)
    np.maximum.at(high, video, side)
    return np.where(low == high, high, -1)


def _one_side_per_key(edges: KeyEdges, side: Ints) -> Ints:
    """Return `side` with −1 for videos whose key is held by another side with more videos."""
    if not len(edges.names):
        return side
    kept = side[edges.video] >= 0
    counts = np.zeros((len(edges.names), int(side.max()) + 1), dtype=np.int64)
    np.add.at(counts, (edges.key[kept], side[edges.video[kept]]), 1)
    mixed = (counts > 0).sum(axis=1) > 1
    holder = counts.argmax(axis=1)
    wrong = kept & mixed[edges.key] & (holder[edges.key] != side[edges.video])
    result = side.copy()
    result[edges.video[wrong]] = -1
    return result
