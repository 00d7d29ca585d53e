"""Media facts: every video is opened once, in parallel; what was read so far survives an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from veridical.artefacts import MANIFEST_SCHEMA, Manifest
from veridical.corpora.adapter import Notes, Notice
from veridical.errors import UsageError
from veridical.machine import map_in_threads
from veridical.progress import task

_COLUMNS = (
    "has_audio",
    "duration_s",
    "fps",
    "width",
    "height",
    "codec",
    "pixel_format",
    "bitrate",
    "audio_codec",
    "audio_rate_hz",
)
_WAITING_PER_WORKER = 7
_HASH_BLOCK_BYTES = 1 << 20


class Facts(Protocol):
    """What a probe returns: at least the media columns of a manifest."""

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""

    @property
    def container(self) -> str:
        """Short name of the file format."""


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """A manifest with its media facts filled in."""

    manifest: Manifest
    unreadable: tuple[Notice, ...]
    """Why some videos could not be opened, counted; their facts stay null."""
    copies: tuple[Notice, ...] = ()
    """Videos that are the same file as another, with the same label and with another one."""


def probe_media(
    manifest: Manifest,
    probe: Callable[[Path], Facts],
    *,
    journal: Path | None = None,
    workers: int = 2,
    content_hash: bool = True,
    picture_hash: Callable[[Path, float], str] | None = None,
) -> ProbeResult:
    """Open every video and fill duration, rate, size, codecs, sound and (unless declined) the SHA-256 of the file.

    Args:
        manifest: The videos.
        probe: Opens one video; what it raises is counted as the reason why the video cannot be read.
        journal: File that takes a line per video as it is done. When it exists, videos in it whose size and time of change
            are the same are not opened again; delete it once the manifest is written.
        workers: Videos opened at the same time.
        content_hash: Read the whole file for its SHA-256, which finds duplicates.
        picture_hash: (path, duration_s) → perceptual hash of some pictures; not called when None.
    """
    if workers < 1:
        raise UsageError(f"workers: expected 1 or more, found {workers}")
    paths = manifest.table["path"].to_pylist()
    done = _read_journal(journal)
    wanted = {"sha256": content_hash, "perceptual_hash": picture_hash is not None}
    needed = [name for name, asked in wanted.items() if asked]
    todo = [path for path in dict.fromkeys(paths) if not _is_done(path, done.get(path), needed)]

    def look(path: str) -> dict[str, Any]:
        known = done.get(path, {})
        return _look(path, known if "error" not in known else {}, probe, content_hash, picture_hash)

    with _appending(journal) as write, task("probe", len(todo), "video") as running:
        failed = 0
        for entry in map_in_threads(look, todo, workers, waiting=_WAITING_PER_WORKER * workers, ordered=False):
            done[entry["path"]] = entry
            write(entry)
            failed += "error" in entry
            running.advance(1, unreadable=failed)
    notes = Notes()
    for path in paths:
        if "error" in done[path]:
            notes.warn(f"cannot be read: {done[path]['error']}", path)
    filled = _filled(manifest, [done[path] for path in paths])
    return ProbeResult(filled, notes.notices, _copies(filled))


def _copies(manifest: Manifest) -> tuple[Notice, ...]:
    """Count the files that are in a corpus twice; a file that is called real and fake is worth a look at its source."""
    videos = manifest.frame(["path", "sha256", "label"]).dropna(subset=["sha256"])
    videos = videos[videos.duplicated("sha256", keep=False)]
    labels = videos.groupby("sha256")["label"].transform("nunique")
    reasons = {
        "the same file as another, with another label: one of the two is wrong": labels > 1,
        "the same file as another; both are in one leak group": labels <= 1,
    }
    notes = Notes()
    for reason, chosen in reasons.items():
        notes.rest(reason, videos.loc[chosen, "path"].tolist())
    return notes.notices


def _is_done(path: str, entry: Mapping[str, Any] | None, needed: Sequence[str]) -> bool:
    """Say whether an earlier run looked at this file, as it is now, for everything that is asked."""
    if entry is None or entry.get("stamp") != _stamp(path):
        return False
    return "error" in entry or all(name in entry for name in needed)


def _look(
    path: str,
    known: Mapping[str, Any],
    probe: Callable[[Path], Facts],
    content_hash: bool,
    picture_hash: Callable[[Path, float], str] | None,
) -> dict[str, Any]:
    """Return the journal entry of one video; whatever goes wrong with it becomes its reason.

    What an earlier run found out about the same file (`known`) is kept, and not found out again.
    """
    stamp = _stamp(path)
    entry = dict(known) if known.get("stamp") == stamp else {"path": path, "stamp": stamp}
    try:
        if "container" not in entry:
            facts = probe(Path(path))
            entry.update({name: getattr(facts, name) for name in _COLUMNS})
            entry["container"] = facts.container
        if content_hash and "sha256" not in entry:
            entry["sha256"] = _sha256(Path(path))
        if picture_hash is not None and "perceptual_hash" not in entry:
            entry["perceptual_hash"] = picture_hash(Path(path), float(entry["duration_s"]))
    except Exception as error:  # noqa: BLE001 (the loop over items: one bad video is counted, not fatal)
        message = str(getattr(error, "reason", error)).splitlines() or [""]
        entry = {"path": path, "stamp": stamp, "error": message[0] or type(error).__name__}
    return entry


def _filled(manifest: Manifest, entries: list[dict[str, Any]]) -> Manifest:
    table = manifest.table
    for name in (*_COLUMNS, "sha256"):
        index = MANIFEST_SCHEMA.get_field_index(name)
        old = table[name].to_pylist()
        values = [entry.get(name, before) for entry, before in zip(entries, old, strict=True)]
        table = table.set_column(
            index, MANIFEST_SCHEMA.field(name), pa.array(values, type=MANIFEST_SCHEMA.field(name).type)
        )
    silent = [entry.get("has_audio") is False for entry in entries]
    audio_label = [
        None if quiet else label for quiet, label in zip(silent, table["audio_label"].to_pylist(), strict=True)
    ]
    index = MANIFEST_SCHEMA.get_field_index("audio_label")
    table = table.set_column(index, MANIFEST_SCHEMA.field("audio_label"), pa.array(audio_label, type=pa.int8()))
    new = ("container", "perceptual_hash")
    found = [{str(key): str(entry[key]) for key in new if key in entry} for entry in entries]
    return Manifest(table).with_column("attributes", _merged(table["attributes"].to_pylist(), found))


def _merged(old: list[Any], found: list[dict[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for before, new in zip(old, found, strict=True):
        yield list({**dict(before or []), **new}.items())


@contextmanager
def _appending(path: Path | None) -> Generator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that appends one JSON line to a file, or does nothing without one."""
    if path is None:
        yield lambda entry: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as stream:

        def write(entry: Mapping[str, Any]) -> None:
            stream.write(json.dumps(entry) + "\n")

        # A line cut short by an earlier interruption must not swallow the first new one.
        stream.write("\n" if stream.tell() else "")
        yield write


def _read_journal(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return what is known by path; a line that an interruption cut short is skipped."""
    known: dict[str, dict[str, Any]] = {}
    if path is None or not path.is_file():
        return known
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "path" in entry:
            known[entry["path"]] = entry
    return known


def _stamp(path: str) -> str:
    """Return size and time of change, so that a video that was replaced is opened again."""
    try:
        facts = os.stat(path)
    except OSError:
        return "missing"
    return f"{facts.st_size}:{facts.st_mtime_ns}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
