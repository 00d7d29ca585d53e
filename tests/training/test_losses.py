"""Loss terms against references, hand counts, gradients and extreme logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from veridical.training.losses import collapse_monitor, smoothed_bce, temporal_variance, total_loss, video_means
from veridical.training.recipe import LossSettings

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


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_stay_finite(size: float) -> None:
    extreme = (logits() * size).requires_grad_()
    loss = smoothed_bce(extreme, LABELS, ALL, 0.05)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(extreme.grad).all()


def test_gradients() -> None:
    values = logits().requires_grad_()
    embeddings = torch.randn(6, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0)).requires_grad_()
    video = torch.tensor([0, 0, 1, 1, 2, 2])

    def loss(logit: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        return total_loss(logit, LABELS, ALL, video, frames, ALL, LossSettings(), all_losses=True).total

    assert torch.autograd.gradcheck(loss, (values, embeddings))


def test_video_means_by_hand() -> None:
    applies = torch.tensor([True, True, True, False, False, False])
    means, counts = video_means(
        torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0, 11.0]), torch.tensor([0, 0, 1, 1, 2, 2]), applies
    )
    assert means.tolist() == [2.0, 5.0, 0.0]
    assert counts.tolist() == [2.0, 1.0, 0.0]


def test_temporal_variance_is_zero_when_still_and_one_when_opposed() -> None:
    still = torch.ones(1, 4, 3)
    opposed = torch.tensor([[[1.0, 0], [-1, 0], [1, 0], [-1, 0]]])
    one = torch.ones(1, dtype=torch.bool)
    assert temporal_variance(still, one).item() == pytest.approx(0, abs=1e-6)
    assert temporal_variance(opposed, one).item() == pytest.approx(1)
    assert temporal_variance(opposed * 100, one).item() == pytest.approx(1), "length of an embedding must not matter"


def test_collapse_monitor_sees_a_collapse() -> None:
    alike = torch.ones(8, 5, 16) + 1e-4 * torch.randn(8, 5, 16, generator=torch.manual_seed(0))
    varied = torch.randn(8, 1, 16, generator=torch.manual_seed(0)).expand(8, 5, 16)
    assert collapse_monitor(alike) < 1e-5
    assert collapse_monitor(varied) > 0.5


def test_terms_add_up() -> None:
    embeddings = torch.randn(6, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    settings = LossSettings(segment=2.0, video=0.3, temporal=0.7)
    terms = total_loss(logits(), LABELS, ALL, torch.arange(6), embeddings, ALL, settings, all_losses=True)
    np.testing.assert_allclose(terms.total, 2 * terms.segment + 0.3 * terms.video + 0.7 * terms.temporal)
    np.testing.assert_allclose(terms.video, terms.segment, err_msg="one clip per video: both levels agree")
    alone = total_loss(logits(), LABELS, ALL, torch.arange(6), embeddings, ALL, settings, all_losses=False)
    np.testing.assert_allclose(alone.total, 2 * terms.segment)
