"""From prepared tensors to features: the one way in which training, scoring and prediction run the early parts of a detector."""

from __future__ import annotations

from veridical.devices import Precision, autocast
from veridical.inputs import ClipInputs
from veridical.models import DetectorModel, Features, Modality


def encode(
    detector: DetectorModel, inputs: ClipInputs, *, only: Modality | None = None, precision: Precision = "32-true"
) -> Features:
    """Run the early parts on prepared tensors; the features come back in single precision.

    Args:
        detector: On any device; the tensors are brought there.
        inputs: B clips.
        only: Leave the other modality out.
        precision: Of the products inside.
    """
    device = detector.video.mean.device
    frames, samples, has_audio = (tensor.to(device) for tensor in (inputs.frames, inputs.samples, inputs.has_audio))
    mouths, flow = (None if tensor is None else tensor.to(device) for tensor in (inputs.mouths, inputs.flow))
    with autocast(device, precision):
        features = detector.features(frames, samples, has_audio, only, mouths=mouths, flow=flow)
    parts = {name: part for name, part in features._asdict().items() if part is not None and part.is_floating_point()}
    return features._replace(**{name: part.float() for name, part in parts.items()})
