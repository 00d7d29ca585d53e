"""Forging the videos of a manifest: files in, files and a manifest out, reals and fakes through the same encoder.

Every real video is written again with the encoder settings of the fakes, at the same size, frame rate and length, so
that nothing but the forgery separates the classes. A finished video has a JSON file beside it, written last; a second
run keeps it.
"""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from veridical.allocation import keep_large_blocks
from veridical.artefacts import Manifest, Video, atomic_path, read_json, write_json
from veridical.errors import ArtefactError, UsageError
from veridical.forgery.catalogue import FORGERIES
from veridical.forgery.footage import Footage, Forged
from veridical.forgery.plan import Missing, Task, plan_forgeries
from veridical.forgery.reading import read_footage
from veridical.media import UnusableVideoError, probe, write_video
from veridical.progress import task as progress_task

REAL = "real"


FORGERY_VERSION = 1
"""Raised whenever a forgery or what its marker says changes: files of an earlier version are made anew."""


@dataclass(frozen=True)
class Output:
    """How videos are read and written; the same for reals and fakes."""

    folder: Path
    crf: int = 23
    preset: str = "medium"
    max_seconds: float | None = 10.0
    max_side: int | None = 1280
    masks: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one wanted video."""

    video_id: str
    """Of the target."""
    method: str
    """Name of the forgery, or "real" for the real video written again."""
    status: str
    """"ok", a status of the preparation ledger, "no_donor", "no_sound" or "failed"."""
    reason: str = ""
    video: Video | None = None


@dataclass(frozen=True)
class ForgeReport:
    """The manifest of what was written and the outcome of all that was wanted."""

    manifest: Manifest
    outcomes: tuple[Outcome, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """All that was wanted: "real", then forgeries in the order of `FORGERIES`."""
        wanted = {outcome.method for outcome in self.outcomes}
        return tuple(name for name in (REAL, *FORGERIES) if name in wanted)

    @property
    def splits(self) -> frozenset[str | None]:
        """The splits of what was made."""
        return frozenset(self.manifest.table["split"].to_pylist())

    def count(self, method: str, status: str, split: str | EllipsisType | None = ...) -> int:
        """Return how many videos of a method have a status, of one split (None: without split) or of all."""
        fitting = [outcome for outcome in self.outcomes if (outcome.method, outcome.status) == (method, status)]
        return sum(split is ... or (made.video is not None and made.video.split == split) for made in fitting)

    def write_outcomes(self, path: Path) -> None:
        """Write a csv: video_id, method, status, reason, path."""
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "method", "status", "reason", "path"])
            for made in self.outcomes:
                where = made.video.path if made.video else ""
                writer.writerow([made.video_id, made.method, made.status, made.reason, where])


@dataclass(frozen=True)
class _Job:
    """All that is made of one target, so that it is read once."""

    target: Video
    tasks: tuple[Task, ...]
    write_real: bool
    output: Output


class _SilentError(Exception):
    """A forgery of sound met a silent video that the manifest did not know to be silent."""


def forge(
    manifest: Manifest,
    folder: Path,
    *,
    methods: Sequence[str],
    per_video: int | None = None,
    severity: tuple[float, float] = (0.25, 0.75),
    seed: int = 0,
    crf: int = 23,
    preset: str = "medium",
    max_seconds: float | None = 10.0,
    max_side: int | None = 1280,
    masks: bool = False,
    reencode_reals: bool = True,
    workers: int = 1,
) -> ForgeReport:
    """Forge the real videos of a manifest and write the reals again by the same encoder.

    Args:
        manifest: Videos with label 0 are forged; give it a split first, donors come from the target's split only.
        folder: Where `videos/<method>/*.mp4` go. Finished videos of the same settings are kept.
        methods: Names in `FORGERIES`.
        per_video: Forged videos per real one, methods in turn; None: every method once.
        severity: Range to draw from, 0 a careful forger, 1 a careless one.
        seed: Of all choices and of the forgeries.
        crf: Quality of the encoder for both classes; becomes the compression `c<crf>`.
        preset: Effort of the encoder.
        max_seconds: Longer videos are cut, reals and fakes alike; None for no limit (they are held in memory).
        max_side: Larger pictures are scaled down; None for no limit.
        masks: Also write `<video>.mask.npz` with the forged pixels.
        reencode_reals: False keeps the reals' files as they are: their encoding then gives the class away.
        workers: Processes.

    Returns:
        The manifest of reals and fakes, and the outcome of every wanted video, unusable ones included.

    Raises:
        UsageError: for unknown methods, numbers out of range or a manifest without real videos.
    """
    if workers < 1:
        raise UsageError(f"workers: expected 1 or more, got {workers}")
    plan = plan_forgeries(manifest, methods, per_video=per_video, severity=severity, seed=seed)
    output = Output(Path(folder).absolute(), crf, preset, max_seconds, max_side, masks)
    reals = [video for video in manifest.videos() if video.label == 0]
    jobs = [_Job(video, plan.tasks[video.video_id], reencode_reals, output) for video in reals]
    outcomes = {job.target.video_id: made for job, made in _run(jobs, workers)}
    kept = [] if reencode_reals else reals
    ordered = [outcome for video in reals for outcome in outcomes[video.video_id]]
    videos = kept + [outcome.video for outcome in ordered if outcome.video is not None]
    return ForgeReport(Manifest.from_videos(videos), (*ordered, *map(_not_made, plan.missing)))


def _run(jobs: list[_Job], workers: int) -> Iterator[tuple[_Job, list[Outcome]]]:
    failed = 0
    with progress_task("forge", len(jobs), "video") as running:
        for job, outcomes in _finished(jobs, workers):
            failed += sum(outcome.status != "ok" for outcome in outcomes)
            running.advance(1, failed=failed)
            yield job, outcomes


def _finished(jobs: list[_Job], workers: int) -> Iterator[tuple[_Job, list[Outcome]]]:
    if workers == 1:
        yield from ((job, _do(job)) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_one_thread) as pool:
        waiting = {pool.submit(_do, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _one_thread() -> None:
    """Keep a worker process to one thread, and its large blocks of memory."""
    import cv2

    keep_large_blocks()
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", OPENBLAS_NUM_THREADS="1")
    cv2.setNumThreads(1)


def _do(job: _Job) -> list[Outcome]:
    """Make what is wanted of one target; never raises for a bad video."""
    wanted: list[Task | None] = [None] if job.write_real else []
    wanted += job.tasks
    target: Footage | None = None
    outcomes = []
    for task in wanted:
        method = REAL if task is None else task.method
        done = _already_made(job, task)
        if done is not None:
            outcomes.append(Outcome(job.target.video_id, method, "ok", video=done))
            continue
        try:
            target = target or _read(job.target, job.output)
            outcomes.append(Outcome(job.target.video_id, method, "ok", video=_make(job, task, target)))
        except UnusableVideoError as error:
            outcomes.append(Outcome(job.target.video_id, method, error.status, str(error)))
        except _SilentError:
            outcomes.append(Outcome(job.target.video_id, method, "no_sound", "the target or the donor is silent"))
        except Exception as error:  # noqa: BLE001 (one bad video must not end the run; it is counted)
            outcomes.append(Outcome(job.target.video_id, method, "failed", f"{type(error).__name__}: {error}"))
    return outcomes


def _read(video: Video, output: Output) -> Footage:
    cache = output.folder / "landmarks"
    return read_footage(Path(video.path), max_seconds=output.max_seconds, max_side=output.max_side, cache=cache)


def _make(job: _Job, task: Task | None, target: Footage) -> Video:
    """Forge (or only write again), encode, probe, and leave the marker."""
    path = _path(job, task)
    if task is None:
        _write(path, target, target.frames, target.samples, job.output)
        video = _written_again(job.target, path, job.output)
    else:
        donor = None if task.donor is None else _read(task.donor, job.output)
        made = _forged(target, donor, task)
        _write(path, target, made.frames, made.samples, job.output)
        if job.output.masks:
            np.savez_compressed(path.with_suffix(".mask.npz"), bits=np.packbits(made.mask), shape=made.mask.shape)
        video = _forged_video(job.target, task, made, path, job.output)
    facts = asdict(probe(path))
    facts.pop("container")
    video = replace(video, **facts)
    write_json(path.with_suffix(".json"), {"made_from": _made_from(job, task), "video": video.to_row()})
    return video


def _forged(target: Footage, donor: Footage | None, task: Task) -> Forged:
    forgery = FORGERIES[task.method]
    if forgery.needs_sound and (target.samples is None or (donor is not None and donor.samples is None)):
        raise _SilentError
    return forgery.function(target, donor, task.severity, np.random.default_rng(task.seed))


def _write(path: Path, target: Footage, frames: Any, samples: Any, output: Output) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps=target.fps, samples=samples, crf=output.crf, preset=output.preset)


def _written_again(video: Video, path: Path, output: Output) -> Video:
    return replace(video, path=str(path), compression=f"c{output.crf}", sha256=None, generator=None)


def _forged_video(target: Video, task: Task, made: Forged, path: Path, output: Output) -> Video:
    people = (*target.identities, *(() if task.donor is None else task.donor.identities))
    facts = {
        "severity": f"{task.severity:.3f}",
        "original": target.video_id,
        "forgery_family": FORGERIES[task.method].family,
    }
    if target.identities:
        facts["target"] = target.identities[0]
    if task.donor is not None:
        facts["donor"] = task.donor.identities[0] if task.donor.identities else task.donor.video_id
    return replace(
        _written_again(target, path, output),
        video_id=f"{target.video_id}/{task.method}",
        label=made.label,
        visual_label=made.visual_label,
        audio_label=made.audio_label,
        generator=task.method,
        identities=tuple(dict.fromkeys(people)),
        group=None,
        attributes={**target.attributes, **facts},
        fake_segments=made.fake_segments,
    )


def _already_made(job: _Job, task: Task | None) -> Video | None:
    path = _path(job, task)
    if not path.exists():
        return None
    try:
        marker = read_json(path.with_suffix(".json"))
    except ArtefactError:
        return None
    return Video.from_row(marker["video"]) if marker.get("made_from") == _made_from(job, task) else None


def _made_from(job: _Job, task: Task | None) -> dict[str, Any]:
    """Return all that a finished file depends on, as it stands in its marker."""
    facts = {name: value for name, value in asdict(job.output).items() if name != "folder"}
    facts["version"] = FORGERY_VERSION
    facts["target"] = {**job.target.to_row(), "attributes": dict(job.target.attributes)}
    if task is not None:
        donor = None if task.donor is None else task.donor.video_id
        facts |= {"method": task.method, "donor": donor, "severity": task.severity, "seed": task.seed}
    return facts


def _path(job: _Job, task: Task | None) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", job.target.video_id).strip("._")[:80]
    digest = hashlib.blake2b(job.target.video_id.encode(), digest_size=4).hexdigest()
    return job.output.folder / "videos" / (REAL if task is None else task.method) / f"{name}-{digest}.mp4"


def _not_made(missing: Missing) -> Outcome:
    status, _, reason = missing.reason.partition(": ")
    return Outcome(missing.video_id, missing.method, status, reason)
