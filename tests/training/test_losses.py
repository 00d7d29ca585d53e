"""Loss terms against references, hand counts, gradients and extreme logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from veridical.metrics import Aggregation
from veridical.training.losses import (
    aggregated_clips,
    collapse_monitor,
    conditional_variance,
    disagreement_entropy,
    disagreement_l1,
    focal_loss,
    frame_loss,
    smoothed_bce,
    sync_loss,
    temporal_variance,
    video_loss,
    video_means,
)

ALL = torch.ones(6, dtype=torch.bool)
LABELS = torch.tensor([0, 1, 0, 1, 1, 0])


def logits() -> torch.Tensor:
    return torch.tensor([0.3, -1.2, 2.0, 0.1, 4.0, -3.0], dtype=torch.float64)


def test_smoothed_targets_are_exactly_005_and_095() -> None:
    targets = torch.where(LABELS == 1, 0.95, 0.05).double()
    expected = F.binary_cross_entropy_with_logits(logits(), targets)
    assert smoothed_bce(logits(), LABELS, ALL, 0.05).item() == pytest.approx(expected.item(), rel=1e-7)


def test_without_smoothing_it_is_plain_cross_entropy() -> None:
    expected = F.binary_cross_entropy_with_logits(logits(), LABELS.double())
    assert smoothed_bce(logits(), LABELS, ALL, 0.0).item() == pytest.approx(expected.item(), rel=1e-7)


def test_clips_that_do_not_apply_change_nothing() -> None:
    applies = torch.tensor([True, True, False, True, False, True])
    changed = logits()
    changed[~applies] = 50.0
    assert smoothed_bce(changed, LABELS, applies, 0.05) == smoothed_bce(logits(), LABELS, applies, 0.05)
    assert smoothed_bce(logits(), LABELS, ~ALL, 0.05) == 0


MEAN, TOP_1 = Aggregation(), Aggregation(rule="top-k", top_k=1)
VIDEO = torch.tensor([0, 0, 1, 1, 2, 2])
SOME = torch.tensor([True, True, False, True, True, False])
LABEL = LABELS.double()
LOSSES = {
    "bce": lambda logit, frames: smoothed_bce(logit, LABEL, SOME, 0.05),
    "focal": lambda logit, frames: focal_loss(logit, LABEL, SOME, 0.05, 2.0),
    "video, mean": lambda logit, frames: video_loss(logit, LABEL, VIDEO, SOME, 0.05, MEAN),
    "video, top 1": lambda logit, frames: video_loss(logit, LABEL, VIDEO, SOME, 0.05, TOP_1),
    "video, median": lambda logit, frames: video_loss(logit, LABEL, VIDEO, SOME, 0.05, Aggregation(rule="median")),
    "temporal": lambda logit, frames: temporal_variance(frames, SOME),
    "temporal, by class": lambda logit, frames: conditional_variance(frames, LABEL, SOME, 0.95),
    "disagreement, l1": lambda logit, frames: disagreement_l1(logit, logit.flip(0), SOME),
    "disagreement, entropy": lambda logit, frames: disagreement_entropy(logit, logit.flip(0), SOME),
    "frame": lambda logit, frames: frame_loss(frames[..., 0], 0.05 + 0.75 * LABEL, SOME),
    "sync": lambda logit, frames: sync_loss(frames[..., 1], SOME),
}


def embeddings() -> torch.Tensor:
    return torch.randn(6, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients(name: str) -> None:
    values, frames = logits().requires_grad_(), embeddings().requires_grad_()
    assert LOSSES[name](values, frames).item() > 0
    assert torch.autograd.gradcheck(LOSSES[name], (values, frames))


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_inputs_stay_finite(name: str, size: float) -> None:
    values, frames = (logits().float() * size).requires_grad_(), (embeddings().float() * size).requires_grad_()
    loss = LOSSES[name](values, frames)
    gradients = [found for found in torch.autograd.grad(loss, (values, frames), allow_unused=True) if found is not None]
    assert torch.isfinite(loss)
    assert gradients
    assert all(torch.isfinite(found).all() for found in gradients)


@pytest.mark.parametrize("name", list(LOSSES))
def test_clips_left_out_change_nothing(name: str) -> None:
    values, frames = logits(), embeddings()
    others, moved = values.clone(), frames.clone()
    others[~SOME] += 7.0
    moved[~SOME] = moved[~SOME].flip(1) * 3 + 1
    if name.startswith("disagreement"):
        others = values  # what is compared there is the flipped row, which is not left out
    assert LOSSES[name](others, moved) == LOSSES[name](values, frames)


def test_focal_loss_is_that_of_the_paper() -> None:
    p = logits().sigmoid()
    p_right = torch.where(LABELS == 1, p, 1 - p)
    expected = (-((1 - p_right) ** 2) * p_right.log()).mean()
    assert focal_loss(logits(), LABEL, ALL, 0.0, 2.0).item() == pytest.approx(expected.item(), rel=1e-7)
    plain = smoothed_bce(logits(), LABEL, ALL, 0.05)
    assert focal_loss(logits(), LABEL, ALL, 0.05, 0.0).item() == pytest.approx(plain.item(), rel=1e-7)


def test_aggregated_clips_by_hand() -> None:
    video = torch.tensor([0, 0, 0, 1, 1, 1])
    logit = torch.tensor([1.0, 3.0, 2.0, 5.0, 5.0, 9.0])
    applies = torch.tensor([True, True, True, True, True, False])
    for rule, expected in (
        (Aggregation(rule="top-k", top_k=2), [False, True, True, True, True, False]),
        (TOP_1, [False, True, False, True, False, False]),
        (Aggregation(rule="max"), [False, True, False, True, False, False]),
        (Aggregation(rule="median"), [False, False, True, True, True, False]),
        (MEAN, applies.tolist()),
    ):
        assert aggregated_clips(rule, logit, video, applies).tolist() == expected, rule


def test_a_partial_fake_is_forged_where_its_largest_clips_are() -> None:
    logit, label = torch.tensor([-4.0, -4.0, -4.0, 4.0]), torch.tensor([0.0, 0.0, 0.0, 1.0])
    video = torch.zeros(4, dtype=torch.long)
    every = torch.ones(4, dtype=torch.bool)
    assert video_loss(logit, label, video, every, 0.0, TOP_1).item() == pytest.approx(np.log1p(np.exp(-4)), rel=1e-5)
    assert video_loss(logit, label, video, every, 0.0, MEAN).item() == pytest.approx(np.log1p(np.exp(2)), rel=1e-5)


def test_entropy_of_disagreement_is_the_jensen_shannon_divergence() -> None:
    from scipy.spatial.distance import jensenshannon

    first, second = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([-2.0, -1.0, 3.0]).double()
    p, q = first.sigmoid(), second.sigmoid()
    reference = jensenshannon(torch.stack([p, 1 - p]), torch.stack([q, 1 - q])) ** 2
    found = [
        disagreement_entropy(first[i : i + 1], second[i : i + 1], torch.ones(1, dtype=torch.bool)).item()
        for i in range(3)
    ]
    np.testing.assert_allclose(found, reference, atol=1e-9)
    far = disagreement_entropy(torch.tensor([60.0]), torch.tensor([-60.0]), torch.ones(1, dtype=torch.bool))
    assert far.item() == pytest.approx(np.log(2), rel=1e-4)


def frames_between(spread: float, movement: float, clips: int = 64) -> torch.Tensor:
    """Frame embeddings that all point about one way, clips apart by `spread`, the frames of a clip by `movement`."""
    noise = torch.manual_seed(0)
    common, apart = torch.full((1, 1, 32), 1.0), torch.randn(clips, 1, 32, generator=noise)
    return common + spread * apart + movement * torch.randn(clips, 5, 32, generator=noise)


def test_conditional_variance_stills_real_faces_only() -> None:
    label, every = torch.tensor([0.0, 1.0] * 32), torch.ones(64, dtype=torch.bool)
    still = frames_between(0.1, 0.0)
    assert conditional_variance(still, label, every, 0.2).item() == pytest.approx(0.1, abs=1e-4), (
        "the forged half lacks all of the margin"
    )
    moving = frames_between(0.0, 0.1)
    share = temporal_variance(moving, every).item()
    assert conditional_variance(moving, label, every, 0.2).item() == pytest.approx(share / 2, rel=0.1), (
        "only the real half costs"
    )


def test_soft_frame_labels_are_reached() -> None:
    target = torch.tensor([0.05, 0.8])
    at_target = torch.logit(target)[:, None].expand(2, 5).clone().requires_grad_()
    frame_loss(at_target, target, torch.ones(2, dtype=torch.bool)).backward()
    assert at_target.grad is not None
    assert at_target.grad.abs().max() < 1e-6


def test_sync_loss_prefers_the_middle() -> None:
    one = torch.ones(1, dtype=torch.bool)
    right, wrong = torch.zeros(1, 7), torch.zeros(1, 7)
    right[0, 3], wrong[0, 5] = 5.0, 5.0
    assert sync_loss(right, one) < 0.1 < 5 < sync_loss(wrong, one)
    assert sync_loss(torch.zeros(1, 7), one).item() == pytest.approx(np.log(7))


def test_video_means_by_hand() -> None:
    applies = torch.tensor([True, True, True, False, False, False])
    means, counts = video_means(
        torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0, 11.0]), torch.tensor([0, 0, 1, 1, 2, 2]), applies
    )
    assert means.tolist() == [2.0, 5.0, 0.0]
    assert counts.tolist() == [2.0, 1.0, 0.0]


def test_temporal_variance_is_the_share_of_the_movement_inside_clips() -> None:
    every = torch.ones(64, dtype=torch.bool)
    assert temporal_variance(frames_between(0.1, 0.0), every).item() == pytest.approx(0, abs=1e-4)
    assert temporal_variance(frames_between(0.0, 0.1), every).item() > 0.75, "4/5 of the variance of 5 frames is inside"
    frames = frames_between(0.1, 0.1)
    unit = F.normalize(frames, dim=-1).numpy()
    within = ((unit - unit.mean(1, keepdims=True)) ** 2).sum(-1).mean()
    total = ((unit - unit.mean((0, 1))) ** 2).sum(-1).mean()
    assert temporal_variance(frames, every).item() == pytest.approx(within / total, rel=1e-4)
    assert temporal_variance(frames * 100, every).item() == pytest.approx(within / total, rel=1e-4), (
        "length is no matter"
    )
    assert temporal_variance(torch.ones(4, 5, 8), every[:4]).item() == pytest.approx(0, abs=1e-4)


def test_a_collapse_does_not_pay() -> None:
    every = torch.ones(64, dtype=torch.bool)
    whole, nearly_collapsed = frames_between(0.1, 0.1), frames_between(0.01, 0.01)
    assert collapse_monitor(nearly_collapsed) < collapse_monitor(whole) / 50
    assert temporal_variance(nearly_collapsed, every).item() == pytest.approx(
        temporal_variance(whole, every).item(), rel=0.05
    )
    frames = frames_between(0.02, 0.02).requires_grad_()
    before = collapse_monitor(frames).item()
    optimiser = torch.optim.SGD([frames], lr=1.0)
    for _ in range(200):
        optimiser.zero_grad()
        temporal_variance(frames, every).backward()
        optimiser.step()
    assert temporal_variance(frames, every).item() < 0.05, "the clips have become still"
    assert collapse_monitor(frames).item() > before / 2, "and have not fallen onto one point"


def test_collapse_monitor_sees_a_collapse() -> None:
    alike = torch.ones(8, 5, 16) + 1e-4 * torch.randn(8, 5, 16, generator=torch.manual_seed(0))
    varied = torch.randn(8, 1, 16, generator=torch.manual_seed(0)).expand(8, 5, 16)
    assert collapse_monitor(alike) < 1e-5
    assert collapse_monitor(varied) > 0.5
