"""Augmentation, conservative: it never destroys the cue. Drawn once per clip, so that frames stay consistent in time.

Phase 1 of the strategy: colour jitter, random crop, horizontal flip, slight blur; time shift and background noise for sound.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from veridical.clips.clip import SAMPLE_RATE_HZ
from veridical.settings import Settings

# T frames, C colours, H height, W width, S samples


class VideoAugmentation(Settings):
    """Changes to the picture; the defaults are the strategy's for version 1. What would destroy the cue is refused."""

    brightness: float = Field(0.2, ge=0, le=0.5)
    """Largest relative change."""
    contrast: float = Field(0.2, ge=0, le=0.5)
    saturation: float = Field(0.2, ge=0, le=0.5)
    hue: float = Field(0.1, ge=0, le=0.2)
    """Largest shift, in turns of the colour circle."""
    flip_probability: float = Field(0.5, ge=0, le=1)
    blur_probability: float = Field(0.2, ge=0, le=1)
    """Gaussian, kernel 3."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Smallest and largest, in pixels; at most 2: more would hide what blending leaves."""
    rotation_deg: float = Field(0.0, ge=0, le=15)
    """Largest turn either way, in degrees. Phase 2: 10."""
    perspective: float = Field(0.0, ge=0, le=0.3)
    """Largest move of a corner, as a share of half the side. Phase 2: .2."""
    elastic: float = Field(0.0, ge=0, le=3)
    """Root mean square of a smooth displacement, in pixels of the stored crop. Phase 2: 1."""
    compression_probability: float = Field(0.0, ge=0, le=1)
    """Share of clips that are compressed once more (JPEG, colours at half resolution as in video). Phase 2: .5."""
    jpeg_quality: tuple[int, int] = (35, 90)
    """Lowest and highest quality of that compression; at least 30."""

    @model_validator(mode="after")
    def _cue_survives(self) -> VideoAugmentation:
        _check_range("blur_sigma", self.blur_sigma, 0.05, 2.0)
        _check_range("jpeg_quality", self.jpeg_quality, 30, 100)
        return self


class AudioAugmentation(Settings):
    """Changes to the sound; the defaults are the strategy's for version 1. What would destroy the cue is refused."""

    shift_s: float = Field(0.1, ge=0, le=0.2)
    """Largest shift either way; what is missing is silence."""
    noise_probability: float = Field(0.5, ge=0, le=1)
    noise_snr_db: tuple[float, float] = (15.0, 40.0)
    """Signal-to-noise ratio of added background noise; at least 5 dB."""
    noise_folder: Path | None = None
    """Sound files to take the noise from; None synthesises it. To be named anew when its files change."""
    pitch_semitones: float = Field(0.0, ge=0, le=3)
    """Largest change of pitch either way. Phase 2: 2."""
    stretch: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor of duration, around the middle of the clip. Phase 2: .95 to 1.05."""
    emphasis: float = Field(0.0, ge=0, le=0.97)
    """Largest coefficient a of the high-pass y[n] = x[n] - a x[n-1], loudness kept. Phase 2: .5."""

    @model_validator(mode="after")
    def _cue_survives(self) -> AudioAugmentation:
        _check_range("noise_snr_db", self.noise_snr_db, 5.0, 100.0)
        _check_range("stretch", self.stretch, 0.9, 1.1)
        return self


def _check_range(name: str, found: tuple[float, float], least: float, most: float) -> None:
    if not least <= found[0] <= found[1] <= most:
        raise ValueError(f"{name}: expected two numbers from {least:g} to {most:g} in order, got {list(found)}")


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
