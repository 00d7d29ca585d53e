"""ClipStore: the folder of prepared windows, read by training, scoring and audits.

A store is a Lance table `clips` (a row per window), a Lance table `ledger` (a row per video: its outcome), a copy
of the manifest it was made from, and `store.json`, written last. It knows neither labels nor splits: join them from a
manifest by `video_id`. Clips are numbered by (video_id, start_s, person), so row numbers do not depend on the order in which
workers finished; `ClipStore` sees the store as it was when opened.

Lance must not be used across a fork: start worker processes with `spawn` and open the store inside them (a ClipStore
pickles as its path). Threads may share one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from veridical.artefacts import Manifest, atomic_folder, check_folder, fingerprint, read_json, write_json
from veridical.clips.clip import Clip
from veridical.clips.contents import Content
from veridical.clips.encoding import INDEX_COLUMNS, PAYLOAD_COLUMNS, PERSON, clip_schema, decode_clips
from veridical.clips.ledger import LEDGER_SCHEMA
from veridical.clips.remote import fetch, first_cause, remote_uri
from veridical.clips.settings import StoreSettings
from veridical.errors import ArtefactError, UsageError
from veridical.settings import parse_settings

SCHEMA_VERSION = 1
CLIPS_TABLE = "clips.lance"
LEDGER_TABLE = "ledger.lance"
FACTS_FILE = "store.json"
MANIFEST_FILE = "manifest.parquet"

Rows = Sequence[int] | npt.NDArray[np.int64]


class ClipStore:
    """A clip store opened for reading. Make one with `ClipStore.create` or `ClipStore.open`."""

    def __init__(self, path: Path, settings: StoreSettings, facts: dict[str, Any], uri: str | None = None) -> None:
        self.path = path
        """Folder of the store; of a store on object storage, its folder in the local cache."""
        self.location = uri or str(path)
        """Folder or address of the tables."""
        self.settings = settings
        self.facts = facts
        """Content of `store.json`."""
        self._uri = uri
        self._clips = _open_table(f"{self.location}/{CLIPS_TABLE}")
        self._ledger = _open_table(f"{self.location}/{LEDGER_TABLE}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ClipStore.open, (self._uri or self.path,)

    def __repr__(self) -> str:
        return f"ClipStore({self.location!r}, {len(self)} clips)"

    def __len__(self) -> int:
        return int(self._clips.count_rows())

    @classmethod
    def create(cls, path: Path, settings: StoreSettings, manifest: Manifest) -> ClipStore:
        """Make an empty store; `clips.ClipWriter` fills it.

        Raises:
            UsageError: when something is at that path already.
        """
        if uri := remote_uri(path):
            raise UsageError(
                f"{uri}: stores are written on disks; prepare into a folder, and copy it with clips.copy_store"
            )
        path = Path(path)
        if check_folder(path, "a clip store", FACTS_FILE, is_replaced=True):
            raise UsageError(f"{path}: is a clip store already; prepare into it to continue it, or choose another name")
        with atomic_folder(path) as folder:
            lance.write_dataset(clip_schema(settings).empty_table(), str(folder / CLIPS_TABLE))
            lance.write_dataset(LEDGER_SCHEMA.empty_table(), str(folder / LEDGER_TABLE))
            manifest.write(folder / MANIFEST_FILE)
            write_facts(folder, settings, manifest)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> ClipStore:
        """Open a store as it is now.

        Args:
            path: Its folder, or an address on object storage (`s3://bucket/folder`; see `clips.remote`).

        Raises:
            ArtefactError: when it is missing, damaged, or of another schema version.
        """
        uri = remote_uri(path)
        path = Path(path) if uri is None else fetch(uri, FACTS_FILE).parent
        where = uri or path
        if not path.is_dir():
            raise ArtefactError(f"{path}: no such clip store; make one with `veridical prepare MANIFEST -o {path}`")
        if not (path / FACTS_FILE).is_file():
            raise ArtefactError(
                f"{path}: is not a clip store (no {FACTS_FILE}); `veridical prepare MANIFEST -o FOLDER` makes one"
            )
        facts = read_json(path / FACTS_FILE)
        if not isinstance(facts, dict) or facts.get("kind") != "clip store":
            raise ArtefactError(f"{where}/{FACTS_FILE}: expected the facts of a clip store")
        if facts.get("schema_version") != SCHEMA_VERSION:
            raise ArtefactError(
                f"{where}: schema version {facts.get('schema_version')} of clip store, "
                f"this release reads {SCHEMA_VERSION}; prepare it again"
            )
        return cls(path, parse_settings(StoreSettings, facts["settings"], f"{where}/{FACTS_FILE}"), facts, uri)

    def manifest(self) -> Manifest:
        """Return the copy of the manifest that the store was last prepared from."""
        return Manifest.read(self.path / MANIFEST_FILE if self._uri is None else fetch(self._uri, MANIFEST_FILE))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with the settings and with the content of any video's clips."""
        ledger = self.ledger()[["video_id", "status", "digest"]]
        rows = [list(row) for row in ledger.itertuples(index=False)]
        return fingerprint({"settings": self.settings.model_dump(), "videos": rows})

    def index(self) -> pd.DataFrame:
        """Return a row per clip, ordered by (video_id, start_s, person), without decoding any.

        Columns: row (for `take`), video_id, start_s, person (from 1), has_audio, speech_share (0 to 1, NaN without audio),
        loudness_dbfs (NaN without audio), min_detector_score, num_interpolated (frames), mean_box_size_px (in the source frame).
        """
        return self._index.copy()

    @cached_property
    def _index(self) -> pd.DataFrame:
        with reading_table(f"{self.location}/{CLIPS_TABLE}"):
            frame: pd.DataFrame = self._clips.to_table(columns=[*INDEX_COLUMNS, *self._person_column]).to_pandas()
        person = frame.pop(PERSON).fillna(1) if PERSON in frame else 1
        frame.insert(2, PERSON, person)
        frame[PERSON] = frame[PERSON].astype("int16")
        frame["offset"] = np.arange(len(frame), dtype=np.int64)
        frame = frame.sort_values(["video_id", "start_s", PERSON], kind="stable").reset_index(drop=True)
        frame.insert(0, "row", np.arange(len(frame), dtype=np.int64))
        self._offsets: npt.NDArray[np.int64] = frame.pop("offset").to_numpy()
        return frame

    def take_table(self, rows: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of clips as they are kept, in the order of `rows`; rows may repeat.

        Args:
            rows: Of `index`.
            columns: None for all that make a clip.

        Raises:
            IndexError: when a row is not in the store.
        """
        numbers = np.asarray(rows, dtype=np.int64)
        total = len(self._index)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= total):
            raise IndexError(f"rows must lie in [0, {total}), got {numbers.min()} to {numbers.max()}")
        names = (*PAYLOAD_COLUMNS, *self._person_column, *self.settings.contents) if columns is None else columns
        with reading_table(f"{self.location}/{CLIPS_TABLE}"):
            return self._clips.take(self._offsets[numbers].tolist(), columns=list(names))

    def take(self, rows: Rows, contents: Sequence[Content] | None = None) -> list[Clip]:
        """Return clips by their row in `index`, decoded, in the order of `rows`; rows may repeat.

        Args:
            rows: Of `index`.
            contents: Optional contents to read, which the store must keep; None for all that it keeps.
        """
        wanted = self.settings.contents if contents is None else contents
        return decode_clips(self.take_table(rows, (*PAYLOAD_COLUMNS, *self._person_column, *wanted)))

    @property
    def _person_column(self) -> tuple[str, ...]:
        """The column with the number of the person, where the store has it."""
        return (PERSON,) if PERSON in self._clips.schema.names else ()

    def rows_of(self, video_id: str) -> npt.NDArray[np.int64]:
        """Return the rows of a video's clips in order of time; empty when it has none."""
        ids = self._index["video_id"]
        first, last = ids.searchsorted(video_id, side="left"), ids.searchsorted(video_id, side="right")
        return np.arange(first, last, dtype=np.int64)

    def ledger(self) -> pd.DataFrame:
        """Return a row per video, ordered by video_id, with the columns of `LedgerEntry`."""
        with reading_table(f"{self.location}/{LEDGER_TABLE}"):
            frame: pd.DataFrame = self._ledger.to_table().to_pandas()
        return frame.sort_values("video_id", kind="stable").reset_index(drop=True)


def write_facts(folder: Path, settings: StoreSettings, manifest: Manifest) -> None:
    """Write `store.json`: the marker that a folder is a clip store, and what it was made with."""
    values = settings.model_dump()
    write_json(
        folder / FACTS_FILE,
        {
            "kind": "clip store",
            "schema_version": SCHEMA_VERSION,
            "veridical_version": version("veridical"),
            "settings": values,
            "settings_fingerprint": fingerprint(values),
            "manifest_fingerprint": manifest.fingerprint,
        },
    )


def _open_table(location: str) -> Any:
    try:
        return lance.dataset(location)
    except (ValueError, OSError) as error:
        raise ArtefactError(f"{location}: is missing or damaged ({first_cause(error)})") from None


@contextmanager
def reading_table(
    location: str,
    fault: str = "is damaged or cannot be read",
    cure: str = "bring the file back, or prepare a new store",
) -> Generator[None]:
    """Turn a failure to read a table into an error that names the table and what to do.

    Raises:
        ArtefactError: for any such failure inside.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ArtefactError(f"{location}: {fault} ({first_cause(error)}); {cure}") from None
