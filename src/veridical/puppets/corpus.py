"""Writes a corpus of synthetic talking heads: video files with a manifest, all real (label 0), to be forged by `forge`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from veridical.artefacts import Manifest, Video, claim_folder
from veridical.errors import UsageError
from veridical.machine import Lost, WorkerFailedError, keep_large_blocks, run_jobs
from veridical.media import write_video
from veridical.progress import track
from veridical.puppets.casting import on_another_day, sample_identity
from veridical.puppets.clip import FPS, render_puppet
from veridical.puppets.espeak import require_speech
from veridical.puppets.identity import Identity
from veridical.puppets.renderer import Renderer
from veridical.puppets.scene import Scene, SceneSettings, sample_scene
from veridical.puppets.speech import SAMPLE_RATE_HZ
from veridical.randomness import seed_from

_FACTS_FILE = "puppets.json"
_PRESET = "superfast"
"""Fast: forging and planting shortcuts encode the videos again anyway."""
_RENDERER_VERSION = 3
"""Raised when the same seed begins to give other frames or samples, so that a folder never mixes versions."""


@dataclass(frozen=True)
class _Job:
    identity: Identity
    seed: int
    duration_s: float
    crf: int
    scene: Scene
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
    scenes: SceneSettings | None = None,
) -> Manifest:
    """Render real videos of synthetic people; videos that already exist in the folder are kept.

    Args:
        folder: Where `<identity>/<k>.mp4` and `manifest.parquet` go.
        name: Name of the dataset, with which every video_id and identity begins.
        num_identities: Number of people.
        videos_per_identity: Videos of each person.
        duration_s: Length of each video.
        family: Rendering family, `a` or `b`.
        seed: Determines everything.
        workers: Number of processes.
        crf: x264 quality.
        scenes: How often there is music, a second person, an occlusion, …; never by default.

    Returns:
        The manifest, which is also written to the folder.

    Raises:
        UsageError: if the folder holds a corpus made with other settings, a number is below 1, or there is no speech package.
    """
    counts = {"num_identities": num_identities, "videos_per_identity": videos_per_identity, "workers": workers}
    for label, count in counts.items():
        if count < 1:
            raise UsageError(f"{label} must be at least 1, got {count}")
    require_speech()
    folder = Path(folder)
    scenes = scenes or SceneSettings()
    facts = {
        "renderer_version": _RENDERER_VERSION, "name": name, "duration_s": duration_s, "family": family, "seed": seed,
        "crf": crf, "scenes": scenes.model_dump(),
    }  # fmt: skip
    claim_folder(folder, "a corpus of puppets", _FACTS_FILE, facts)
    people = [sample_person(name, index, family, seed) for index in range(num_identities)]
    jobs = [
        _plan(folder, person, k, seed_from(seed, name, person.name, k), duration_s, crf, scenes)
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
    """Return the person number `index` of a corpus, as `render_corpus` draws them."""
    return sample_identity(seed_from(seed, name, index), family, name=f"{name}-{index:03d}")


def _plan(
    folder: Path, person: Identity, k: int, seed: int, duration_s: float, crf: int, scenes: SceneSettings
) -> _Job:
    """Return the job for the k-th video of a person, who from the second on is filmed on another day."""
    today = person if k == 0 else on_another_day(person, seed)
    path = folder / person.name / f"{k:03d}.mp4"
    return _Job(today, seed, duration_s, crf, sample_scene(scenes, seed), path)


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[None]:
    """Render all videos; a manifest with one missing would be another corpus, so the first that is lost ends the run."""
    for job, result in run_jobs(jobs, _renderer, workers=0 if workers == 1 else workers):
        if isinstance(result, Lost):
            raise WorkerFailedError(f"{job.path}: cannot be rendered: {result.reason}; run the same command again")
        yield


def _renderer() -> Callable[[_Job], None]:
    keep_large_blocks()
    cv2.setNumThreads(1)
    return _render


def _render(job: _Job) -> None:
    clip = render_puppet(Renderer(job.identity), job.seed, job.duration_s, job.scene)
    write_video(
        job.path, clip.frames, fps=FPS, samples=clip.samples, sample_rate_hz=SAMPLE_RATE_HZ, crf=job.crf, preset=_PRESET
    )


def _row(name: str, job: _Job) -> Video:
    person = job.identity
    return Video(
        dataset=name,
        video_id=f"{name}/{person.name}/{job.path.stem}",
        path=str(job.path),
        label=0,
        visual_label=0,
        audio_label=0 if job.scene.has_audio else None,
        identities=(person.name,),
        group=person.name,
        attributes={**person.attributes, **_events(job.scene)},
        has_audio=job.scene.has_audio,
        duration_s=round(job.duration_s * FPS) / FPS,
        fps=float(FPS),
        width=person.studio.width,
        height=person.studio.height,
    )


def _events(scene: Scene) -> dict[str, str]:
    """Return an attribute for each event in the scene, so that metrics can be sliced by it."""
    return {name: "yes" for name in ("music", "second_person", "occlusion", "pause", "cut") if getattr(scene, name)}
