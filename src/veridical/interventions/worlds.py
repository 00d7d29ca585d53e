"""Worlds: corpora with shortcuts planted on purpose, to test the audits.

`plant` rewrites a corpus: every video, real or fake, is decoded and encoded in the same way, and the shortcuts are applied to
one class only. So a clean world differs from a planted one in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from veridical.artefacts import Manifest, Video, claim_folder
from veridical.clips import SAMPLE_RATE_HZ
from veridical.errors import UsageError, unknown_name
from veridical.interventions.catalogue import INTERVENTIONS
from veridical.interventions.shortcuts import Recording
from veridical.media import audio_samples, probe, video_frames, write_video
from veridical.progress import track
from veridical.randomness import stream
from veridical.settings import Settings

SHORTCUTS = tuple(name for name, item in INTERVENTIONS.items() if item.kind == "shortcut")
_FACTS_FILE = "world.json"
_VERSION = 2
"""Counted up when a shortcut changes what it does, so that a folder is never a mixture."""


class WorldSettings(Settings):
    """Which shortcuts are planted in a corpus, and in which class."""

    shortcuts: tuple[str, ...] = ()
    """Names of shortcuts in `INTERVENTIONS`; a world without any is clean."""
    label: int = Field(default=1, ge=0, le=1)
    """Class that gets the recording shortcuts: 1 fake, 0 real."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the videos of that class."""

    @field_validator("shortcuts")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in SHORTCUTS:
                raise ValueError(str(unknown_name("shortcut", name, SHORTCUTS)))
        return names

    def changes(self, video: Video, seed: int) -> bool:
        """Return whether a video gets the recording shortcuts."""
        drawn = bool(stream(seed, "world", "share", video.video_id).random() < self.share)
        return video.label == self.label and drawn


WORLDS: dict[str, WorldSettings] = {
    "clean": WorldSettings(),
    **{name: WorldSettings(shortcuts=(name,)) for name in SHORTCUTS},
}
"""Worlds by name: the clean one, and one per shortcut."""


def plant(manifest: Manifest, folder: Path, world: WorldSettings, seed: int = 0) -> Manifest:
    """Rewrite the videos of a manifest with the shortcuts of a world; existing files are kept.

    Args:
        manifest: Real and fake videos.
        folder: Where the new files go.
        world: What to plant.
        seed: Of the choice of videos when the share is below 1, and of the shortcuts' details.

    Returns:
        The manifest of the new files; video ids, labels and splits are those of the given one.

    Raises:
        UsageError: when no video has the label that the shortcuts are for, the manifest lacks what a shortcut needs, or the
            folder holds another world.
    """
    folder = Path(folder)
    names = [name for name in world.shortcuts if INTERVENTIONS[name].on_recording]
    facts = {"version": _VERSION, "world": world.model_dump(mode="json"), "seed": seed}
    claim_folder(folder, "a world", _FACTS_FILE, facts)
    if names and not any(video.label == world.label for video in manifest.videos()):
        raise UsageError(f"no video has label {world.label}, so {', '.join(names)} cannot be planted; forge some first")
    videos = [
        _rewritten(video, folder, names if world.changes(video, seed) else (), seed)
        for video in track(manifest.videos(), "plant", total=len(manifest), unit="video")
    ]
    return plant_in_manifest(Manifest.from_videos(videos), world.shortcuts, seed)


def plant_in_manifest(manifest: Manifest, names: Iterable[str], seed: int = 0) -> Manifest:
    """Apply those of the named shortcuts that act on manifests; no file is touched."""
    for name in names:
        if change := INTERVENTIONS[name].on_manifest:
            manifest = change(manifest, stream(seed, "world", name))
    return manifest


def plant_in_recording(recording: Recording, names: Iterable[str], seed: int, video_id: str) -> Recording:
    """Apply those of the named shortcuts that act on recordings, in order; details depend on seed, shortcut and video."""
    for name in names:
        if change := INTERVENTIONS[name].on_recording:
            recording = change(recording, stream(seed, "world", name, video_id))
    return recording


def _rewritten(video: Video, folder: Path, names: Sequence[str], seed: int) -> Video:
    path = folder / f"{video.video_id.replace('/', '__')}.mp4"
    if not path.exists():
        recording = plant_in_recording(_read(Path(video.path)), names, seed, video.video_id)
        write_video(
            path, recording.frames, fps=recording.fps, samples=recording.samples, sample_rate_hz=SAMPLE_RATE_HZ,
            crf=recording.crf, codec=recording.codec, pixel_format=recording.pixel_format, preset="superfast",
        )  # fmt: skip
    facts = probe(path)
    attributes = {**video.attributes, "container": facts.container}
    audio_label = video.audio_label if facts.has_audio else None
    return replace(video, path=str(path), sha256=None, audio_label=audio_label, attributes=attributes, **facts.columns)


def _read(path: Path) -> Recording:
    frames = np.stack([frame.image for frame in video_frames(path)])
    samples = audio_samples(path, rate_hz=SAMPLE_RATE_HZ)
    fps = probe(path).fps
    if samples is not None:
        samples = samples[: round(len(frames) / fps * SAMPLE_RATE_HZ)]
    return Recording(frames, samples, fps=fps)
