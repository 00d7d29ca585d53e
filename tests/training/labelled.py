"""Clips with every kind of label, and features for them."""

from __future__ import annotations

import pandas as pd
import torch

from veridical.models import Features
from veridical.training.targets import ClipFacts, clip_facts

KINDS = {  # label, visual, audio
    "real": (0, 0, 0),
    "face": (1, 1, 0),
    "voice": (1, 0, 1),
    "both": (1, 1, 1),
    "exchanged": (1, 0, 0),
    "unknown parts": (1, None, None),
}


def facts_of(kinds: list[str], audio: bool = True) -> ClipFacts:
    rows = pd.DataFrame([KINDS[kind] for kind in kinds], columns=["label", "visual_label", "audio_label"]).astype(
        "Int8"
    )
    rows["video_id"] = [f"v{i // 2}" for i in range(len(kinds))]
    rows["modalities_labelled"] = True
    rows["target"] = rows["label"]
    return clip_facts(rows, (1.0, 1.0), torch.full((len(kinds),), audio))


def features_of(count: int, audio: bool = True) -> Features:
    generator = torch.manual_seed(0)
    frames, steps = torch.randn(count, 5, 3, generator=generator), torch.randn(count, 50, 2, generator=generator)
    return Features(frames, steps, torch.ones(count, dtype=torch.bool), torch.full((count,), audio))
