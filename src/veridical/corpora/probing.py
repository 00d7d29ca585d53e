"""Media facts of a manifest: every video is opened once, in parallel; an interrupted probe resumes from its journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from veridical.artefacts import MANIFEST_SCHEMA, Manifest, file_sha256, file_stamp
from veridical.corpora.adapter import Notes, Notice
from veridical.corpora.hashes import perceptual_hash
from veridical.errors import UsageError
from veridical.machine import map_in_threads
from veridical.progress import task

if TYPE_CHECKING:
    from veridical.media import MediaFacts

_COLUMNS = (
    "has_audio", "duration_s", "fps", "width", "height", "codec", "pixel_format", "bitrate", "audio_codec",
    "audio_rate_hz",
)  # fmt: skip
Entry: TypeAlias = dict[str, Any]
"""A line of the journal, JSON: path, stamp, and media facts or an error."""
_WAITING_PER_WORKER = 7
_HASHED_SHARES = (0.1, 0.5, 0.9)
"""Where in a video, as shares of its duration, the frames of its perceptual hash are taken."""


@dataclass(frozen=True)
class Probing:
    """What is read of each video, and by how many workers."""

    content_hash: bool = True
    """Read the whole file for its SHA-256, which finds duplicates."""
    perceptual_hash: bool = False
    """Decode three frames for a perceptual hash, which finds re-encoded copies."""
    workers: int = 2
    """Videos opened at the same time."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"workers: expected 1 or more, got {self.workers}")

    @property
    def hashes(self) -> tuple[str, ...]:
        """Names of the hashes that are asked for, as they stand in the journal."""
        asked = {"sha256": self.content_hash, "perceptual_hash": self.perceptual_hash}
        return tuple(name for name, wanted in asked.items() if wanted)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """A manifest with its media facts filled in."""

    manifest: Manifest
    unreadable: tuple[Notice, ...]
    """Why some videos could not be opened, counted; their facts stay null."""
    copies: tuple[Notice, ...] = ()
    """Videos that are the same file as another, with the same label or with a different one."""


def probe_media(
    manifest: Manifest,
    probing: Probing | None = None,
    *,
    journal: Path | None = None,
    probe: Callable[[Path], MediaFacts] | None = None,
) -> ProbeResult:
    """Open every video and fill in duration, rate, size, codecs, audio and (unless declined) the SHA-256 of the file.

    Args:
        manifest: The videos.
        probing: What is read of each video; `Probing()` when not given.
        journal: File that takes a line per video as it is done. Videos in an existing journal whose files are
            unchanged are not opened again; delete it once the manifest is written.
        probe: Opens one video, `media.probe` when not given; what it raises is counted as the reason why the video
            cannot be read.
    """
    look = _Look(probing or Probing(), probe or _media_probe())
    paths = manifest.table["path"].to_pylist()
    done = _read_journal(journal)
    todo = [path for path in dict.fromkeys(paths) if not look.is_done(path, done.get(path, {}))]
    with _appending(journal) as write, task("probe", len(todo), "video") as running:
        failed, workers = 0, look.probing.workers
        waiting = _WAITING_PER_WORKER * workers
        for entry in map_in_threads(
            lambda path: look(path, done.get(path, {})), todo, workers, waiting=waiting, ordered=False
        ):
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


def _media_probe() -> Callable[[Path], MediaFacts]:
    from veridical import media  # here: the codec library takes long to load, and only probing needs it

    return media.probe


@dataclass(frozen=True)
class _Look:
    """Opens one video and returns its journal entry; whatever goes wrong becomes the entry's reason."""

    probing: Probing
    probe: Callable[[Path], MediaFacts]

    def is_done(self, path: str, known: Entry) -> bool:
        """Say whether an earlier run read everything that is asked for from this file, as it is now."""
        if known.get("stamp") != file_stamp(path):
            return False
        return "error" in known or all(name in known for name in self.probing.hashes)

    def __call__(self, path: str, known: Entry) -> Entry:
        """Return the journal entry of a video; what an earlier run read from the same file (`known`) is not read again."""
        stamp = file_stamp(path)
        reusable = known.get("stamp") == stamp and "error" not in known
        entry = dict(known) if reusable else {"path": path, "stamp": stamp}
        try:
            if "container" not in entry:
                facts = self.probe(Path(path))
                entry.update({name: getattr(facts, name) for name in _COLUMNS})
                entry["container"] = facts.container
            if self.probing.content_hash and "sha256" not in entry:
                entry["sha256"] = file_sha256(Path(path))
            if self.probing.perceptual_hash and "perceptual_hash" not in entry:
                entry["perceptual_hash"] = _hash_of_frames(Path(path), float(entry["duration_s"]))
        except Exception as error:  # noqa: BLE001 (the loop over items: one bad video is counted, not fatal)
            message = str(getattr(error, "reason", error)).splitlines() or [""]
            return {"path": path, "stamp": stamp, "error": message[0] or type(error).__name__}
        return entry


def _hash_of_frames(path: Path, duration_s: float) -> str:
    """Return the perceptual hash of the frames at a tenth, half and nine tenths of a video."""
    from veridical import media

    frames = [next(iter(media.video_frames(path, start_s=share * duration_s)), None) for share in _HASHED_SHARES]
    return perceptual_hash([frame.image for frame in frames if frame is not None])


def _copies(manifest: Manifest) -> tuple[Notice, ...]:
    """Count the files that occur more than once, and among them those labelled both real and fake."""
    videos = manifest.frame(["path", "sha256", "label"]).dropna(subset=["sha256"])
    videos = videos[videos.duplicated("sha256", keep=False)]
    labels = videos.groupby("sha256")["label"].transform("nunique")
    reasons = {
        "the same file as another, with a different label: one of the two is wrong": labels > 1,
        "the same file as another; both are in one leak group": labels <= 1,
    }
    notes = Notes()
    for reason, rows in reasons.items():
        notes.rest(reason, videos.loc[rows, "path"].tolist())
    return notes.notices


def _filled(manifest: Manifest, entries: list[Entry]) -> Manifest:
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
    added = [{key: str(entry[key]) for key in new if key in entry} for entry in entries]
    return Manifest(table).with_column("attributes", _merged(table["attributes"].to_pylist(), added))


def _merged(old: list[list[tuple[str, str]] | None], added: list[dict[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for before, new in zip(old, added, strict=True):
        yield list({**dict(before or []), **new}.items())


@contextmanager
def _appending(path: Path | None) -> Generator[Callable[[Entry], None]]:
    """Yield a function that appends one JSON line to a file, or does nothing without one."""
    if path is None:
        yield lambda entry: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as stream:

        def write(entry: Entry) -> None:
            stream.write(json.dumps(entry) + "\n")

        # A line cut short by an earlier interruption must not swallow the first new one.
        stream.write("\n" if stream.tell() else "")
        yield write


def _read_journal(path: Path | None) -> dict[str, Entry]:
    """Return path → entry; a line that an interruption cut short is skipped."""
    known: dict[str, Entry] = {}
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
