"""On real talking people (GRID): visual forgeries change faces, and the results are still detected as faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from veridical.forgery import FORGERIES, read_footage, reading

QUICK = sorted(name for name, forgery in FORGERIES.items() if not forgery.slow)
VISUAL = sorted(name for name, forgery in FORGERIES.items() if forgery.visual and not forgery.slow)


@pytest.fixture(scope="module")
def people(real_clips: Path):
    def clip(speaker: str, number: int):
        return read_footage(sorted((real_clips / "grid" / speaker).glob("*.mpg"))[number], max_seconds=1.2)

    return clip("s1", 0), clip("s2", 0), clip("s1", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", VISUAL)
def test_the_forged_face_is_a_face(name, people, forge_with):
    target, forged = people[0], forge_with(name, *people)
    outside = forged.mask == 0
    assert np.array_equal(forged.frames[outside], target.frames[outside])
    points, detected = reading.track_landmarks(forged.frames)
    assert detected.mean() > 0.95
    width = np.linalg.norm(target.landmarks[:, 454] - target.landmarks[:, 234], axis=-1)[:, None]
    stays = [33, 263, 168, 234, 454]
    moved = np.linalg.norm(points[:, stays] - target.landmarks[:, stays], axis=-1) / width
    assert np.nanmedian(moved) < 0.05, "eyes and cheeks stay where the target's are"


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_labels_and_segments_say_what_was_done(name, people, forge_with):
    target, forgery = people[0], FORGERIES[name]
    forged = forge_with(name, *people, severity=0.7, seed=1)
    assert (forged.visual_label, forged.audio_label, forged.label) == (int(forgery.visual), int(forgery.audio), 1)
    changed = (forged.frames != target.frames).any(axis=(1, 2, 3))
    assert changed.mean() > 0.2 if forgery.visual else not changed.any()
    partial = name.endswith("_partial") or name == "speech_spliced"
    modalities = {kind for kind, is_forged in (("visual", forgery.visual), ("audio", forgery.audio)) if is_forged}
    assert {segment.modality for segment in forged.fake_segments} == (modalities if partial else set())
    changes_s = {"visual": np.flatnonzero(changed) / target.fps}
    changes_s["audio"] = np.flatnonzero(forged.samples != target.samples) / 16_000
    for kind in modalities if partial else ():
        spans = [(segment.start_s, segment.end_s) for segment in forged.fake_segments if segment.modality == kind]
        inside = np.any(
            [(changes_s[kind] >= start - 1e-4) & (changes_s[kind] < stop + 1e-4) for start, stop in spans], axis=0
        )
        assert len(inside)
        assert inside.all(), "nothing is forged outside the segments"


def test_landmarks_follow_a_real_face(people):
    target = people[0]
    width = np.linalg.norm(target.landmarks[:, 454] - target.landmarks[:, 234], axis=-1)
    assert 60 < np.median(width) < 160
    assert width.std() / width.mean() < 0.03
    assert np.abs(target.samples).max() <= 1
