"""Augmentation, conservative: it never destroys the cue. Drawn once per clip, so that frames stay consistent in time.

Phase 1 of the strategy: colour jitter, random crop, horizontal flip, slight blur; time shift and background noise for sound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from veridical.clips.clip import SAMPLE_RATE_HZ
from veridical.settings import Settings

# T frames, C colours, H height, W width, S samples


class VideoAugmentation(Settings):
    """Changes to the picture; strengths as in the strategy."""

    brightness: float = 0.2
    """Largest relative change."""
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    """Largest shift, in turns of the colour circle."""
    flip_probability: float = 0.5
    blur_probability: float = 0.2
    """Gaussian, kernel 3."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)


class AudioAugmentation(Settings):
    """Changes to the sound."""

    shift_s: float = 0.1
    """Largest shift either way; what is missing is silence."""
    noise_probability: float = 0.5
    noise_snr_db: tuple[float, float] = (15.0, 40.0)
    """Signal-to-noise ratio of added background noise."""


class Augmentation(Settings):
    """How training clips are varied."""

    video: VideoAugmentation = VideoAugmentation()
    audio: AudioAugmentation = AudioAugmentation()
    views: int = Field(4, ge=1)
    """Number K of fixed variants of each clip; epoch e uses variant e mod K, so that frozen features can be reused."""


def centre_crop(frames: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Return the middle (T, size, size, 3) of frames; what validation and inference see."""
    margin = (frames.shape[1] - size) // 2
    return frames[:, margin : margin + size, margin : margin + size]


def augment_video(
    frames: npt.NDArray[np.uint8], size: int, settings: VideoAugmentation, stream: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return a random variant.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        size: Side of the random crop, at most H.
        settings: Strengths.
        stream: Where the randomness comes from; the same stream gives the same variant.

    Returns:
        (T, size, size, 3) uint8.
    """
    room = frames.shape[1] - size
    top, left = (int(stream.integers(0, room + 1)) for _ in range(2))
    crop_TCHW = torch.from_numpy(np.ascontiguousarray(frames[:, top : top + size, left : left + size])).permute(
        0, 3, 1, 2
    )
    crop_TCHW = _jitter(crop_TCHW, settings, stream)
    if stream.random() < settings.flip_probability:
        crop_TCHW = TF.horizontal_flip(crop_TCHW)
    if stream.random() < settings.blur_probability:
        sigma = float(stream.uniform(*settings.blur_sigma))
        crop_TCHW = TF.gaussian_blur(crop_TCHW, [3, 3], [sigma, sigma])
    result: npt.NDArray[np.uint8] = crop_TCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return result


def _jitter(frames_TCHW: Tensor, settings: VideoAugmentation, stream: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, alike for all frames."""
    for adjust, strength in (
        (TF.adjust_brightness, settings.brightness),
        (TF.adjust_contrast, settings.contrast),
        (TF.adjust_saturation, settings.saturation),
    ):
        factor = float(stream.uniform(1 - strength, 1 + strength))
        if strength:
            frames_TCHW = adjust(frames_TCHW, factor)
    shift = float(stream.uniform(-settings.hue, settings.hue))
    return TF.adjust_hue(frames_TCHW, shift) if settings.hue else frames_TCHW


def augment_audio(
    samples: npt.NDArray[np.float32], settings: AudioAugmentation, stream: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return a random variant of (S,) samples in [-1, 1]: shifted in time, with coloured noise.

    The noise has a 1/f^a spectrum with a random a in [0, 2]: from white hiss to the rumble of a room.
    """
    most = round(settings.shift_s * SAMPLE_RATE_HZ)
    shift = int(stream.integers(-most, most + 1))
    shifted = np.zeros_like(samples)
    if shift >= 0:
        shifted[shift:] = samples[: len(samples) - shift]
    else:
        shifted[:shift] = samples[-shift:]
    if stream.random() >= settings.noise_probability:
        return shifted
    noise = coloured_noise(len(samples), float(stream.uniform(0, 2)), stream)
    snr_db = float(stream.uniform(*settings.noise_snr_db))
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-snr_db / 20)
    return np.clip(shifted + level * noise, -1, 1).astype(np.float32)


def coloured_noise(length: int, exponent: float, stream: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (length,) noise of unit power whose power falls as 1/f^exponent."""
    spectrum = np.fft.rfft(stream.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum * frequency ** (-exponent / 2), length)
    scaled: npt.NDArray[np.float32] = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return scaled
