"""A worker's job on one video: clips into a file next to the store, and a line for the ledger, whatever happens.

This is one of the two places with a broad `except`: any failure of one video becomes its status and reason.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from veridical.clips import EncodedClip, LedgerEntry, StoreSettings, clip_schema, encode_clips
from veridical.machine import WorkerFailedError
from veridical.media import UnusableVideoError
from veridical.preparation.extract import Plan, Source, cut_clips, plan_clips, remarks
from veridical.preparation.tools import Tools

CLIPS_AT_ONCE = 8
MAX_REASON = 300
SOUND_BESIDE = "sound from a file beside the video"


@dataclass(frozen=True)
class Job:
    """One video to prepare."""

    number: int
    """Unique within a run; names the file of encoded clips."""
    video_id: str
    path: str
    audio_path: str | None = None
    """Separate file that holds the video's audio."""
    mask_path: str | None = None
    """Video that marks the forged face, where the policy asks for it."""

    @property
    def source(self) -> Source:
        """The files, as the extraction wants them."""
        audio_path, mask_path = (None if path is None else Path(path) for path in (self.audio_path, self.mask_path))
        return Source(Path(self.path), audio_path, mask_path)


@dataclass(frozen=True)
class JobResult:
    """Result of a job."""

    entry: LedgerEntry
    spool: Path | None
    """Arrow file with the encoded clips; None when there are none."""


@dataclass(frozen=True)
class Setup:
    """Makes the function from job to outcome inside a worker; picklable."""

    settings: StoreSettings
    folder: Path
    """Where the files of encoded clips go."""
    make_tools: Callable[[StoreSettings], Tools] = Tools

    def __call__(self) -> Worker:
        """Load the detectors.

        Raises:
            MissingWeightsError: when their weights cannot be found or downloaded.
        """
        tools = self.make_tools(self.settings)
        tools.load()
        return Worker(self.settings, self.folder, tools)


class Worker:
    """Prepares one video after the other."""

    def __init__(self, settings: StoreSettings, folder: Path, tools: Tools) -> None:
        self.settings, self.folder, self.tools = settings, folder, tools

    def __call__(self, job: Job) -> JobResult:
        """Return the video's ledger entry and the file of its clips.

        Raises:
            WorkerFailedError: when the file of clips cannot be written, which is no fault of the video.
        """
        began = time.monotonic()
        spool = self.folder / f"{job.number}.arrow"
        try:
            entry = self._prepare(job, spool)
        except WorkerFailedError:
            raise
        except UnusableVideoError as error:
            entry = LedgerEntry(job.video_id, error.status, error.reason[:MAX_REASON])
        except MemoryError:
            entry = LedgerEntry(job.video_id, "over_limit", "needs more memory than this machine has")
        except Exception as error:  # noqa: BLE001 (a damaged file must not end the preparation of the others)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            entry = LedgerEntry(job.video_id, "unreadable", reason[:MAX_REASON])
        entry = replace(entry, seconds=time.monotonic() - began)
        if entry.status != "ok":
            spool.unlink(missing_ok=True)
        return JobResult(entry, spool if entry.status == "ok" else None)

    def _prepare(self, job: Job, spool: Path) -> LedgerEntry:
        plan = plan_clips(job.source, job.video_id, self.settings, self.tools)
        _write_spool(spool, cut_clips(plan), self.settings)
        return LedgerEntry(
            video_id=job.video_id,
            status="ok",
            reason=_remarks(plan),
            num_clips=plan.num_clips,
            num_dropped_windows=plan.num_dropped_windows,
            has_audio=plan.has_audio,
            duration_s=plan.duration_s,
        )


def _remarks(plan: Plan) -> str:
    """Return remarks on a video that gave clips, for its ledger row."""
    of_source = [SOUND_BESIDE] if plan.source.audio_path else []
    if plan.settings.face_policy == "mask" and plan.source.mask_path is None:
        of_source.append("no mask: the dominant face was followed")
    return "; ".join([*of_source, *remarks(plan)])


def read_spool(path: Path) -> pa.Table:
    """Return a file of encoded clips, mapped into memory, and delete its name."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    path.unlink()
    return table


def _write_spool(path: Path, clips: Iterator[EncodedClip], settings: StoreSettings) -> None:
    """Encode clips a few at a time into an Arrow file."""
    with ending_the_run(path):
        sink = pa.OSFile(str(path), "wb")
        writer = pa.ipc.new_file(sink, clip_schema(settings))
    try:
        while some := list(itertools.islice(clips, CLIPS_AT_ONCE)):
            table = encode_clips(some, settings)
            with ending_the_run(path):
                writer.write_table(table)
    finally:
        with ending_the_run(path):
            writer.close()
            sink.close()


@contextmanager
def ending_the_run(path: Path) -> Generator[None]:
    """Turn a failure to write a file of clips into the error that ends the run.

    Raises:
        WorkerFailedError: for any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise WorkerFailedError(
            f"{path.parent}: cannot be written ({error}); make room and run the same command again"
        ) from error
