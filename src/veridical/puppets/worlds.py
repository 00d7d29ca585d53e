"""Worlds with a known flaw: shortcuts that separate real from fake without any forgery, planted on purpose to test the audits.

A shortcut changes recordings (`shortcuts.py`) or the manifest (which videos there are and where they go). `plant` rewrites a
corpus: every video is decoded and written again in the same way, real and fake alike, and the shortcut is applied to one class
only. So a clean world differs from a planted one in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from veridical.artefacts import Manifest, Video
from veridical.errors import UsageError, unknown_name
from veridical.media import audio_samples, probe, video_frames, write_video
from veridical.progress import track
from veridical.puppets.corpus import claim
from veridical.puppets.shortcuts import SAMPLE_RATE_HZ, SHORTCUTS, Recording, apply_shortcuts
from veridical.randomness import stream
from veridical.settings import Settings

ManifestShortcut = Callable[[Manifest, np.random.Generator], Manifest]
_FACTS_FILE = "world.json"
_VERSION = 2
"""Counted up when a shortcut begins to do something else, so that a folder is never a mixture."""


def with_duplicates(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """List a third of the training videos a second time, under another id, in the test split."""
    videos = list(manifest.videos())
    train = [video for video in videos if video.split == "train"]
    if not train:
        raise UsageError("duplicates need a manifest with a train split; run split first")
    chosen = sorted(rng.choice(len(train), size=max(1, len(train) // 3), replace=False))
    copies = [replace(train[k], video_id=f"{train[k].video_id}#copy", split="test") for k in chosen]
    return Manifest.from_videos([*videos, *copies])


def with_shared_identities(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """Move one video in two of every training identity to the test split, so that people are on both sides."""
    seen: dict[str, int] = {}
    videos = []
    for video in manifest.videos():
        if video.split == "train" and video.identities:
            count = seen[video.identities[0]] = seen.get(video.identities[0], 0) + 1
            videos.append(replace(video, split="test") if count % 2 == 0 else video)
        else:
            videos.append(video)
    if all(count < 2 for count in seen.values()):
        raise UsageError("shared identities need a train split with two or more videos of a person")
    return Manifest.from_videos(videos)


def without_a_generator(manifest: Manifest, rng: np.random.Generator) -> Manifest:
    """Drop one generator from the training split, and keep it in the others."""
    generators = sorted({video.generator for video in manifest.videos() if video.generator and video.split == "train"})
    if len(generators) < 2:
        raise UsageError(f"a missing generator needs two or more in the train split, found {generators}")
    dropped = generators[int(rng.integers(len(generators)))]
    kept = [video for video in manifest.videos() if video.split != "train" or video.generator != dropped]
    return Manifest.from_videos(kept)


MANIFEST_SHORTCUTS: dict[str, ManifestShortcut] = {
    "duplicates": with_duplicates,
    "identity_overlap": with_shared_identities,
    "missing_generator": without_a_generator,
}
"""Shortcuts in the choice and the split of the videos; they need a manifest with splits."""


class WorldSettings(Settings):
    """A world: which shortcuts are planted, and where."""

    shortcuts: tuple[str, ...] = ()
    """Names from `SHORTCUTS` and `MANIFEST_SHORTCUTS`; none is a clean world."""
    label: int = Field(default=1, ge=0, le=1)
    """Class that gets the recording shortcuts: 1 fake, 0 real."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the videos of that class."""

    @field_validator("shortcuts")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in SHORTCUTS and name not in MANIFEST_SHORTCUTS:
                raise ValueError(str(unknown_name("shortcut", name, [*SHORTCUTS, *MANIFEST_SHORTCUTS])))
        return names


WORLDS: dict[str, WorldSettings] = {
    "clean": WorldSettings(),
    **{name: WorldSettings(shortcuts=(name,)) for name in (*SHORTCUTS, *MANIFEST_SHORTCUTS)},
}
"""Worlds by name: the clean one, and one for each shortcut."""


def plant(manifest: Manifest, folder: Path, world: WorldSettings, seed: int = 0) -> Manifest:
    """Write the videos of a manifest again with the shortcuts of a world; files that are there already are kept.

    Args:
        manifest: Real and fake videos.
        folder: Where the new files go.
        world: What to plant.
        seed: Decides which videos are chosen when the share is below 1, and the details.

    Returns:
        The manifest of the new files; video ids, labels and splits are those of the given one.

    Raises:
        UsageError: when no video has the label that the shortcuts are for, the manifest lacks what a shortcut needs, or the
            folder holds another world.
    """
    folder = Path(folder)
    names = [name for name in world.shortcuts if name in SHORTCUTS]
    claim(folder / _FACTS_FILE, {"version": _VERSION, "world": world.model_dump(mode="json"), "seed": seed})
    if names and not any(video.label == world.label for video in manifest.videos()):
        raise UsageError(f"no video has label {world.label}, so {', '.join(names)} cannot be planted; forge some first")
    videos = [
        _rewritten(video, folder, names if _is_chosen(video, world, seed) else (), seed)
        for video in track(manifest.videos(), "plant", total=len(manifest), unit="video")
    ]
    return plant_in_manifest(Manifest.from_videos(videos), world.shortcuts, seed)


def plant_in_manifest(manifest: Manifest, names: Iterable[str], seed: int = 0) -> Manifest:
    """Apply the manifest shortcuts among the names; no file is touched."""
    for name in names:
        if name in MANIFEST_SHORTCUTS:
            manifest = MANIFEST_SHORTCUTS[name](manifest, stream(seed, "world", name))
    return manifest


def _is_chosen(video: Video, world: WorldSettings, seed: int) -> bool:
    return video.label == world.label and bool(stream(seed, "world", "share", video.video_id).random() < world.share)


def _rewritten(video: Video, folder: Path, names: Sequence[str], seed: int) -> Video:
    path = folder / f"{video.video_id.replace('/', '__')}.mp4"
    if not path.exists():
        recording = apply_shortcuts(_read(Path(video.path)), names, seed, video.video_id)
        write_video(
            path, recording.frames, fps=recording.fps, samples=recording.samples, sample_rate_hz=SAMPLE_RATE_HZ,
            crf=recording.crf, codec=recording.codec, pixel_format=recording.pixel_format, preset="superfast",
        )  # fmt: skip
    facts = probe(path)
    return replace(
        video, path=str(path), has_audio=facts.has_audio, audio_label=video.audio_label if facts.has_audio else None,
        duration_s=facts.duration_s, fps=facts.fps, width=facts.width, height=facts.height, codec=facts.codec,
        pixel_format=facts.pixel_format, bitrate=facts.bitrate, audio_codec=facts.audio_codec,
        audio_rate_hz=facts.audio_rate_hz, sha256=None, attributes={**video.attributes, "container": facts.container},
    )  # fmt: skip


def _read(path: Path) -> Recording:
    frames = np.stack([frame.image for frame in video_frames(path)])
    samples = audio_samples(path, rate_hz=SAMPLE_RATE_HZ)
    fps = probe(path).fps
    if samples is not None:
        samples = samples[: round(len(frames) / fps * SAMPLE_RATE_HZ)]
    return Recording(frames, samples, fps=fps)
