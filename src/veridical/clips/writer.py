"""ClipWriter: the only way to change a store. One writer at a time, and atomic commits.

A video's clips are committed before its row in the ledger; what the store had of it before is deleted in the same commit, ledger
row first. If the process ends in between, the next writer deletes clips without a ledger row, and those videos are redone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import lance
import pyarrow as pa

from veridical.artefacts import Manifest, lock_for_writing
from veridical.clips.clip import Clip
from veridical.clips.encoding import PERSON, content_digest, encode_clips
from veridical.clips.ledger import LEDGER_SCHEMA, LedgerEntry
from veridical.clips.remote import first_cause
from veridical.clips.store import CLIPS_TABLE, LEDGER_TABLE, MANIFEST_FILE, ClipStore, reading_table, write_facts
from veridical.errors import ArtefactError

COMMIT_BYTES = 64 * 2**20
COMMIT_SECONDS = 10.0
COMPACT_FRAGMENTS = 8
ROWS_PER_FRAGMENT = 16_384


class ClipWriter:
    """Adds videos to a store; use it as a context manager.

    Example:
        with ClipWriter(path) as writer:
            writer.add(LedgerEntry("a", "ok"), clips)
    """

    def __init__(self, path: Path, *, commit_bytes: int = COMMIT_BYTES, commit_seconds: float = COMMIT_SECONDS) -> None:
        """Lock the store and delete the leftovers of an interrupted writer.

        Raises:
            UsageError: when another process is writing to the store, or copying it.
            ArtefactError: when the store is damaged.
        """
        self.path = Path(path)
        self.settings = ClipStore.open(self.path).settings
        self._commit_bytes, self._commit_seconds = commit_bytes, commit_seconds
        self._lock = lock_for_writing(self.path)
        self._tables: list[pa.Table] = []
        self._entries: list[LedgerEntry] = []
        self._since = time.monotonic()
        try:
            self._known = set(_column(self.path / LEDGER_TABLE, "video_id"))
            _add_person(self.path / CLIPS_TABLE)
            self.num_orphans = self._delete_orphans()
            """Clips of an interrupted writer that were deleted."""
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, OSError | ArtefactError):
                self.commit()
        finally:
            self.close()

    def close(self) -> None:
        """Release the store for another writer, without committing."""
        os.close(self._lock)

    def add(self, entry: LedgerEntry, clips: Sequence[Clip] = ()) -> None:
        """Add a video with its clips, instead of those that the store has of it; it is on disk after the next commit."""
        self.add_table(entry, encode_clips(clips, self.settings) if clips else None)

    def add_table(self, entry: LedgerEntry, table: pa.Table | None) -> None:
        """Add a video with clips that are encoded already.

        Raises:
            ValueError: when a clip is of another video.
        """
        rows = 0 if table is None else table.num_rows
        if table is not None and rows:
            others = set(table["video_id"].unique().to_pylist()) - {entry.video_id}
            if others:
                raise ValueError(f"clips of {sorted(others)} were given for {entry.video_id!r}")
            self._tables.append(table)
        digest = content_digest(table) if table is not None and rows else ""
        self._entries.append(replace(entry, num_clips=rows, digest=digest))
        waiting = sum(table.nbytes for table in self._tables)
        if waiting >= self._commit_bytes or time.monotonic() - self._since >= self._commit_seconds:
            self.commit()

    def commit(self) -> None:
        """Write the videos added since the last commit: clips first, then the ledger, after deleting what they replace.

        What an interruption (Ctrl-C) or an error leaves of it is not tried again, as clips would be written twice: the next
        writer deletes clips without a ledger row, and their videos are prepared again.

        Raises:
            ArtefactError: when the disk is full or cannot be written; the store can be continued, and what of these videos is not
                whole is prepared again.
        """
        if not self._entries:
            return
        tables, entries = self._tables, self._entries
        self._tables, self._entries = [], []
        ids = {entry.video_id for entry in entries}
        try:
            self._delete_videos(sorted(ids & self._known))
            if tables:
                _append(pa.concat_tables(tables), self.path / CLIPS_TABLE)
            rows = [entry.to_row() for entry in entries]
            _append(pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA), self.path / LEDGER_TABLE)
        except OSError as error:
            raise ArtefactError(
                f"{self.path}: cannot be written ({first_cause(error)}); make room and run the same command again; "
                "the videos committed before are kept"
            ) from error
        self._known |= ids
        self._since = time.monotonic()

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the store's copy of the manifest."""
        manifest.write(self.path / MANIFEST_FILE)
        write_facts(self.path, self.settings, manifest)

    def compact(self) -> None:
        """Merge small fragments and remove what is not needed any more; readers opened before must be opened again.

        Raises:
            OSError: when there is no room; the store is as good as before.
        """
        for name in (CLIPS_TABLE, LEDGER_TABLE):
            table = lance.dataset(str(self.path / name))
            if len(table.get_fragments()) > COMPACT_FRAGMENTS:
                table.optimize.compact_files(target_rows_per_fragment=ROWS_PER_FRAGMENT)
            lance.dataset(str(self.path / name)).cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)

    def _delete_videos(self, video_ids: Sequence[str]) -> None:
        for name in (LEDGER_TABLE, CLIPS_TABLE):
            _delete(self.path / name, video_ids)

    def _delete_orphans(self) -> int:
        ids = _column(self.path / CLIPS_TABLE, "video_id")
        orphans = set(ids) - self._known
        _delete(self.path / CLIPS_TABLE, sorted(orphans))
        return sum(video_id in orphans for video_id in ids) if orphans else 0


def _add_person(path: Path) -> None:
    """Give the clips of a store of an older release the number of their person, of whom there is one a video."""
    with reading_table(str(path)):
        table = lance.dataset(str(path))
    if PERSON not in table.schema.names:
        table.add_columns({PERSON: "cast(1 as smallint)"})


def _append(table: pa.Table, path: Path) -> None:
    lance.write_dataset(table, str(path), mode="append")


def _column(path: Path, name: str) -> list[str]:
    with reading_table(str(path)):
        values: list[str] = lance.dataset(str(path)).to_table(columns=[name])[name].to_pylist()
    return values


def _delete(path: Path, video_ids: Sequence[str]) -> None:
    table = lance.dataset(str(path))
    for first in range(0, len(video_ids), 500):
        quoted = ", ".join("'" + video_id.replace("'", "''") + "'" for video_id in video_ids[first : first + 500])
        table.delete(f"video_id IN ({quoted})")
