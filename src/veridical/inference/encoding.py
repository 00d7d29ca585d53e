"""From prepared tensors to features: the one way in which training, scoring and prediction run the early parts of a detector."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from veridical.clips.inputs import ClipInputs
from veridical.errors import UsageError, unknown_name
from veridical.models import DetectorModel, Features, Modality

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""`auto` is `bf16-mixed` where the hardware computes it faster than single precision, otherwise `32-true`."""
DEVICE_KINDS = ("cpu", "cuda", "mps")
_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which matrix products and convolutions run in the precision; it belongs to the thread."""
    precision = settled(precision, device)
    return torch.autocast(device.type, _TYPES[precision]) if precision in _TYPES else nullcontext()


def settled(precision: Precision, device: torch.device) -> Precision:
    """Return the precision that `auto` means on a device; any other as it is.

    Graphics processors from CUDA's compute capability 8.0 have bfloat16 products, processors with AVX512-BF16 or AMX.

    Raises:
        UsageError: for half precision on a processor, which has none.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise UsageError("runtime.precision: 16-mixed needs a graphics processor; use bf16-mixed, 32-true or auto")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    capabilities: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # older versions of torch do not say
    has_bf16 = device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16-mixed" if has_bf16 else "32-true"


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


def pick_device(name: str) -> torch.device:
    """Return the device of a name: `auto` takes a GPU where there is one.

    Raises:
        UsageError: when the name is no device, or this machine does not have it.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    kind, colon, number = name.partition(":")
    if kind not in DEVICE_KINDS or (colon and not number.isdecimal()):
        raise unknown_name("device", name, ("auto", "cuda:1", *DEVICE_KINDS), "cuda" if name == "gpu" else None)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r}: cannot be used here ({reason}); `auto` takes what there is") from None
    return device
