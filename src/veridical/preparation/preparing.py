"""Preparing a manifest: every video becomes clips in a store or a counted reason why not, and any interruption can be continued.

The ledger says which videos are done, and of which file; all others are pending. Workers write a video's clips to a file next to
the store, and this process, the only one that writes the store, commits them in batches. Clips that are prepared again stay until
their successors are committed, and stay for good when the video cannot be read any more. What an interruption leaves behind is
deleted by the next run: files of encoded clips, and clips without a ledger row.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from veridical import progress
from veridical.artefacts import Manifest, check_folder, check_settings, file_stamp, fingerprint
from veridical.clips import (
    COMMIT_SECONDS,
    FACTS_FILE,
    MANIFEST_FILE,
    STATUSES,
    ClipStore,
    ClipWriter,
    LedgerEntry,
    StoreSettings,
)
from veridical.errors import UsageError, unknown_name
from veridical.machine import Lost, check_ray
from veridical.preparation.engines import ENGINES
from veridical.preparation.jobs import SOUND_BESIDE, Job, JobResult, Setup, read_spool
from veridical.preparation.tools import Tools, with_checksum

INCOMING = ".incoming"
DEFAULT_TIMEOUT_S = 1800.0
FAILED_TO_READ = ("unreadable", "timeout")
"""Statuses that say nothing about the content of a video: earlier clips of it stay valid."""


@dataclass(frozen=True, eq=False)
class PrepareSummary:
    """Outcome of a run, and the state of the store for the videos of its manifest."""

    store: Path
    ledger: pd.DataFrame
    """Ledger rows of the manifest's videos."""
    num_prepared: int
    """Videos done by this run, whatever their status."""
    num_kept: int
    """Videos that could not be prepared again by this run; the store keeps their clips."""
    num_pending: int
    """Videos of the manifest that are still to be done (`limit`)."""
    num_clips_in_store: int
    """Clips of all videos of the store, also of those that are not in the manifest."""

    @property
    def counts(self) -> dict[str, int]:
        """Videos per status, in the order of the statuses; only those that occur."""
        counts = self.ledger["status"].value_counts()
        return {status: int(counts[status]) for status in STATUSES if status in counts}

    @property
    def num_clips(self) -> int:
        """Clips of the manifest's videos."""
        return int(self.ledger["num_clips"].sum())

    @property
    def num_dropped_windows(self) -> int:
        """Whole windows without enough detected faces, in videos that gave clips."""
        return int(self.ledger["num_dropped_windows"].sum())

    @property
    def num_with_sound_beside(self) -> int:
        """Videos whose audio is in a separate file (attribute `audio_path` of the manifest)."""
        return int(self.ledger["reason"].str.startswith(SOUND_BESIDE).sum())

    @property
    def failures(self) -> pd.DataFrame:
        """Video_id, status and reason of the videos that gave no clip."""
        failed: pd.DataFrame = self.ledger.loc[self.ledger["status"] != "ok", ["video_id", "status", "reason"]]
        return failed.reset_index(drop=True)


def prepare(
    manifest: Manifest,
    store_path: Path,
    settings: StoreSettings | None = None,
    *,
    workers: int | None = None,
    limit: int | None = None,
    only_status: Sequence[str] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
    commit_seconds: float = COMMIT_SECONDS,
    engine: str = "local",
    address: str | None = None,
    make_tools: Callable[[StoreSettings], Tools] = Tools,
) -> PrepareSummary:
    """Prepare the videos of a manifest that a store does not have yet, making it if need be; return what was done.

    Args:
        manifest: The videos; the store keeps a copy, which replaces the copy of earlier runs.
        store_path: Folder of the store.
        settings: What a clip is; None takes those of the store, or the defaults for a new one.
        workers: Processes; None for one per core, 0 to work in this process (no time limit, for debugging, local only).
        limit: Prepare at most this many videos now.
        only_status: Instead of pending videos, do those again whose ledger status is one of these.
        timeout_s: Time limit of one video in seconds (status timeout).
        commit_seconds: Between two commits: an interruption costs at most what was done in this many seconds.
        engine: One of `ENGINES`: `local` processes, or `ray`.
        address: Of the Ray cluster (`host:port`, or `auto`); None starts Ray on this machine.
        make_tools: Makes the detectors, in each worker; picklable.

    Raises:
        UsageError: when the manifest is empty, another run writes to the store, the settings are not the store's, or an
            argument is out of range; missing Ray is reported before a store is made.
        ArtefactError: when the store cannot be written; run again to continue.
        MissingWeightsError: when a detector cannot be loaded.
    """
    _check_arguments(workers, limit, only_status, timeout_s, engine, address)
    if not len(manifest):
        raise UsageError("the manifest holds no videos, so there is nothing to prepare")
    store_path = Path(store_path)
    if not check_folder(store_path, "a clip store", FACTS_FILE, is_replaced=True):
        if only_status:
            raise UsageError(f"{store_path}: no such clip store yet; --only repeats videos of an existing one")
        _create(store_path, with_checksum(settings or StoreSettings()), manifest, make_tools, engine)
    _check_settings(ClipStore.open(store_path), settings)
    with ClipWriter(store_path, commit_seconds=commit_seconds) as writer:
        store = ClipStore.open(store_path)  # not before: another run may have written until now
        if manifest.fingerprint != store.facts["manifest_fingerprint"] or not (store_path / MANIFEST_FILE).is_file():
            _warn_of_missing_videos(store, manifest)
            writer.set_manifest(manifest)
        jobs = _jobs(manifest, store, only_status)[:limit]
        kept: list[LedgerEntry] = []
        if jobs:
            with _incoming(store_path) as folder:
                setup = Setup(store.settings, folder, make_tools)
                done = ENGINES[engine](jobs, setup, workers=workers, timeout_s=timeout_s, address=address)
                kept = _collect(done, len(jobs), writer, _with_clips(store))
            _warn_of_kept_clips(kept)
            writer.commit()
            _compact(writer)
    return _summary(manifest, store_path, len(jobs) - len(kept), len(kept))


def _create(
    store_path: Path,
    settings: StoreSettings,
    manifest: Manifest,
    make_tools: Callable[[StoreSettings], Tools],
    engine: str,
) -> None:
    """Make an empty store, after loading the detectors where they run on this machine or come from a file of the user's."""
    if engine == "local" or settings.detector_sha256:
        make_tools(settings).load()
    ClipStore.create(store_path, settings, manifest)


def _warn_of_missing_videos(store: ClipStore, manifest: Manifest) -> None:
    """Warn when videos of the store are not in the new manifest: their clips stay, their labels do not."""
    leaving = set(store.ledger()["video_id"]) - set(manifest.table["video_id"].to_pylist())
    if leaving:
        progress.say(
            f"warning: {len(leaving)} videos of {store.path} are not in this manifest (first {min(leaving)!r}); the store keeps "
            "their clips but takes its labels and splits from this manifest now"
        )


def _check_arguments(
    workers: int | None,
    limit: int | None,
    only_status: Sequence[str],
    timeout_s: float,
    engine: str,
    address: str | None,
) -> None:
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if address is not None and engine == "local":
        raise UsageError(f"--address {address} is for --engine ray; the local engine has none")
    if engine == "ray":
        check_ray(address)
    if workers is not None and workers < (engine != "local"):
        raise UsageError(f"workers: expected {int(engine != 'local')} or more, got {workers}")
    if limit is not None and limit < 1:
        raise UsageError(f"limit: expected 1 or more videos, got {limit}")
    if not timeout_s > 0:
        raise UsageError(f"timeout_s: expected a time above 0 s, got {timeout_s}")
    for status in only_status:
        if status not in STATUSES:
            raise unknown_name("status", status, STATUSES)


def _check_settings(store: ClipStore, settings: StoreSettings | None) -> None:
    asked = with_checksum(settings or store.settings)
    check_settings(store.path, "a clip store", store.settings.model_dump(), asked.model_dump())


def _jobs(manifest: Manifest, store: ClipStore, only_status: Sequence[str]) -> list[Job]:
    """Return the videos to do: those of the chosen statuses, or those that are new or whose files have changed."""
    ledger = store.ledger()
    again = set(ledger.loc[ledger["status"].isin(list(only_status)), "video_id"])
    stamps = dict(zip(ledger["video_id"], ledger["source"], strict=True))
    by_mask = store.settings.face_policy == "mask"
    videos = manifest.frame(["video_id", "path", "attributes"])
    jobs: list[Job] = []
    for video_id, path, attributes in zip(videos["video_id"], videos["path"], videos["attributes"], strict=True):
        beside = attributes or {}
        job = Job(len(jobs), video_id, path, beside.get("audio_path"), beside.get("mask") if by_mask else None)
        if video_id in again if only_status else video_id not in stamps or _has_changed(stamps[video_id], job):
            jobs.append(job)
    return jobs


def _stamp(job: Job) -> str:
    """Return the stamp of a video's files; empty when the video cannot be read."""
    video, *beside = (file_stamp(path) for path in (job.path, job.audio_path, job.mask_path) if path is not None)
    return fingerprint(":".join([video, *beside]).encode()) if video and beside else video


def _has_changed(kept: str, job: Job) -> bool:
    """Return whether the files of a video are others now; a video that is gone leaves its clips valid."""
    stamp = _stamp(job)
    return bool(stamp) and stamp != kept


def _with_clips(store: ClipStore) -> set[str]:
    ledger = store.ledger()
    return set(ledger.loc[ledger["num_clips"] > 0, "video_id"])


def _collect(
    done: Generator[tuple[Job, JobResult | Lost]], total: int, writer: ClipWriter, with_clips: set[str]
) -> list[LedgerEntry]:
    """Add the results of the workers; return those not added, as the store has clips of a video that cannot be read now."""
    failed = clips = 0
    kept: list[LedgerEntry] = []
    with closing(done), progress.task("prepare", total=total, unit="video") as running:
        for job, result in done:
            outcome = JobResult(_lost_entry(job, result), None) if isinstance(result, Lost) else result
            if outcome.entry.status in FAILED_TO_READ and job.video_id in with_clips:
                kept.append(outcome.entry)
            else:
                entry = replace(outcome.entry, source=_stamp(job))
                writer.add_table(entry, read_spool(outcome.spool) if outcome.spool else None)
            failed += outcome.entry.status != "ok"
            clips += outcome.entry.num_clips
            running.advance(clips=clips, failed=failed)
    return kept


def _warn_of_kept_clips(entries: Sequence[LedgerEntry]) -> None:
    if entries:
        first = entries[0]
        progress.say(
            f"warning: {len(entries)} videos could not be prepared again (first {first.video_id!r}: {first.status}: "
            f"{first.reason}); the store keeps the clips that it has of them"
        )


def _lost_entry(job: Job, lost: Lost) -> LedgerEntry:
    return LedgerEntry(
        job.video_id, "timeout" if lost.kind == "timeout" else "unreadable", lost.reason, seconds=lost.seconds
    )


@contextmanager
def _incoming(store_path: Path) -> Generator[Path]:
    """Yield a folder for this run's files of encoded clips; leftovers of an interrupted run are deleted first."""
    parent = store_path / INCOMING
    shutil.rmtree(parent, ignore_errors=True)
    parent.mkdir(exist_ok=True)  # the worker of a run that was killed may still have been writing there
    try:
        yield Path(tempfile.mkdtemp(dir=parent))
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def _compact(writer: ClipWriter) -> None:
    try:
        writer.compact()
    except OSError as error:
        progress.say(
            f"{writer.path}: small files were not merged ({str(error).splitlines()[0]}); the store is complete"
        )


def _summary(manifest: Manifest, store_path: Path, num_prepared: int, num_kept: int) -> PrepareSummary:
    store = ClipStore.open(store_path)
    ledger = store.ledger()
    own = ledger[ledger["video_id"].isin(manifest.table["video_id"].to_pylist())].reset_index(drop=True)
    return PrepareSummary(store_path, own, num_prepared, num_kept, len(manifest) - len(own), len(store))
