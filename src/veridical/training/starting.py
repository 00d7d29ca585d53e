"""Beginning with the weights of another run: a later phase continues an earlier one, whatever parts were added since."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from veridical.errors import ArtefactError
from veridical.inference import WEIGHTS_FILE
from veridical.models import DetectorModel


def begin_with(detector: DetectorModel, source: Path) -> tuple[int, int]:
    """Load the weights of a run, or of its model folder, wherever name and shape agree.

    Returns:
        How many tensors were taken over, and how many the detector has.

    Raises:
        ArtefactError: when there is no finished model, it is damaged, or nothing of it fits.
    """
    path = next((path for path in (source / WEIGHTS_FILE, source / "model" / WEIGHTS_FILE) if path.exists()), None)
    if path is None:
        raise ArtefactError(f"start_from: no trained model in {source} (no {WEIGHTS_FILE}); name a finished run")
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise ArtefactError(f"start_from: {path} is damaged ({error})") from None
    own = detector.state_dict()
    fitting = {name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise ArtefactError(f"start_from: nothing in {path} fits this model; is it of the same recipe?")
    with torch.no_grad():
        detector.load_state_dict({**own, **fitting})
    return len(fitting), len(own)
