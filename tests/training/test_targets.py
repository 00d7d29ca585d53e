"""What a stage may learn from a clip: labels per modality, hidden modalities, mixed clips, and the terms that apply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from veridical.metrics import Aggregation
from veridical.models import DetectorOutput, Features
from veridical.training.mixing import MixingSettings, drop_modalities, mixed
from veridical.training.objectives import OBJECTIVES
from veridical.training.stages import StageSettings
from veridical.training.targets import ClipFacts, clip_facts, modalities_labelled
from veridical.training.terms import TERMS, BatchLoss, LossSettings, batch_loss

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


def test_modality_dropout_masks_one_and_never_both() -> None:
    torch.manual_seed(0)
    dropped = drop_modalities(features_of(4000), 0.2, torch.ones(4000, dtype=torch.bool))
    assert (dropped.has_video | dropped.has_audio).all()
    assert (~dropped.has_video).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert (~dropped.has_audio).float().mean().item() == pytest.approx(0.1, abs=0.02)


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


def stage(**changes: Any) -> StageSettings:
    values = {"name": "s", "objective": "joint", "train": ("head",), "epochs": 1, "lr": 1e-3, "all_losses": True}
    return StageSettings(**{**values, **changes})


def loss_of(output: DetectorOutput, features: Features, facts: ClipFacts, *settings: Any) -> BatchLoss:
    return batch_loss(output, features, facts, *settings, Aggregation())


ALL_TERMS = LossSettings(disagreement=0.05, frame=0.1, sync=0.1)


def output_of(count: int) -> DetectorOutput:
    generator = torch.manual_seed(2)
    logit, video, audio = (torch.randn(count, generator=generator) for _ in range(3))
    frames = torch.randn(count, 5, 6, generator=generator)
    return DetectorOutput(
        logit, video, audio, frames, frames[..., 0], torch.randn(count, 7, generator=generator), (video, audio)
    )


def test_loss_is_the_weighted_sum_of_its_terms() -> None:
    kinds = list(KINDS)
    found = loss_of(output_of(6), features_of(6), facts_of(kinds), stage(), ALL_TERMS)
    weights = {name: getattr(ALL_TERMS, name) for name in TERMS}
    assert set(weights) == {"segment", "video", "temporal", "disagreement", "frame", "sync"}
    assert set(found.terms) == {*weights, "loss", "heads", "spread"}
    total = sum(weight * found.terms[name].item() for name, weight in weights.items())
    assert found.terms["loss"].item() == pytest.approx(total, rel=1e-6)
    assert found.to_minimise.item() == pytest.approx(total + found.terms["heads"].item(), rel=1e-6)
    plain = loss_of(output_of(6), features_of(6), facts_of(kinds), stage(all_losses=False), ALL_TERMS)
    assert plain.terms["loss"] == plain.terms["segment"]


@pytest.mark.parametrize("name", ["video", "temporal", "disagreement", "frame", "sync"])
def test_a_term_of_weight_zero_is_left_out(name: str) -> None:
    losses = ALL_TERMS.model_copy(update={name: 0.0})
    found = loss_of(output_of(6), features_of(6), facts_of(list(KINDS)), stage(), losses)
    assert name not in found.terms


def test_a_model_without_audio_encoder_learns_from_whole_videos() -> None:
    """Sound in the store that the model does not take in is not hidden from it."""
    without = loss_of(
        output_of(4), features_of(4, audio=False), facts_of(["real", "real", "face", "face"], False), stage(), ALL_TERMS
    )
    assert without.terms["video"] > 0
    hidden = features_of(4).masked(audio=torch.ones(4, dtype=torch.bool))
    assert (
        loss_of(output_of(4), hidden, facts_of(["real", "real", "face", "face"]), stage(), ALL_TERMS).terms["video"]
        == 0
    )


def test_verdicts_are_drawn_together_only_where_their_labels_agree() -> None:
    def gradient(kind: str) -> float:
        output = output_of(2)
        video = output.verdicts[0].requires_grad_()
        losses = LossSettings(segment=0, video=0, temporal=0, disagreement=1)
        loss_of(output, features_of(2), facts_of([kind] * 2), stage(), losses).to_minimise.backward()
        # the following heads learn from video_logit, which is another tensor in a detector but the same here
        plain = output_of(2).video_logit.requires_grad_()
        other = output_of(2)._replace(video_logit=plain)
        nothing = losses.model_copy(update={"disagreement": 0.0, "segment": 1.0})
        loss_of(other, features_of(2), facts_of([kind] * 2), stage(), nothing).to_minimise.backward()
        return (video.grad - plain.grad).abs().sum().item()

    assert gradient("real") > 0
    assert gradient("both") > 0
    assert gradient("face") == 0
    assert gradient("voice") == 0


def test_class_weights_reach_the_segment_term() -> None:
    kinds = ["real", "real", "face", "face"]
    facts = facts_of(kinds)
    heavy = ClipFacts(**{**facts.__dict__, "weight": torch.tensor([0.0, 0.0, 1.0, 1.0])})
    both = loss_of(output_of(4), features_of(4), facts, stage(all_losses=False), LossSettings()).terms["segment"]
    fakes = loss_of(output_of(4), features_of(4), heavy, stage(all_losses=False), LossSettings()).terms["segment"]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output_of(4).logit[2:], torch.full((2,), 0.95))
    assert fakes.item() == pytest.approx(expected.item(), rel=1e-5)
    assert both.item() != pytest.approx(fakes.item())


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
