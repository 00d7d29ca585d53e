"""Inputs: from stored clips to the tensors that a model needs, with or without augmentation."""

from veridical.inputs.augment import AudioAugmentation, Augmentation, VideoAugmentation, noise_facts
from veridical.inputs.settings import InputSettings, check_fit
from veridical.inputs.tensors import ClipInputs, clip_inputs, view_inputs

__all__ = [
    "AudioAugmentation",
    "Augmentation",
    "ClipInputs",
    "InputSettings",
    "VideoAugmentation",
    "check_fit",
    "clip_inputs",
    "noise_facts",
    "view_inputs",
]
