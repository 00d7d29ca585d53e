"""A cache of frozen features in a Lance table: a row per clip and view, a column per field of `Features`.

Several processes may fill one table at once: each appends its rows, Lance serialises the commits, and of two rows for one clip
and view the first is used. A process that is killed leaves only files that no version of the table refers to. Rows never change.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from veridical.clips import reading_table
from veridical.models import Features, Modality

Rows = npt.NDArray[np.int64]
MIDDLE = -1
"""Number of the view without augmentation: the middle crop of validation."""
_UNREAD: dict[Modality | None, tuple[str, ...]] = {
    "video": ("audio", "mouths", "mel"),
    "audio": ("video", "mouths", "mel", "flow"),
    None: (),
}


class FeatureTable:
    """The cached features of the clips of a store.

    Args:
        path: Of the Lance table; created with the first features.
        num_clips: Clips of the store.
    """

    def __init__(self, path: Path, num_clips: int) -> None:
        self.path, self.num_clips = path, num_clips
        self._table: Any = None
        self._offsets: dict[int, Rows] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the table again, with what this process and others have added.

        Raises:
            ArtefactError: when the table is damaged.
        """
        try:
            self._table = lance.dataset(str(self.path))
        except ValueError:  # there is none yet, or a process was killed while it created the table
            return
        with self._reading():
            keys = self._table.to_table(columns=["view", "row"])
        views, rows = (keys[name].to_numpy() for name in ("view", "row"))
        self._offsets = {}
        for view in np.unique(views):
            places = np.flatnonzero(views == view)[::-1]  # of two rows the first is used: it is assigned last
            offsets = np.full(self.num_clips, -1, np.int64)
            offsets[rows[places]] = places
            self._offsets[int(view)] = offsets

    def _reading(self) -> AbstractContextManager[None]:
        cure = "delete this folder, they will be computed again"
        return reading_table(str(self.path.parent), "cached features are damaged", cure)

    def missing(self, rows: Rows, view: int) -> Rows:
        """Return those of the rows that are not cached, each once, ascending."""
        distinct = np.unique(rows)
        offsets = self._offsets.get(view)
        return distinct if offsets is None else distinct[offsets[distinct] < 0]

    def put(self, rows: Rows, view: int, features: Features) -> None:
        """Append features of clips; visible after `refresh`."""
        columns: dict[str, pa.Array] = {
            "view": pa.array(np.full(len(rows), view, np.int16)),
            "row": pa.array(rows.astype(np.int32)),
        }
        fields = [pa.field("view", pa.int16()), pa.field("row", pa.int32())]
        for name, part in features._asdict().items():
            if part is not None:
                columns[name] = _column(part)
                shape = "x".join(str(size) for size in part.shape[1:])
                fields.append(pa.field(name, columns[name].type, metadata={"shape": shape}))
        self._append(pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields)))

    def _append(self, table: pa.Table) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lance.write_dataset(table, str(self.path), mode="create" if self._table is None else "append")
        except OSError:
            if self._table is not None:
                raise
            lance.write_dataset(table, str(self.path), mode="append")  # another process created it first

    def get(self, rows: Rows, view: int, device: torch.device, only: Modality | None = None) -> Features:
        """Read a batch in the order of the rows, all of which must be cached; with `only` the other modality is empty."""
        schema = self._table.schema
        wanted = [name for name in Features._fields if name in schema.names and name not in _UNREAD[only]]
        with self._reading():
            table = self._table.take(self._offsets[view][rows].tolist(), columns=wanted)
        nothing = torch.zeros(len(rows), 0, 0, device=device)
        parts = {name: _tensor(table[name], schema.field(name)).to(device) for name in wanted}
        return Features(**{"video": nothing, "audio": nothing, **parts})


def _column(part: Tensor) -> pa.Array:
    values = part.detach().cpu().numpy()
    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def _tensor(column: pa.ChunkedArray, field: pa.Field) -> Tensor:
    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(field.type):
        return torch.from_numpy(array.to_numpy(zero_copy_only=False).copy())
    shape = [int(size) for size in field.metadata[b"shape"].decode().split("x")]
    return torch.from_numpy(array.flatten().to_numpy().reshape(len(array), *shape).copy())
