"""The loss of a batch: which terms apply to which clips, and their weighted sum."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from labelled import KINDS, facts_of, features_of

from veridical.metrics import Aggregation
from veridical.models import DetectorOutput, Features
from veridical.training.stages import StageSettings
from veridical.training.targets import ClipFacts
from veridical.training.terms import TERMS, BatchLoss, LossSettings, batch_loss


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
        video = output.head_logits[0].requires_grad_()
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


def test_every_term_and_form_gives_a_finite_gradient() -> None:
    for forms in (
        {"segment_form": "focal", "temporal_form": "class_conditional", "frame_labels": "soft"},
        {"disagreement_form": "entropy"},
    ):
        losses = LossSettings(disagreement=0.05, frame=0.1, sync=0.1, **forms)
        output = output_of(6)._replace(logit=torch.randn(6, requires_grad=True))
        loss = loss_of(output, features_of(6), facts_of(list(KINDS)), stage(), losses)
        assert set(TERMS) <= set(loss.terms)
        loss.to_minimise.backward()
        assert torch.isfinite(output.logit.grad).all()
        assert output.logit.grad.abs().sum() > 0


def test_the_video_term_pools_by_the_aggregation_of_the_recipe() -> None:
    kinds = ["real"] * 4 + ["face"] * 4
    given = (output_of(8), features_of(8), facts_of(kinds), stage(), LossSettings())
    values = {
        rule: batch_loss(*given, Aggregation(rule=rule, top_k=2)).terms["video"].item()
        for rule in ("mean", "max", "median", "top-k")
    }
    logit, video = given[0].logit.numpy().astype(float), given[2].video.numpy()
    for rule, value in values.items():
        pooled = torch.tensor(Aggregation(rule=rule, top_k=2).video_logits(logit, video, 4))
        target = torch.tensor([0.05, 0.05, 0.95, 0.95], dtype=torch.float64)
        expected = torch.nn.functional.binary_cross_entropy_with_logits(pooled, target)
        assert value == pytest.approx(expected.item(), rel=1e-5), rule
    assert values["max"] != pytest.approx(values["mean"])


def test_mixed_clips_count_for_no_video() -> None:
    facts = facts_of(["real", "real", "face", "face"])
    half = ClipFacts(**{**facts.__dict__, "mixed": torch.tensor([False, True, True, False])})
    unmixed = loss_of(output_of(4), features_of(4), facts, stage(), ALL_TERMS).terms["video"]
    without = loss_of(output_of(4), features_of(4), half, stage(), ALL_TERMS).terms["video"]
    every = ClipFacts(**{**facts.__dict__, "mixed": torch.ones(4, dtype=torch.bool)})
    assert without.item() != pytest.approx(unmixed.item(), rel=1e-4)
    assert loss_of(output_of(4), features_of(4), every, stage(), ALL_TERMS).terms["video"] == 0
