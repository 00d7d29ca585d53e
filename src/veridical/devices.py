"""Torch on this machine: which device, which precision, batches computed ahead on single cores, tensors written to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from veridical.errors import ArtefactError, UsageError, unknown_name
from veridical.machine import keep_large_blocks, map_in_threads

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""`auto` is `bf16-mixed` where the hardware computes it faster than single precision, otherwise `32-true`."""
DEVICE_KINDS = ("cpu", "cuda", "mps")
_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device of a name: `auto` takes a GPU where there is one.

    Raises:
        UsageError: when the name is no device, or this machine does not have it.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if accelerator is None else accelerator
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


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Return the precision that `auto` means on a device; any other as it is.

    GPUs from CUDA's compute capability 8.0 multiply in bfloat16, and so do CPUs with AVX512-BF16 or AMX.

    Raises:
        UsageError: for half precision on a CPU, which has none.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise UsageError("runtime.precision: 16-mixed needs a graphics processor; use bf16-mixed, 32-true or auto")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        with torch.cuda.device(device):  # asked of the current device, which would be the first one
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # Older versions of torch do not report what the CPU can do.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    has_bf16 = device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16-mixed" if has_bf16 else "32-true"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which matrix products and convolutions run in the precision; it holds for one thread."""
    precision = resolve_precision(precision, device)
    return torch.autocast(device.type, _TYPES[precision]) if precision in _TYPES else nullcontext()


def map_ahead(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], threads: int, read_ahead: int = 2
) -> Iterator[ResultT]:
    """Yield `function(item)` in the order of the items, computed in threads that use one core each.

    On CPUs this beats one batch on all cores: the small operations of a mobile backbone meet at a barrier each, and one
    thread that is not scheduled holds up all others.

    Args:
        function: Releases Python's lock for most of its time, as tensor work does.
        items: Any number; they are taken as there is room for them.
        threads: At least 1.
        read_ahead: Results that may wait.
    """
    keep_large_blocks()
    return map_in_threads(function, items, threads, waiting=read_ahead, start_thread=lambda: torch.set_num_threads(1))


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors from any device with the permissions of a new file; safetensors makes files for their owner alone.

    Raises:
        ArtefactError: when the disk is full or cannot be written.
    """
    try:
        path.touch()
        mode = path.stat().st_mode
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        path.chmod(mode)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(
            f"{path.parent}: cannot be written ({reason}); make room and run the command again (train: --resume)"
        ) from None
