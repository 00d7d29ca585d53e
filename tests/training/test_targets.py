"""What an objective may learn from a clip: labels per modality, masked modalities, corpora without labels per modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from labelled import KINDS, facts_of, features_of

from veridical.training.mixing import drop_modalities
from veridical.training.objectives import OBJECTIVES
from veridical.training.targets import modalities_labelled


def targets(kinds: list[str], objective: Any = "joint", *, mask: str = "", audio: bool = True) -> list[float | None]:
    count = len(kinds)
    every = torch.ones(count, dtype=torch.bool)
    seen = features_of(count, audio).masked(
        video=every if mask == "video" else None, audio=every if mask == "audio" else None
    )
    found = OBJECTIVES[objective].target(facts_of(kinds, audio), seen).tolist()
    return [None if np.isnan(value) else value for value in found]


def test_with_nothing_masked_the_label_is_learned() -> None:
    assert targets(list(KINDS)) == [0, 1, 1, 1, 1, 1]


def test_masked_video_leaves_the_label_of_the_audio() -> None:
    assert targets(list(KINDS), mask="video") == [0, 0, 1, 1, None, None]


def test_masked_audio_leaves_the_label_of_the_video() -> None:
    assert targets(list(KINDS), mask="audio") == [0, 1, 0, 1, None, None]


def test_clips_without_audio() -> None:
    """A silent window of a fake with a forged voice shows a genuine face; unknown parts keep the only label there is."""
    assert targets(list(KINDS), audio=False) == [0, 1, 0, 1, None, 1]


def test_single_modalities_learn_their_own_label() -> None:
    assert targets(list(KINDS), "video") == [0, 1, 0, 1, 0, None]
    assert targets(list(KINDS), "audio") == [0, 0, 1, 1, 0, None]
    assert targets(list(KINDS), "audio", audio=False) == [None] * 6


def test_nothing_is_masked_where_the_corpus_does_not_label_the_modalities_of_its_fakes() -> None:
    """Only its real videos would be, and a missing modality would come to mean real."""
    kinds = {
        "tells": ["real", "face", "voice"],
        "mute": ["real", "unknown parts", "unknown parts"],
        "real only": ["real"],
    }
    rows = pd.DataFrame(
        [(dataset, *KINDS[kind]) for dataset, found in kinds.items() for kind in found],
        columns=["dataset", "label", "visual_label", "audio_label"],
    ).astype(dict.fromkeys(("label", "visual_label", "audio_label"), "Int8"))
    allowed = modalities_labelled(rows)
    assert allowed.tolist() == [True] * 3 + [False] * 4
    torch.manual_seed(0)
    dropped = drop_modalities(features_of(7), 0.99, torch.tensor(allowed.to_numpy()))
    assert (dropped.has_video & dropped.has_audio).tolist() == [False] * 3 + [True] * 4
