"""From prepared tensors to features, and from features to logits under each condition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veridical.devices import Precision, autocast
from veridical.inputs import ClipInputs
from veridical.models import DetectorModel, Features, Modality

CONDITIONS = ("joint", "video_head", "audio_head", "video_masked", "audio_masked")
"""Video and audio; the head of one modality; and with one modality masked, so that the other is left."""
_ALONE: dict[tuple[str, ...], Modality] = {("video_head",): "video", ("audio_head",): "audio"}
Logits = dict[str, npt.NDArray[np.float64]]


def encode(
    model: DetectorModel, inputs: ClipInputs, *, only: Modality | None = None, precision: Precision = "32-true"
) -> Features:
    """Return the features of the early parts, in single precision.

    Args:
        model: On any device; the tensors are brought there.
        inputs: B clips.
        only: Leave the other modality out.
        precision: Of the products inside.
    """
    device = model.video.mean.device
    frames, samples, has_audio = (tensor.to(device) for tensor in (inputs.frames, inputs.samples, inputs.has_audio))
    mouths, flow = (None if tensor is None else tensor.to(device) for tensor in (inputs.mouths, inputs.flow))
    with autocast(device, precision):
        features = model.features(frames, samples, has_audio, only, mouths=mouths, flow=flow)
    parts = {name: part for name, part in features._asdict().items() if part is not None and part.is_floating_point()}
    return features._replace(**{name: part.float() for name, part in parts.items()})


@torch.inference_mode()
def condition_logits(model: DetectorModel, features: Features, conditions: tuple[str, ...] = CONDITIONS) -> Logits:
    """Return the logits of clips under several conditions.

    Args:
        model: In evaluation mode.
        features: Of B clips.
        conditions: Some of `CONDITIONS`.

    Returns:
        Raw logits (B,) per condition; NaN where no modality is left: `audio_head` and `video_masked` of clips without
        usable audio.
    """
    everything = torch.ones_like(features.has_audio)
    silent_B = ~features.has_audio
    plain = model(features, only=_ALONE.get(conditions))
    logits: dict[str, Tensor] = {
        "joint": plain.logit,
        "video_head": plain.video_logit,
        "audio_head": plain.audio_logit.masked_fill(silent_B, float("nan")),
    }
    if "video_masked" in conditions:
        logits["video_masked"] = model(features.masked(video=everything)).logit.masked_fill(silent_B, float("nan"))
    if "audio_masked" in conditions:
        logits["audio_masked"] = model(features.masked(audio=everything)).logit
    return {name: logits[name].double().cpu().numpy() for name in conditions}
