"""Several clip stores seen as one: another corpus next to the first, or the same corpus at other compression levels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from veridical.artefacts import Manifest, fingerprint
from veridical.clips.contents import CONTENTS
from veridical.clips.encoding import PAYLOAD_COLUMNS, PERSON
from veridical.clips.store import ClipStore, Rows
from veridical.errors import UsageError
from veridical.settings import differences

LIMITS = {"max_duration_s", "max_megapixels", *CONTENTS}
"""Settings in which joined stores may differ: they decide what is kept, not what a clip is."""


class JoinedStores(ClipStore):
    """Stores one after the other; clips are numbered store by store. Make one with `join_stores`."""

    def __init__(self, stores: Sequence[ClipStore]) -> None:
        first = stores[0]
        self.stores = tuple(stores)
        self.path, self.location, self.facts = first.path, first.location, first.facts
        shared: dict[str, bool] = {name: all(getattr(store.settings, name) for store in stores) for name in CONTENTS}
        self.settings = first.settings.model_copy(update=shared)
        self._starts = np.cumsum([0, *(len(store) for store in stores)])

    def __reduce__(self) -> tuple[Any, ...]:
        return join_stores, ([store.location for store in self.stores],)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def manifest(self) -> Manifest:
        """Return the manifests of the stores, one below the other."""
        return Manifest.concat(store.manifest() for store in self.stores)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with any of the stores, or their order."""
        return fingerprint({"joined": [store.fingerprint for store in self.stores]})

    @cached_property
    def _index(self) -> pd.DataFrame:
        parts = [store.index() for store in self.stores]
        frame = pd.concat(parts, ignore_index=True)
        frame["row"] = np.arange(len(frame), dtype=np.int64)
        return frame

    def take_table(self, rows: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of clips as they are kept, in the order of `rows`; rows may repeat.

        Raises:
            IndexError: when a row is in none of the stores.
        """
        numbers = np.asarray(rows, dtype=np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(f"rows must lie in [0, {len(self)}), got {numbers.min()} to {numbers.max()}")
        names = (*PAYLOAD_COLUMNS, *self._person_column, *self.settings.contents) if columns is None else columns
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        parts = [
            store.take_table(numbers[which == number] - self._starts[number], names)
            for number, store in enumerate(self.stores)
        ]
        order = np.argsort(np.argsort(which, kind="stable"), kind="stable")
        return pa.concat_tables(parts).take(order)

    @property
    def _person_column(self) -> tuple[str, ...]:
        """The column with the number of the person; where one of the stores lacks it, there is one person a video in all."""
        return () if any(not store._person_column for store in self.stores) else (PERSON,)

    def rows_of(self, video_id: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Return the rows of a video's clips in order of time; empty when it has none."""
        return np.flatnonzero((self._index["video_id"] == video_id).to_numpy()).astype(np.int64)

    def ledger(self) -> pd.DataFrame:
        """Return a row per video of all stores."""
        return pd.concat([store.ledger() for store in self.stores], ignore_index=True)


def join_stores(paths: Sequence[Path | str]) -> ClipStore:
    """Open stores as one; a single one is opened as it is.

    Raises:
        UsageError: when they were prepared differently, or a video is in two of them.
        ArtefactError: when one is missing or damaged.
    """
    stores = [ClipStore.open(path) for path in paths]
    if len(stores) == 1:
        return stores[0]
    first = stores[0].settings.model_dump(exclude=LIMITS)
    for store in stores[1:]:
        for name, (value, other) in differences(first, store.settings.model_dump(exclude=LIMITS)).items():
            raise UsageError(
                f"{store.path}: prepared with {name}={other}, {stores[0].path} with {value}; prepare them alike"
            )
    ids = pd.concat([store.ledger()["video_id"] for store in stores])
    if ids.duplicated().any():
        raise UsageError(
            f"{ids.duplicated().sum()} videos are in two of {', '.join(str(path) for path in paths)}, "
            f"first {ids[ids.duplicated()].iloc[0]!r}; leave one store out"
        )
    return JoinedStores(stores)
