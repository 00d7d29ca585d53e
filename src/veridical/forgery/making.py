"""Makes one video: read target and donor, forge, encode at every compression level, and write a marker.

This is one of the places with a broad `except`: whatever goes wrong with one video becomes its status and reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from veridical.artefacts import Video, atomic_path, is_out_of_room, out_of_room, read_json, write_json
from veridical.errors import ArtefactError, VeridicalError
from veridical.forgery.catalogue import FORGERIES
from veridical.forgery.footage import Footage, Forged, Frames, Samples
from veridical.forgery.plan import Task
from veridical.forgery.reading import read_footage
from veridical.machine import keep_large_blocks
from veridical.media import UnusableVideoError, probe, write_video
from veridical.settings import differences

REAL = "real"
FORGERY_VERSION = 3
"""Raised whenever a forgery, the encoding or the content of a marker changes: files of earlier versions are made again."""
MAX_REASON = 300


@dataclass(frozen=True)
class Output:
    """How videos are read and written, reals and fakes alike."""

    folder: Path
    levels: tuple[int, ...] = (23,)
    """x264 quality (crf) of each compression level; 0 is lossless."""
    preset: str = "medium"
    max_seconds: float | None = 10.0
    max_side: int | None = 1280
    masks: bool = False


@dataclass(frozen=True)
class Job:
    """One video to make, at every compression level."""

    target: Video
    task: Task | None
    """None: encode the real video again."""
    output: Output

    @property
    def method(self) -> str:
        """Name of the forgery, or "real"."""
        return REAL if self.task is None else self.task.method


@dataclass(frozen=True)
class Outcome:
    """What became of one requested video."""

    video_id: str
    """Id of the target."""
    method: str
    """Name of the forgery, or "real" for the real video encoded again."""
    status: str
    """"ok", a status of the preparation ledger, "no_donor", "no_sound", "timeout", "died" or "failed"."""
    reason: str = ""
    video: Video | None = None


class _SilentError(Exception):
    """A forgery that needs audio met a video without an audio track that the manifest did not list as such."""


def maker() -> Callable[[Job], list[Outcome]]:
    """Return the function from a job to its outcomes: one per compression level, or a single one if it failed."""
    keep_large_blocks()
    cv2.setNumThreads(1)
    footage: dict[str, Footage] = {}

    def make(job: Job) -> list[Outcome]:
        kept = [finished(job, level) for level in job.output.levels]
        if all(kept):
            return [Outcome(job.target.video_id, job.method, "ok", video=video) for video in kept]
        try:
            videos = _make(job, footage)
        except UnusableVideoError as error:
            return [Outcome(job.target.video_id, job.method, error.status, str(error))]
        except _SilentError:
            return [Outcome(job.target.video_id, job.method, "no_sound", "the target or the donor has no audio track")]
        except VeridicalError:  # for example missing weights: no video can be made
            raise
        except Exception as error:
            if isinstance(error, OSError) and is_out_of_room(error):
                raise out_of_room(Path(error.filename or _path(job, job.output.levels[0])), error) from error
            reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
            return [Outcome(job.target.video_id, job.method, "failed", reason)]
        return [Outcome(job.target.video_id, job.method, "ok", video=video) for video in videos]

    return make


def _make(job: Job, footage: dict[str, Footage]) -> list[Video]:
    """Forge the target if the job asks for it, and write it at each compression level; `footage` holds the last target."""
    target = footage.get(job.target.path)
    if target is None:
        footage.clear()  # the jobs of one target follow each other, so holding one is enough
        target = footage[job.target.path] = _read(job.target, job.output)
    if job.task is None:
        real = replace(job.target, generator=None)
        return [_written(job, level, target, target.frames, target.samples, real) for level in job.output.levels]
    donor = None if job.task.donor is None else _read(job.task.donor, job.output)
    forged = _forged(target, donor, job.task)
    video = _forged_video(job.target, job.task, forged)
    return [_written(job, level, target, forged.frames, forged.samples, video, forged) for level in job.output.levels]


def _read(video: Video, output: Output) -> Footage:
    beside = video.attributes.get("audio_path")
    return read_footage(
        Path(video.path),
        max_seconds=output.max_seconds,
        max_side=output.max_side,
        cache=output.folder / "landmarks",
        audio_path=Path(beside) if beside else None,
    )


def _forged(target: Footage, donor: Footage | None, task: Task) -> Forged:
    forgery = FORGERIES[task.method]
    if forgery.needs_audio and (target.samples is None or (donor is not None and donor.samples is None)):
        raise _SilentError
    return forgery.function(target, donor, task.severity, np.random.default_rng(task.seed))


def _written(
    job: Job,
    level: int,
    target: Footage,
    frames: Frames,
    samples: Samples | None,
    video: Video,
    forged: Forged | None = None,
) -> Video:
    """Write one file and its marker, and return its row of the manifest."""
    path = _path(job, level)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps=target.fps, samples=samples, crf=level, preset=job.output.preset)
    if job.output.masks and forged is not None:
        with atomic_path(path.with_suffix(".mask.npz")) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, bits=np.packbits(forged.mask), shape=forged.mask.shape)
    facts = probe(path)
    video = _at_level(video, level, job.output.levels)
    attributes = {
        name: value for name, value in video.attributes.items() if name != "audio_path"
    }  # the file has its audio
    attributes["container"] = facts.container
    video = replace(video, path=str(path), sha256=None, attributes=attributes, **facts.columns)
    write_json(path.with_suffix(".json"), {"made_from": _made_from(job, level), "video": video.to_row()})
    return video


def _at_level(video: Video, level: int, levels: tuple[int, ...]) -> Video:
    """Return the row for a compression level; with several levels, video_id and `original` end in the level."""
    video = replace(video, compression=f"c{level}")
    if len(levels) == 1:
        return video
    original = video.attributes["original"] + f"@c{level}" if video.label else video.video_id
    return replace(video, video_id=f"{video.video_id}@c{level}", attributes={**video.attributes, "original": original})


def _forged_video(target: Video, task: Task, forged: Forged) -> Video:
    """Return the row of a forged video, before the facts of its file are known."""
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
        target,
        video_id=f"{target.video_id}/{task.method}",
        label=forged.label,
        visual_label=forged.visual_label,
        audio_label=forged.audio_label,
        generator=task.method,
        identities=tuple(dict.fromkeys(people)),
        group=None,
        attributes={**target.attributes, **facts},
        fake_segments=forged.fake_segments,
    )


def finished(job: Job, level: int) -> Video | None:
    """Return the row of a file that is finished and made from the same job, else None."""
    marker = _marker(job, level)
    return Video.from_row(marker["video"]) if marker.get("made_from") == _made_from(job, level) else None


def made_otherwise(job: Job) -> str:
    """Return in what a finished file of the same video differs from the job, of which it will be made again; "" if in nothing."""
    for level in job.output.levels:
        there, asked = _marker(job, level).get("made_from"), _made_from(job, level)
        if there is not None and there != asked:
            name, (old, new) = next(iter(differences(there, asked).items()))
            return f"{name}: {old!r} there, {new!r} now"
    return ""


def _marker(job: Job, level: int) -> dict[str, Any]:
    """Return the marker of a file, empty where there is no file or no sound marker."""
    path = _path(job, level)
    try:
        marker = read_json(path.with_suffix(".json")) if path.exists() else {}
    except ArtefactError:
        return {}
    return marker if isinstance(marker, dict) else {}


def _made_from(job: Job, level: int) -> dict[str, Any]:
    """Return everything that a finished file and its row depend on, as recorded in the marker."""
    facts = {name: value for name, value in asdict(job.output).items() if name not in ("folder", "levels")}
    facts |= {"version": FORGERY_VERSION, "level": level, "one_level": len(job.output.levels) == 1}
    facts["target"] = {**job.target.to_row(), "attributes": dict(job.target.attributes)}
    if job.task is not None:
        donor = None if job.task.donor is None else job.task.donor.video_id
        facts |= {"method": job.method, "donor": donor, "severity": job.task.severity, "seed": job.task.seed}
    return facts


def _path(job: Job, level: int) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", job.target.video_id).strip("._")[:80]
    digest = hashlib.blake2b(job.target.video_id.encode(), digest_size=4).hexdigest()
    return job.output.folder / "videos" / f"c{level}" / job.method / f"{name}-{digest}.mp4"
