"""The proof that comes with a split: what its parts share, link by link, and how many videos of each kind they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from veridical.artefacts import SPLITS, Manifest
from veridical.corpora.groups import LINKS, codes, key_edges

_MAX_EXAMPLES = 10

NO_GENERATOR = ("real", "unknown", "unlabelled")
"""What `generators` calls videos that no known generator made."""
Categories: TypeAlias = "pd.Categorical[Any]"


@dataclass(frozen=True)
class Leak:
    """What two splits share of one kind; with `keys` 0 they share nothing."""

    link: str
    first: str
    second: str
    keys: int
    """How many people, originals, files … are in both splits."""
    videos: int
    """How many videos of the two splits have such a key."""
    examples: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line for the terminal."""
        return (
            f"LEAK {self.first}/{self.second}: {self.keys} × the same {self.link}, {self.videos} videos "
            f"(for example {', '.join(self.examples[:3])})"
        )


@dataclass(frozen=True)
class Absence:
    """A generator (or the reals) of a dataset that one of the dataset's splits lacks."""

    dataset: str
    generator: str
    split: str
    videos: int
    """How many the other splits have."""

    @property
    def line(self) -> str:
        """One line for the terminal."""
        return f"{self.split} of {self.dataset} has no video of {self.generator!r} (other splits: {self.videos})"


@dataclass(frozen=True, eq=False)
class Proof:
    """Leaks between every two splits, and counts."""

    leaks: tuple[Leak, ...]
    """One per link and pair of splits, clean ones included."""
    counts: pd.DataFrame
    """Columns dataset, generator, compression, label, train, val, test, unused."""
    groups: Mapping[str, int]
    """Split → number of leak groups, the independent cases that its figures rest on; empty without groups."""

    @property
    def absent(self) -> tuple[Absence, ...]:
        """What a split of a dataset lacks and another one has; intended where a generator was held out."""
        absences = []
        for dataset, part in self.counts.groupby("dataset", sort=True):
            videos = part.groupby("generator", sort=True)[list(SPLITS)].sum()
            for name in (split for split in SPLITS if videos[split].any()):
                elsewhere = videos.sum(axis=1) - videos[name]
                lacking = videos.index[(videos[name] == 0) & (elsewhere > 0)]
                absences += [Absence(str(dataset), kind, name, int(elsewhere[kind])) for kind in lacking]
        return tuple(absences)

    @property
    def clean(self) -> bool:
        """Whether no two splits share anything."""
        return not any(leak.keys for leak in self.leaks)

    @property
    def lines(self) -> tuple[str, ...]:
        """What splits share, or one line that they share nothing, and what they lack."""
        shared = [leak.line for leak in self.leaks if leak.keys]
        if not shared:
            shared = ["no two splits share a person, an original or a file" if self.leaks else "one split only"]
        return (*shared, *(absence.line for absence in self.absent))

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "clean": self.clean,
            "leaks": [vars(leak) | {"examples": list(leak.examples)} for leak in self.leaks],
            "absent": [vars(absence) for absence in self.absent],
            "groups": dict(self.groups),
            "counts": self.counts.to_dict(orient="records"),
        }


def prove(manifest: Manifest, accept: Sequence[str] = ()) -> Proof:
    """Return the proof of a manifest whose `split` is filled; videos without a split take no part.

    Args:
        manifest: The videos.
        accept: Links (names in `LINKS`) that are known to be shared and are not examined; other names are ignored.
    """
    numbers, names = codes(manifest.table["split"])
    position = np.array([SPLITS.index(name) for name in names] + [-1])
    split = position[numbers]
    present = [index for index in range(len(SPLITS)) if (split == index).any()]
    leaks = [leak for link in LINKS if link not in accept for leak in _leaks(manifest, link, split, present)]
    groups, _ = codes(manifest.table["group"])
    num_groups = {SPLITS[index]: len(np.unique(groups[(split == index) & (groups >= 0)])) for index in present}
    return Proof(tuple(leaks), split_counts(manifest), num_groups if (groups >= 0).any() else {})


def _leaks(manifest: Manifest, link: str, split: npt.NDArray[np.int64], present: Sequence[int]) -> list[Leak]:
    edges = key_edges(manifest, link)
    side = split[edges.video]
    has = np.zeros((len(edges.names), len(SPLITS)), dtype=bool)
    has[edges.key[side >= 0], side[side >= 0]] = True
    leaks = []
    for a, b in combinations(present, 2):
        shared = has[:, a] & has[:, b]
        keys = np.flatnonzero(shared)
        touched = shared[edges.key] & ((side == a) | (side == b))
        examples = edges.names.take(pa.array(keys[:_MAX_EXAMPLES])).to_pylist()
        videos = len(np.unique(edges.video[touched]))
        leaks.append(Leak(link, SPLITS[a], SPLITS[b], len(keys), videos, tuple(map(str, examples))))
    return leaks


def split_counts(manifest: Manifest) -> pd.DataFrame:
    """Count the videos per dataset × generator × compression × label and split; real and unknown are spelled out."""
    frame = pd.DataFrame({name: _category(manifest, name) for name in ("dataset", "compression", "split")})
    frame["generator"] = generators(manifest)
    label = manifest.table["label"].to_pandas()
    frame["label"] = pd.Categorical(label.map({0: "real", 1: "fake"}).fillna("unknown"))
    keys = ["dataset", "generator", "compression", "label"]
    counted = frame.groupby([*keys, "split"], observed=True, sort=True).size().rename("videos").reset_index()
    table = counted.pivot_table(
        index=keys, columns="split", values="videos", fill_value=0, aggfunc="sum", observed=True
    )
    for name in (*SPLITS, "unused"):
        if name not in table:
            table[name] = 0
    result: pd.DataFrame = table[[*SPLITS, "unused"]].reset_index()
    result.columns.name = None
    return result.astype({**dict.fromkeys(keys, object), **dict.fromkeys((*SPLITS, "unused"), int)})


def _category(manifest: Manifest, name: str) -> Categories:
    numbers, names = codes(manifest.table[name])
    missing = {"compression": "unknown", "split": "unused"}.get(name, "unknown")
    return _categorical(numbers, names, missing)


def _categorical(numbers: npt.NDArray[np.int64], names: list[str], missing: str) -> Categories:
    known = [*names] if missing in names else [*names, missing]
    filled = np.where(numbers < 0, known.index(missing), numbers)
    return pd.Categorical.from_codes(filled.astype(np.int64), categories=pd.Index(known, dtype=object))


def generators(manifest: Manifest) -> Categories:
    """Return the generator of each video: `real`, `unknown` for a fake that does not say, else its name."""
    numbers, names = codes(manifest.table["generator"])
    label = manifest.table["label"].to_pandas().fillna(-1).to_numpy()
    # A generator that is itself called "real" or "unknown" would merge with these; the adapters make none.
    known = list(dict.fromkeys([*names, *NO_GENERATOR]))
    filled = np.where(numbers < 0, known.index("unknown"), numbers)
    filled = np.where(label == 0, known.index("real"), filled)
    filled = np.where((label == -1) & (numbers < 0), known.index("unlabelled"), filled)
    return pd.Categorical.from_codes(filled.astype(np.int64), categories=pd.Index(known, dtype=object))
