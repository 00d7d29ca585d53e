"""A corpus of synthetic talking heads as video files with a manifest: all real, to be forged by others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from veridical.artefacts.files import read_json, write_json
from veridical.artefacts.manifest import Manifest, Video
from veridical.errors import UsageError
from veridical.media import write_video
from veridical.progress import track
from veridical.puppets.clip import FPS, render_puppet
from veridical.puppets.espeak import require_speech
from veridical.puppets.identity import Identity, sample_identity
from veridical.puppets.renderer import Renderer
from veridical.randomness import seed_from

SAMPLE_RATE_HZ = 16_000
_FACTS_FILE = "puppets.json"
_PRESET = "superfast"
"""The fastest preset that gives the same file each time: slower ones use macroblock trees, which are not reproducible."""
_RENDERER_VERSION = 1
"""Counted up when the same seed begins to give other pictures or sound, so that a folder is never a mixture."""


@dataclass(frozen=True)
class _Job:
    identity: Identity
    seed: int
    duration_s: float
    crf: int
    path: Path


def render_corpus(
    folder: Path,
    *,
    name: str,
    num_identities: int,
    videos_per_identity: int,
    duration_s: float,
    family: str = "a",
    seed: int = 0,
    workers: int = 2,
    crf: int = 18,
) -> Manifest:
    """Render real videos of synthetic people; videos that are in the folder already are kept.

    Args:
        folder: Where `<identity>/<k>.mp4` and `manifest.parquet` go.
        name: Of the dataset; begins every video_id and every identity.
        num_identities: Number of people.
        videos_per_identity: Videos of each.
        duration_s: Of each video.
        family: Rendering family, `a` or `b`.
        seed: Decides everything.
        workers: Processes.
        crf: x264 quality.

    Returns:
        The manifest, also written to the folder.

    Raises:
        UsageError: when the folder holds a corpus made with other settings, a number is not positive, or no voice is installed.
    """
    for label, value in (
        ("num_identities", num_identities),
        ("videos_per_identity", videos_per_identity),
        ("workers", workers),
    ):
        if value < 1:
            raise UsageError(f"{label} must be at least 1, got {value}")
    require_speech()
    folder = Path(folder)
    facts = {
        "renderer_version": _RENDERER_VERSION, "name": name, "duration_s": duration_s, "family": family, "seed": seed, "crf": crf
    }  # fmt: skip
    _claim(folder, facts)
    people = [sample_person(name, index, family, seed) for index in range(num_identities)]
    jobs = [
        _Job(person, seed_from(seed, name, person.name, k), duration_s, crf, folder / person.name / f"{k:03d}.mp4")
        for person in people
        for k in range(videos_per_identity)
    ]
    missing = [job for job in jobs if not job.path.exists()]
    for _ in track(_run(missing, workers), f"render {name}", total=len(missing), unit="video"):
        pass
    manifest = Manifest.from_videos(_row(name, job) for job in jobs)
    manifest.write(folder / "manifest.parquet")
    return manifest


def sample_person(name: str, index: int, family: str, seed: int) -> Identity:
    """Return the person at a position of a corpus, as `render_corpus` does."""
    return sample_identity(seed_from(seed, name, index), family, name=f"{name}-{index:03d}")


def _claim(folder: Path, facts: dict[str, object]) -> None:
    """Note what the folder holds; refuse a folder that holds something else."""
    path = folder / _FACTS_FILE
    if path.exists():
        found = read_json(path)
        if found != facts:
            raise UsageError(
                f"{folder}: holds puppets made with {found}, asked for {facts}; use another folder or delete it"
            )
    else:
        write_json(path, facts)


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[None]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_render, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(_render, jobs)


def _render(job: _Job) -> None:
    clip = render_puppet(Renderer(job.identity), job.seed, job.duration_s)
    write_video(
        job.path,
        clip.frames,
        fps=FPS,
        samples=clip.samples,
        sample_rate_hz=SAMPLE_RATE_HZ,
        crf=job.crf,
        preset=_PRESET,
    )


def _row(name: str, job: _Job) -> Video:
    person = job.identity
    return Video(
        dataset=name,
        video_id=f"{name}/{person.name}/{job.path.stem}",
        path=str(job.path),
        label=0,
        visual_label=0,
        audio_label=0,
        identities=(person.name,),
        group=person.name,
        attributes=person.attributes,
        has_audio=True,
        duration_s=round(job.duration_s * FPS) / FPS,
        fps=float(FPS),
        width=person.studio.width,
        height=person.studio.height,
    )
