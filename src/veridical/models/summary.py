"""Number of parameters of each part, next to the strategy's figure."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from veridical.models.detector import DetectorModel

EXPECTED_MILLIONS = {
    "video backbone": 12.0,
    "temporal encoder": 0.5,
    "audio encoder": 95.0,
    "fusion": 1.0,
    "heads": 0.1,
}
"""The strategy's figures for EfficientNet-B3 and wav2vec2-base; without its classifier the backbone really has 10.7."""


@dataclass(frozen=True)
class PartSummary:
    """One part of the model."""

    part: str
    parameters: int
    trainable: int
    expected_millions: float | None
    """None where the strategy names no figure, or the model is not the contract's."""


def summarise(model: DetectorModel) -> list[PartSummary]:
    """Count the parameters of each part; the last row is the total."""
    settings = model.settings
    is_contract = (
        settings.video.backbone == "efficientnet_b3" and settings.audio.kind == "wav2vec2" and not settings.audio.config
    )
    parts: dict[str, list[nn.Module]] = {
        "video backbone": [model.video],
        "temporal encoder": [model.temporal],
        "audio encoder": [model.audio],
        "audio projection": [model.audio_projection],
        "fusion": [model.fusion],
        "heads": [model.head, model.video_head, model.audio_head],
        "frame head": [model.frame_head] if model.frame_head is not None else [],
        "lip-sync branch": [model.lip_sync] if model.lip_sync is not None else [],
    }
    rows = [
        PartSummary(part, *_count(modules), EXPECTED_MILLIONS.get(part) if is_contract else None)
        for part, modules in parts.items()
        if modules
    ]
    return [*rows, PartSummary("total", *_count([model]), 108.0 if is_contract else None)]


def _count(modules: list[nn.Module]) -> tuple[int, int]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
