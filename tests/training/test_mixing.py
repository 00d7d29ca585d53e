"""Modality dropout and mixing of the clips of a batch."""

from __future__ import annotations

import pytest
import torch
from labelled import facts_of, features_of

from veridical.training.mixing import MixingSettings, drop_modalities, mixed


def test_modality_dropout_masks_one_and_never_both() -> None:
    torch.manual_seed(0)
    dropped = drop_modalities(features_of(4000), 0.2, torch.ones(4000, dtype=torch.bool))
    assert (dropped.has_video | dropped.has_audio).all()
    assert (~dropped.has_video).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert (~dropped.has_audio).float().mean().item() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("settings", [MixingSettings(mixup=1), MixingSettings(cutmix=1)])
def test_mixing_keeps_shares_and_labels_together(settings: MixingSettings) -> None:
    """With features that are the visual label, what a clip holds of forged frames is its new label."""
    kinds = ["real", "face", "voice", "both"] * 4
    facts = facts_of(kinds)
    video = facts.visual[:, None, None].expand(-1, 5, 3)
    audio = facts.audio[:, None, None].expand(-1, 50, 2)
    features = features_of(16)._replace(video=video, audio=audio)
    changed = 0
    for seed in range(10):
        torch.manual_seed(seed)
        new, labels = mixed(features, facts, settings)
        torch.testing.assert_close(new.video.mean((1, 2)), labels.visual)
        torch.testing.assert_close(new.audio.mean((1, 2)), labels.audio)
        changed += int(((labels.visual > 0) & (labels.visual < 1)).sum())
        assert labels.mixed.any()
    assert changed > 10
    again = mixed(features, facts, settings)[0].video
    torch.manual_seed(9)
    assert torch.equal(mixed(features, facts, settings)[0].video, new.video)
    assert not torch.equal(again, new.video)


def test_clips_with_and_without_audio_are_not_mixed() -> None:
    features = features_of(2)._replace(has_audio=torch.tensor([True, False]))
    for seed in range(5):
        torch.manual_seed(seed)
        new, labels = mixed(features, facts_of(["real", "face"]), MixingSettings(mixup=1))
        assert torch.equal(new.video, features.video)
        assert not labels.mixed.any()


def test_a_single_modality_is_mixed_too() -> None:
    torch.manual_seed(0)
    only_audio = features_of(4)._replace(video=torch.zeros(4, 0, 0))
    new, _ = mixed(only_audio, facts_of(["real", "voice"] * 2), MixingSettings(cutmix=1))
    assert not torch.equal(new.audio, only_audio.audio)


def test_no_mixing_touches_no_randomness() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    features = features_of(2)
    torch.manual_seed(0)
    assert mixed(features, facts_of(["real", "face"]), MixingSettings())[0] is features
    assert torch.equal(torch.rand(3), expected)
