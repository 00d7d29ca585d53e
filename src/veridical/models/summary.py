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


def summarise(detector: DetectorModel) -> list[PartSummary]:
    """Count the parameters of each part; the last row is the total."""
    settings = detector.settings
    is_contract = (
        settings.video.backbone == "efficientnet_b3" and settings.audio.kind == "wav2vec2" and not settings.audio.config
    )
    parts: dict[str, list[nn.Module]] = {
        "video backbone": [detector.video],
        "temporal encoder": [detector.temporal],
        "audio encoder": [detector.audio],
        "audio projection": [detector.audio_projection],
        "fusion": [detector.fusion],
        "heads": [detector.head, detector.video_head, detector.audio_head],
        "frame head": [detector.frame_head] if detector.frame_head is not None else [],
        "lip-sync branch": [detector.lip_sync] if detector.lip_sync is not None else [],
    }
    rows = [
        PartSummary(part, *_count(modules), EXPECTED_MILLIONS.get(part) if is_contract else None)
        for part, modules in parts.items()
        if modules
    ]
    return [*rows, PartSummary("total", *_count([detector]), 108.0 if is_contract else None)]


def _count(modules: list[nn.Module]) -> tuple[int, int]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
