"""Keeps matrices as int8 with one float16 scale a row: the encoder takes 4 MB instead of 17."""

from __future__ import annotations

import torch
from torch import Tensor


def quantise(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each tensor of two or more axes by `name` (int8) and `name.scale` (float16 by row); others become float16."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.float()
        if value.ndim < 2:
            out[name] = value.half()
            continue
        scale = (value.flatten(1).abs().amax(1) / 127).clamp(min=1e-8).half()
        rows = scale.float().reshape(-1, *[1] * (value.ndim - 1))
        out[name] = (value / rows).round().clamp(-127, 127).to(torch.int8)
        out[f"{name}.scale"] = scale
    return out


def restore(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `quantise` up to rounding."""
    out = {}
    for name, value in state.items():
        if name.endswith(".scale"):
            continue
        scale = state.get(f"{name}.scale")
        out[name] = (
            value.float() if scale is None else value.float() * scale.float().reshape(-1, *[1] * (value.ndim - 1))
        )
    return out
