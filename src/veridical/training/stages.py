"""What a stage opens, which logit it trains on which label, and how its learning rate falls."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from veridical.models import Detector, DetectorOutput, Features
from veridical.models.freezing import set_trainable
from veridical.training.recipe import Objective, Part, StageSettings


def open_parts(detector: Detector, stage: StageSettings) -> list[nn.Parameter]:
    """Freeze everything, open the stage's parts, and return what is trainable."""
    set_trainable(detector, False)
    for part in stage.train:
        for module in part_modules(detector, part):
            set_trainable(module, True)
    return [parameter for parameter in detector.parameters() if parameter.requires_grad]


def part_modules(detector: Detector, part: Part) -> list[nn.Module]:
    """Return the modules of a part; `audio` is its late blocks."""
    if part == "audio":
        return list(detector.audio.blocks[detector.audio.cut :])
    named: dict[str, nn.Module] = {
        "video_backbone": detector.video.backbone,
        "temporal": detector.temporal,
        "video_head": detector.video_head,
        "audio_projection": detector.audio_projection,
        "audio_head": detector.audio_head,
        "fusion": detector.fusion,
        "head": detector.head,
    }
    return [named[part]]


def objective_logit(output: DetectorOutput, objective: Objective) -> Tensor:
    """Return the logit (B,) that a stage trains."""
    return {"video": output.video_logit, "audio": output.audio_logit, "joint": output.logit}[objective]


def drop_modalities(features: Features, probability: float) -> Features:
    """Hide picture or sound, either alike, of clips that have both; never both."""
    if probability == 0:
        return features
    drawn_B = torch.rand(len(features.has_audio), device=features.has_audio.device)
    both_B = features.has_video & features.has_audio
    return features.masked(video=both_B & (drawn_B < probability / 2), audio=both_B & (drawn_B > 1 - probability / 2))


def cosine_lr(stage: StageSettings, step: int, num_steps: int) -> float:
    """Return the learning rate of a step (0 to num_steps - 1): a half cosine from `lr` to `final_lr`.

    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """
    share = step / max(1, num_steps - 1)
    return stage.final_lr + (stage.lr - stage.final_lr) * 0.5 * (1 + math.cos(math.pi * share))
