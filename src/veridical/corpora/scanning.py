"""Scanning: a corpus as it was downloaded becomes a manifest; media facts are filled in on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from veridical.artefacts import MANIFEST_SCHEMA, Manifest, Video, check_file_name
from veridical.corpora import (
    avdeepfake1m,
    celebdf,
    csv_list,
    deepspeak,
    dfdc,
    faceforensics,
    fakeavceleb,
    folder,
    lavdf,
)
from veridical.corpora.adapter import Adapter, Notes, ScanResult
from veridical.corpora.expected import official_counts
from veridical.corpora.held_out import named_by_corpus
from veridical.corpora.probing import Probing, probe_media
from veridical.errors import UsageError, unknown_name
from veridical.settings import parse_settings

CORPORA: dict[str, Adapter] = {
    "faceforensics": faceforensics.ADAPTER,
    "celebdf": celebdf.ADAPTER,
    "dfdc": dfdc.ADAPTER,
    "fakeavceleb": fakeavceleb.ADAPTER,
    "lavdf": lavdf.ADAPTER,
    "avdeepfake1m": avdeepfake1m.ADAPTER,
    "deepspeak": deepspeak.ADAPTER,
    "folder": folder.ADAPTER,
    "csv": csv_list.ADAPTER,
}
"""Every corpus that can be scanned: a new one is one file and one line here."""

_ROWS_AT_ONCE = 20_000


def scan(corpus: str, root: Path, **options: object) -> ScanResult:
    """Return the manifest of a corpus, with notices of what is odd about it and the official counts next to its own.

    Reads names and list files only; `probe_media` opens the videos.

    Args:
        corpus: A name in `CORPORA`.
        root: The corpus's folder (for `csv`: the file).
        **options: Options of the corpus's adapter; None means not given.

    Raises:
        UsageError: when the corpus or an option is unknown, the root is wrong, or a list is damaged.
    """
    if corpus not in CORPORA:
        raise unknown_name("corpus", corpus, CORPORA)
    adapter = CORPORA[corpus]
    given = {name: value for name, value in options.items() if value is not None}
    unknown = [name for name in given if name not in adapter.options.model_fields]
    if unknown:
        valid = ", ".join(_dashed(name) for name in adapter.options.model_fields)
        raise UsageError(f"corpus {corpus!r} has no option {_dashed(unknown[0])}; its options: {valid}")
    settings = parse_settings(adapter.options, given, f"corpus {corpus}")
    lists = getattr(settings, "lists", None)
    if lists is not None and not lists.is_dir():
        raise UsageError(f"--lists {lists}: {'is a file, expected a folder' if lists.exists() else 'no such folder'}")
    notes, root = Notes(), Path(root)
    if not root.is_dir() and not (adapter.reads_file and root.is_file()):
        raise UsageError(f"{root}: {'is a file, expected a folder' if root.exists() else 'no such folder or file'}")
    published = None if corpus in ("folder", "csv") else corpus
    videos = iter(named_by_corpus(adapter.read(root, settings, notes), published, notes))
    tables = [pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA) for rows in _batches(videos)]
    if not tables:
        reasons = "; ".join(notice.line for notice in notes.notices)
        raise UsageError(
            f"{root}: no videos of {adapter.title}; expected {adapter.layout}{'; ' if reasons else ''}{reasons}"
        )
    manifest = Manifest(pa.concat_tables(tables))
    release = corpus if notes.release is None else notes.release
    releases = dict.fromkeys(manifest.table["dataset"].unique().to_pylist(), release)
    return ScanResult(manifest, notes.notices, (*notes.counts, *official_counts(manifest, releases)))


def scan_to_file(
    output: Path, corpus: str, root: Path, *, probing: Probing | None = None, **options: object
) -> ScanResult:
    """Scan a corpus, open its videos if asked, and write the manifest.

    Args:
        output: Manifest to write. While videos are opened, the journal `OUTPUT.probe.jsonl` lies next to it, from which
            an interrupted scan resumes.
        corpus: A name in `CORPORA`.
        root: The corpus's folder (for `csv`: the file).
        probing: What is read of each video; None opens no video.
        **options: As for `scan`.

    Raises:
        UsageError: as for `scan`.
        ArtefactError: when the output cannot be written, before any work is done.
    """
    check_file_name(output, ".parquet")
    result = scan(corpus, root, **options)
    if probing is None:
        result.manifest.write(output)
        return result
    journal = output.with_name(output.name + ".probe.jsonl")
    probed = probe_media(result.manifest, probing, journal=journal)
    probed.manifest.write(output)
    journal.unlink(missing_ok=True)
    return replace(
        result,
        manifest=probed.manifest,
        notices=(*result.notices, *probed.unreadable, *probed.copies),
        num_unreadable=sum(notice.count for notice in probed.unreadable),
    )


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _batches(videos: Iterator[Video]) -> Iterator[list[dict[str, object]]]:
    while rows := [video.to_row() for video in islice(videos, _ROWS_AT_ONCE)]:
        yield rows
