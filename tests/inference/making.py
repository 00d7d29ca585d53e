"""A tiny detector, and stores of clips of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from veridical.artefacts import Manifest, Video
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.inference import Detector, ModelFacts
from veridical.inputs import InputSettings
from veridical.metrics import Calibration
from veridical.models import DetectorModel, ModelSettings
from veridical.settings import parse_settings

SIZE = 64


def tiny_detector(**facts_changes: object) -> Detector:
    """Return an untrained detector that runs in milliseconds."""
    torch.manual_seed(0)
    whisper = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    values = {
        "video": {"backbone": "test_efficientnet", "weights": "random", "input_size": 56},
        "temporal": {"width": 16, "output": 32},
        "audio": {"kind": "whisper", "weights": "random", "trainable_blocks": 1, "config": whisper},
        "fusion": {"width": 16, "heads": 2},
        "audio_width": 24,
    }
    settings = parse_settings(ModelSettings, values, "test")
    facts = ModelFacts(
        name="test", veridical_version="0", inputs=InputSettings(frame_size=56, crop_size=SIZE),
        preparation=StoreSettings(crop_size=SIZE),
        detector=settings, calibration=Calibration(temperature=2.0, fitted_on="val", num_videos=9),
        operating_points={"eer": 0.1}, fingerprints={}, licence="none", pretrained={},
    )  # fmt: skip
    return Detector(facts.model_copy(update=facts_changes), [DetectorModel(settings).eval()])


def make_clip(video_id: str, second: int, sound: str) -> Clip:
    """Return a clip of noise; the audio is `speech`, `quiet` or `none`."""
    generator = np.random.default_rng([second, len(video_id)])
    samples = {"speech": generator.normal(0, 3000, 16000), "quiet": generator.normal(0, 5, 16000), "none": None}[sound]
    return Clip(
        video_id, float(second), generator.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8),
        np.tile(np.array([[0, 0, 9, 9]], np.float32), (5, 1)), np.zeros((5, 5, 2), np.float32), np.ones(5, np.float32),
        None if samples is None else samples.astype(np.int16), None if samples is None else np.ones(50, bool),
    )  # fmt: skip


def make_store(
    folder: Path, sounds: Mapping[str, str], *, splits: Sequence[str], clips: int | Mapping[str, int]
) -> ClipStore:
    """Write a store of videos (name → audio of its clips), real and fake in turn, with so many clips each."""
    videos = [
        Video("d", name, name, label=number % 2, split=splits[number], attributes={"sound": sound})
        for number, (name, sound) in enumerate(sounds.items())
    ]
    store = ClipStore.create(folder / "store", StoreSettings(crop_size=SIZE), Manifest.from_videos(videos))
    with ClipWriter(store.path) as writer:
        for name, sound in sounds.items():
            count = clips if isinstance(clips, int) else clips[name]
            made = [make_clip(name, second, sound) for second in range(count)]
            writer.add(LedgerEntry(name, "ok", num_clips=count), made)
    return ClipStore.open(store.path)
