"""What a bundle says of prepared clips: the one place where an ensemble becomes one verdict."""

from __future__ import annotations

import numpy as np
import torch

from veridical.inference.bundle import Bundle
from veridical.inference.conditions import CONDITIONS, Logits, condition_logits
from veridical.inference.encoding import encode
from veridical.inputs import ClipInputs


@torch.inference_mode()
def judge(bundle: Bundle, inputs: ClipInputs, conditions: tuple[str, ...] = CONDITIONS) -> Logits:
    """Return raw logits (B,) per condition; of an ensemble the mean over its members.

    Lakshminarayanan et al. 2017, arXiv:1612.01474, average probabilities; the mean logit is what temperature and thresholds of
    the ensemble are fitted on.

    Args:
        bundle: The detector or detectors.
        inputs: B clips.
        conditions: Some of `CONDITIONS`.
    """
    found = [condition_logits(member, encode(member, inputs), conditions) for member in bundle.members]
    return {name: np.mean([logits[name] for logits in found], axis=0) for name in conditions}
