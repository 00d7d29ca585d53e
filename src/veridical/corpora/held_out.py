"""Corpora that are held out: detectors are tested on them across corpora, and never trained on them.

A video belongs to a held-out corpus by what it is, whatever its data set is called: the adapter that listed it says so
(attribute `corpus`), the people in it do, or the name of its file, where a folder or a csv list holds copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from veridical.artefacts import Manifest, Video
from veridical.corpora.adapter import Notes
from veridical.corpora.groups import attribute_column, key_edges

HELD_OUT = ("celebdf",)
"""Held-out corpora, by the name of their adapter: Celeb-DF in each of its releases."""
CORPUS = "corpus"
"""Attribute of a video: the corpus that it was published in, whatever its data set is called."""
_RELEASES = {"celebdf": ("celebdf", "celebdf_v1", "celebdf++")}
_FILES = {
    "celebdf": re.compile(
        r"(^|/)(Celeb-real/id\d+_\d{4}|YouTube-real/\d{5}|Celeb-synthesis/.*|[^/]*(?<![A-Za-z0-9])id\d{1,2}_id\d{1,2}_\d{4})\.\w+$"
    )
}
"""Corpus → its files, by name: `Celeb-real/id0_0000.mp4`, and swaps `id0_id1_0000.mp4` wherever they lie."""


def named_by_corpus(videos: Iterable[Video], corpus: str | None, notes: Notes) -> Iterable[Video]:
    """Yield the videos with the corpus that they were published in, as far as it is known.

    Args:
        videos: As an adapter lists them.
        corpus: The adapter's corpus; None: a folder or a list, which may hold files of any corpus.
        notes: Files that are recognised are counted there.
    """
    for video in videos:
        name = corpus or next((name for name, files in _FILES.items() if files.search(video.path)), None)
        if corpus is None and name is not None:
            notes.warn(f"a file of {name} by its name, which is held out: not for training or validation", video.path)
        yield video if name is None else replace(video, attributes={**video.attributes, CORPUS: name})


def held_out_corpora(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return held-out corpus → data set → number of its videos; empty where there is none."""
    stated = attribute_column(manifest, CORPUS)
    people = key_edges(manifest, "identity")
    datasets = manifest.table["dataset"].combine_chunks()
    counts: dict[str, dict[str, int]] = {}
    for corpus in HELD_OUT:
        names = pa.array(_RELEASES[corpus])
        belongs = pc.or_(pc.is_in(stated, names), pc.is_in(datasets, names)).to_numpy(zero_copy_only=False).copy()
        shown = pc.starts_with(people.names.cast(pa.string()), f"{corpus}/").to_numpy(zero_copy_only=False)
        belongs[people.video[shown[people.key]]] = True
        if belongs.any():
            found = datasets.filter(pa.array(belongs)).value_counts().to_pylist()
            counts[corpus] = {item["values"]: item["counts"] for item in found}
    return counts
