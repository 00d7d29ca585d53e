"""A store of fabricated clips with a cue that can be switched off, and a recipe small enough to train in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from veridical.artefacts import Manifest, Video
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.randomness import stream
from veridical.settings import parse_settings
from veridical.training import Recipe

SIZE = 64
GENERATORS = ("stripes", "hum")


def fabricate_clip(video_id: str, start_s: float, generator: str | None, *, cue: bool, sound: bool) -> Clip:
    """Noise frames and noise audio; with `cue`, `stripes` marks the frames and `hum` the audio."""
    randomness = stream(1, video_id, start_s)
    frames = np.clip(randomness.normal(120, 20, (5, SIZE, SIZE, 3)), 0, 255)
    if cue and generator == "stripes":
        frames[:, ::4] += 60
    samples = randomness.normal(0, 0.05, 16000)
    if cue and generator == "hum":
        samples += 0.2 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)
    grid = np.linspace(10, 50, 10, dtype=np.float32).reshape(1, 5, 2)
    return Clip(
        video_id=video_id,
        start_s=start_s,
        frames=np.clip(frames, 0, 255).astype(np.uint8),
        boxes=np.tile(np.array([[0, 0, 50, 50]], np.float32), (5, 1)),
        landmarks=np.repeat(grid, 5, 0),
        detector_score=np.full(5, 0.9, np.float32),
        samples=(np.clip(samples, -1, 1) * 32767).astype(np.int16) if sound else None,
        speech=np.ones(50, bool) if sound else None,
    )


def fabricate_store(
    path: Path, *, cue: bool = True, sound: bool = True, people: int = 16, clips: int = 3, silent_reals: bool = False
) -> ClipStore:
    """One real and two fake videos per person; the first half trains, a quarter validates, a quarter tests."""
    videos = []
    for person in range(people):
        split = ("train", "train", "val", "test")[person % 4]
        for generator in (None, *GENERATORS):
            visual, audio = int(generator == "stripes"), int(generator == "hum") if sound else None
            videos.append(
                Video(
                    dataset="tiny", video_id=f"p{person:02d}-{generator or 'real'}", path=f"{person}.mp4", split=split,
                    label=int(generator is not None), visual_label=visual, audio_label=audio, generator=generator,
                    identities=(f"p{person}",), group=f"p{person}", has_audio=sound,
                )
            )  # fmt: skip
    if not sound:
        videos = [video for video in videos if video.generator != "hum"]
    store = ClipStore.create(path, StoreSettings(crop_size=SIZE), Manifest.from_videos(videos))
    with ClipWriter(store.path) as writer:
        for video in videos:
            heard = sound and not (silent_reals and video.label == 0)
            made = [
                fabricate_clip(video.video_id, float(i), video.generator, cue=cue, sound=heard) for i in range(clips)
            ]
            writer.add(
                LedgerEntry(video.video_id, "ok", num_clips=clips, has_audio=sound, duration_s=float(clips)), made
            )
    return ClipStore.open(path)


def tiny_values(store: Path, **changes: Any) -> dict[str, Any]:
    """Return the plain values of a recipe with tiny random encoders."""
    parts = ["temporal", "video_head", "audio", "audio_projection", "audio_head", "fusion", "head"]
    values: dict[str, Any] = {
        "name": "tiny",
        "data": {"store": str(store)},
        "inputs": {"frame_size": 56, "crop_size": SIZE},
        "model": {
            "video": {"backbone": "test_efficientnet", "weights": "random", "input_size": 56},
            "temporal": {"width": 32, "output": 64},
            "audio": {
                "kind": "whisper", "weights": "random", "trainable_blocks": 1,
                "config": {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
            },
            "fusion": {"width": 32, "heads": 2},
            "audio_width": 32,
        },
        "augmentation": {"views": 2},
        "stages": [
            {"name": "video", "objective": "video", "train": ["temporal", "video_head"], "epochs": 3, "lr": 0.003},
            {"name": "audio", "objective": "audio", "train": parts[2:5], "epochs": 10, "lr": 0.01},
            {"name": "joint", "objective": "joint", "train": parts, "epochs": 8, "lr": 0.005, "final_lr": 0.0005,
             "all_losses": True, "modality_dropout": 0.2},
        ],
        "runtime": {"accelerator": "cpu", "threads": 1},
        "early_stopping": {"accept_chance": ["video", "audio"]},
    }  # fmt: skip
    return {**values, **changes}


def tiny_recipe(store: Path, **changes: Any) -> Recipe:
    """Return the recipe."""
    return parse_settings(Recipe, tiny_values(store, **changes), "tiny")
