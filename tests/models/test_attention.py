"""Attention while encoders learn: as PyTorch's own where nothing is dropped, and dropping as much as it says."""

import pytest
import torch
from torch import nn
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from veridical.models.attention import attend, with_cheap_attention

SCALING = 0.35


def heads(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, 49, 8, generator=generator).to(dtype).requires_grad_(True) for _ in range(3)]


def grads(function, module: nn.Module, given: list[torch.Tensor], dropout: float = 0.0) -> list[torch.Tensor]:
    causal = {"is_causal": False} if function is sdpa_attention_forward else {}
    out, _ = function(module, *given, None, scaling=SCALING, dropout=dropout, **causal)
    found = torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum(), given)
    return [out, *found]


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_as_the_library_while_it_learns(dtype: torch.dtype, limit: float) -> None:
    ours = grads(attend, nn.Module().train(), heads(dtype), dropout=1e-9)  # so little that nothing is dropped
    theirs = grads(sdpa_attention_forward, nn.Module().train(), heads(dtype))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert float((mine - other).detach().abs().max()) <= limit * float(other.detach().abs().max())
    assert ours[0].shape == (3, 49, 4, 8)


def test_the_library_itself_where_nothing_is_learned(monkeypatch) -> None:
    monkeypatch.setattr("veridical.models.attention.drop", None)
    kept = grads(attend, nn.Module().eval(), heads(torch.bfloat16))
    plain = grads(sdpa_attention_forward, nn.Module().eval(), heads(torch.bfloat16))
    assert all(torch.equal(mine, other) for mine, other in zip(kept, plain, strict=True))


def test_drops_shares_of_attention_and_keeps_the_mean() -> None:
    query, key, _ = heads()
    ones = torch.ones_like(key)
    torch.manual_seed(0)
    out, _ = attend(nn.Module().train(), query, key, ones, None, scaling=SCALING, dropout=0.1)
    assert float(out.detach().std()) > 0.01, "what is dropped shows"
    assert float(out.detach().mean()) == pytest.approx(1.0, abs=0.01)
    kept, _ = attend(nn.Module().eval(), query, key, ones, None, scaling=SCALING)
    assert torch.allclose(kept, torch.ones_like(kept))


def test_a_mask_is_heeded() -> None:
    query, key, value = heads()
    mask = torch.zeros(3, 1, 49, 49)
    mask[..., 25:] = float("-inf")
    out, _ = attend(nn.Module().train(), query, key, value, mask, scaling=SCALING, dropout=1e-9)
    alone, _ = attend(nn.Module().eval(), query, key[:, :, :25], value[:, :, :25], None, scaling=SCALING)
    assert torch.allclose(out, alone, atol=1e-5)


@pytest.mark.parametrize(("make", "config"), [(Wav2Vec2Model, Wav2Vec2Config), (HubertModel, HubertConfig)])
def test_the_library_calls_it(make, config, monkeypatch) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = make(config(**small, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, attention_dropout=0.5))
    with_cheap_attention(model)
    calls = []
    monkeypatch.setattr("veridical.models.attention.drop", lambda shares, p: calls.append(p) or shares)
    model.encoder.layers[0].train()(torch.randn(2, 49, 16), attention_mask=None)
    assert calls == [0.5]
