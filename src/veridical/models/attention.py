"""Faster attention for the transformers library's speech encoders while they are trained on a CPU.

PyTorch's fused attention has no dropout there and falls back to a slow path, and its gradients are slow in bfloat16. For the
fifty steps of a one-second clip, plain matrix products take a third of the time (benchmarks/attention.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from veridical.models.dropout import drop

NAME = "veridical"
"""Name of `attend` in the library's `AttentionInterface`."""

# B clips, H heads, A audio steps, D features of a head


def attend(
    module: nn.Module,
    query_BHAD: Tensor,
    key_BHAD: Tensor,
    value_BHAD: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return the attended values (B, A, H, D) in the library's layout; PyTorch's own attention where that is faster."""
    pays = module.training and query_BHAD.device.type == "cpu" and (dropout > 0 or query_BHAD.dtype == torch.bfloat16)
    if not pays or attention_mask is not None:
        inputs = (module, query_BHAD, key_BHAD, value_BHAD, attention_mask)
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            *inputs, scaling=scaling, dropout=dropout, is_causal=False, **others
        )
        return attended
    shares_BHAA = torch.matmul(query_BHAD * scaling, key_BHAD.transpose(2, 3)).softmax(-1)
    return torch.matmul(drop(shares_BHAA, dropout), value_BHAD).transpose(1, 2), None


def with_cheap_attention(model: PreTrainedModel) -> None:
    """Make a model's blocks use `attend`. Only for encoders whose own forward, which needs a padding mask, is never called."""
    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
