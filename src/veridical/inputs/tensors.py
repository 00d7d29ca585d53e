"""From clips to what a detector takes: the one place where training, validation, scoring and prediction prepare tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from veridical.clips import Clip, Content
from veridical.errors import UsageError
from veridical.inputs.augment import Augmentation, augment_audio, augment_video, centre_crop, mirrored
from veridical.inputs.settings import InputSettings
from veridical.media import FULL_SCALE, loudness_dbfs
from veridical.randomness import stream

# B clips, T frames, C colours, H height, W width, S samples, M mouth crops, F flow statistics


@dataclass(frozen=True)
class ClipInputs:
    """A batch."""

    frames: Tensor
    """(B, T, C, H, W) uint8 RGB."""
    samples: Tensor
    """(B, S) float32 in [-1, 1]; zeros where there is no usable audio."""
    has_audio: Tensor
    """(B,) bool."""
    mouths: Tensor | None = None
    """(B, M, 96, 96) uint8 grey; None when the settings do not ask for it."""
    flow: Tensor | None = None
    """(B, T, F) float32, columns as in `clips.FLOW_STATISTICS`; None when the settings do not ask for it."""


def usable_sound(clip: Clip, settings: InputSettings) -> npt.NDArray[np.float32] | None:
    """Return the samples (S,) as floats, or None where audio is missing, near-silent, or has too little speech."""
    if clip.samples is None or (clip.speech_share or 0.0) < settings.min_speech_share:
        return None
    samples = clip.samples.astype(np.float32) / FULL_SCALE
    return samples if loudness_dbfs(samples) >= settings.min_loudness_dbfs else None


def clip_inputs(clips: Sequence[Clip], settings: InputSettings) -> ClipInputs:
    """Prepare clips for scoring: centre crop, no augmentation."""
    return _stack(
        clips,
        [centre_crop(clip.frames, settings.frame_size) for clip in clips],
        [usable_sound(clip, settings) for clip in clips],
        settings,
    )


def view_inputs(
    clips: Sequence[Clip], settings: InputSettings, augmentation: Augmentation, seed: int, view: int
) -> ClipInputs:
    """Prepare the `view`-th fixed augmentation of each clip for training; the same whatever the batch or the worker.

    Mouth crops and flow are mirrored where the frames are, and are otherwise used as stored.
    """
    seen, frames, sounds = [], [], []
    for clip in clips:
        randomness = stream(seed, "view", view, clip.video_id, f"{clip.start_s:.3f}")
        if randomness.random() < augmentation.video.flip_probability:
            clip = mirrored(clip)
        seen.append(clip)
        frames.append(augment_video(clip.frames, settings.frame_size, augmentation.video, randomness))
        sound = usable_sound(clip, settings)
        sounds.append(None if sound is None else augment_audio(sound, augmentation.audio, randomness))
    return _stack(seen, frames, sounds, settings)


def _stack(
    clips: Sequence[Clip],
    frames: Sequence[npt.NDArray[np.uint8]],
    sounds: Sequence[npt.NDArray[np.float32] | None],
    settings: InputSettings,
) -> ClipInputs:
    silence = np.zeros(settings.num_samples, np.float32)
    return ClipInputs(
        frames=torch.from_numpy(np.stack(frames)).permute(0, 1, 4, 2, 3).contiguous(),
        samples=torch.from_numpy(np.stack([silence if sound is None else sound for sound in sounds])),
        has_audio=torch.tensor([sound is not None for sound in sounds]),
        mouths=_stacked("mouths", clips) if settings.mouths else None,
        flow=_stacked("flow", clips) if settings.flow else None,
    )


def _stacked(name: Content, clips: Sequence[Clip]) -> Tensor:
    """Return an optional content of all clips.

    Raises:
        UsageError: when a clip does not have it.
    """
    values = [getattr(clip, name) for clip in clips]
    if any(value is None for value in values):
        raise UsageError(f"the model needs {name}, these clips have none; prepare them with `--set {name}=true`")
    return torch.from_numpy(np.stack(values))
