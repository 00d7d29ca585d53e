"""Small made-up clips and stores for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from veridical.artefacts import Manifest, Video
from veridical.clips import FLOW_STATISTICS, MOUTH_SIZE, Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.randomness import stream

SMALL = StoreSettings(crop_size=32)


def make_clip(
    video_id: str, start_s: float, *, sound: bool = True, settings: StoreSettings = SMALL, seed: int = 0
) -> Clip:
    """A smooth random clip that depends on its name only."""
    rng = stream(seed, video_id, start_s)
    t, size = settings.num_frames, settings.crop_size
    ramp = np.linspace(0, 60, size)[None, :, None, None] + np.linspace(0, 60, size)[None, None, :, None]
    frames = (ramp + rng.uniform(0, 130, (t, 1, 1, 3))).astype(np.uint8)
    corner = rng.uniform(0, 50, (t, 2))
    return Clip(
        video_id=video_id,
        start_s=start_s,
        frames=frames,
        boxes=np.concatenate([corner, corner + rng.uniform(20, 90, (t, 2))], axis=1).astype(np.float32),
        landmarks=rng.uniform(0, size, (t, 5, 2)).astype(np.float32),
        detector_score=rng.uniform(0.5, 1, t).astype(np.float32),
        samples=rng.integers(-3000, 3000, settings.num_samples).astype(np.int16) if sound else None,
        speech=rng.random(settings.num_speech_steps) < 0.5 if sound else None,
        mouths=_mouths(settings.num_mouths, rng) if settings.mouths else None,
        flow=rng.normal(size=(t, len(FLOW_STATISTICS))).astype(np.float32) if settings.flow else None,
        dense_landmarks=rng.uniform(0, size, (t, 468, 2)).astype(np.float32) if settings.dense_landmarks else None,
    )


def _mouths(number: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth grey frames, each of its own level."""
    ramp = np.linspace(0, 80, MOUTH_SIZE)[None, :, None] + np.zeros((1, 1, MOUTH_SIZE))
    return (ramp + rng.uniform(0, 170, (number, 1, 1))).astype(np.uint8)


def make_manifest(*video_ids: str) -> Manifest:
    """Videos of those names that exist nowhere."""
    return Manifest.from_videos(
        [Video(dataset="toy", video_id=video_id, path=f"{video_id}.mp4") for video_id in video_ids]
    )


def make_store(path: Path, lengths: dict[str, int], settings: StoreSettings = SMALL) -> ClipStore:
    """A store with so many clips of each video; one of zero clips is without a face."""
    ClipStore.create(path, settings, make_manifest(*lengths))
    with ClipWriter(path) as writer:
        for video_id, number in lengths.items():
            clips = [make_clip(video_id, float(second), settings=settings) for second in range(number)]
            if clips:
                writer.add(LedgerEntry(video_id, "ok"), clips)
            else:
                writer.add(LedgerEntry(video_id, "no_face", "no face in any frame"))
    return ClipStore.open(path)
