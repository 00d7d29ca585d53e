"""Under which conditions a clip is judged: all of it, one head, or one modality hidden."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veridical.models import DetectorModel, Features, Modality

CONDITIONS = ("joint", "video_head", "audio_head", "video_masked", "audio_masked")
_ALONE: dict[tuple[str, ...], Modality] = {("video_head",): "video", ("audio_head",): "audio"}
Logits = dict[str, npt.NDArray[np.float64]]


@torch.inference_mode()
def condition_logits(detector: DetectorModel, features: Features, conditions: tuple[str, ...] = CONDITIONS) -> Logits:
    """Judge clips under several conditions.

    Args:
        detector: In evaluation mode.
        features: Of B clips.
        conditions: Some of `CONDITIONS`.

    Returns:
        Raw logits (B,) per condition; NaN where nothing is left to judge: `audio_head` and `video_masked` of clips without
        usable sound.
    """
    everything = torch.ones_like(features.has_audio)
    silent_B = ~features.has_audio
    plain = detector(features, only=_ALONE.get(conditions))
    found: dict[str, Tensor] = {
        "joint": plain.logit,
        "video_head": plain.video_logit,
        "audio_head": plain.audio_logit.masked_fill(silent_B, float("nan")),
    }
    if "video_masked" in conditions:
        found["video_masked"] = detector(features.masked(video=everything)).logit.masked_fill(silent_B, float("nan"))
    if "audio_masked" in conditions:
        found["audio_masked"] = detector(features.masked(audio=everything)).logit
    return {name: found[name].double().cpu().numpy() for name in conditions}
