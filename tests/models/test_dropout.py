import pytest
import torch
from torch import nn

from veridical.models.dropout import Dropout, with_cheap_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.93])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drops_the_share_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(400, 501, dtype=dtype)).float()
    dropped = float((out == 0).float().mean())
    assert dropped == pytest.approx(p, abs=0.004), "five standard deviations of 200 400 draws"
    assert out[out > 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=0.01 if dtype == torch.bfloat16 else 2e-4)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(1 << 18)) > 0).float() - 0.5
    for lag in range(1, 9):
        assert abs(float((kept[lag:] * kept[:-lag]).mean())) < 0.0025, lag


def test_follows_the_seed_and_scales_gradients_alike() -> None:
    x = torch.ones(7, 9, requires_grad=True)
    dropout = Dropout(0.3)
    torch.manual_seed(5)
    first = dropout(x)
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())
    assert not torch.equal(dropout(x), first), "drawn anew at every call"
    torch.manual_seed(5)
    assert torch.equal(dropout(x), first)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_limits_and_evaluation(p: float) -> None:
    x = torch.randn(5, 5)
    assert torch.equal(Dropout(p)(x), x * (1 - p))
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)


def test_replaces_all_and_leaves_names_alone() -> None:
    block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2), nn.ModuleDict({"inner": nn.Dropout(0.4)}))
    names = list(block.state_dict())
    with_cheap_dropout(block)
    found = [module for module in block.modules() if isinstance(module, nn.Dropout)]
    assert [type(module) for module in found] == [Dropout, Dropout]
    assert [module.p for module in found] == [0.2, 0.4]
    assert list(block.state_dict()) == names
