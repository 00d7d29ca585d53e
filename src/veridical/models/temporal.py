"""Temporal encoders: frame features in, frame embeddings and one vector per clip out.

A 128-d bottleneck between 1536-d input and 2048-d output keeps the convolutional one near half a million parameters.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from veridical.errors import unknown_name
from veridical.settings import Settings

# B clips, T frames, F backbone features, M motion statistics, D bottleneck, P pooled features


MAX_FRAMES = 64
"""Number of positions of the transformer."""


class TemporalEncoderSettings(Settings):
    """The temporal encoder."""

    kind: Literal["conv", "transformer"] = "conv"
    """`conv`: residual 1-D convolutions; `transformer`: attention blocks (Vaswani et al. 2017, arXiv:1706.03762, pre-norm)."""
    width: int = 128
    """Size D of a frame embedding."""
    output: int = 2048
    """Size P of a clip's vector."""
    dropout: float = 0.1
    layers: int = Field(2, ge=1)
    """Convolutions, or attention blocks."""
    heads: int = Field(4, ge=1)
    """With `transformer`: attention heads."""


class _ConvBlock(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        y = self.conv(self.norm(x_BTD).transpose(1, 2)).transpose(1, 2)
        result: Tensor = x_BTD + self.dropout(nn.functional.gelu(y))
        return result


class _AttentionBlocks(nn.Module):
    def __init__(self, settings: TemporalEncoderSettings) -> None:
        super().__init__()
        width = settings.width
        self.position = nn.Parameter(torch.randn(1, MAX_FRAMES, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, settings.heads, 2 * width, settings.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        y: Tensor = self.blocks(x_BTD + self.position[:, : x_BTD.shape[1]])
        return y


def _conv_body(settings: TemporalEncoderSettings) -> nn.Module:
    return nn.Sequential(*(_ConvBlock(settings.width, settings.dropout) for _ in range(settings.layers)))


def _transformer_body(settings: TemporalEncoderSettings) -> nn.Module:
    return _AttentionBlocks(settings)


TEMPORAL_BODIES = {"conv": _conv_body, "transformer": _transformer_body}


class TemporalEncoder(nn.Module):
    """Frame features (B, T, F) to frame embeddings (B, T, D) and a clip vector (B, P)."""

    def __init__(self, num_features: int, settings: TemporalEncoderSettings, num_flow: int = 0) -> None:
        super().__init__()
        if settings.kind not in TEMPORAL_BODIES:
            raise unknown_name("temporal encoder", settings.kind, TEMPORAL_BODIES)
        self.bottleneck = nn.Sequential(nn.LayerNorm(num_features), nn.Linear(num_features, settings.width))
        self.flow = nn.Linear(num_flow, settings.width) if num_flow else None
        self.body = TEMPORAL_BODIES[settings.kind](settings)
        self.norm = nn.LayerNorm(settings.width)
        self.expand = nn.Linear(settings.width, settings.output)

    def forward(self, features_BTF: Tensor, flow_BTM: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return frame embeddings (B, T, D), before pooling, and the clip vector (B, P).

        Args:
            features_BTF: Backbone features.
            flow_BTM: Motion statistics. They are added after a linear layer of their own, which equals one linear layer over the
                concatenation; a logarithm, not the layer norm, limits their range.
        """
        x_BTD = self.bottleneck(features_BTF)
        if self.flow is not None:
            assert flow_BTM is not None
            x_BTD = x_BTD + self.flow(flow_BTM.sign() * flow_BTM.abs().log1p())
        frames_BTD = self.norm(self.body(x_BTD))
        return frames_BTD, nn.functional.gelu(self.expand(frames_BTD.mean(1)))
