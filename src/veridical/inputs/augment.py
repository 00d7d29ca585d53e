"""Augmentation, conservative: it never destroys the cue. Drawn once per clip, so that frames stay consistent in time.

Version 1 of the strategy: colour jitter, random crop, horizontal flip, slight blur; time shift and background noise for audio.
Phase 2: rotation, perspective, elastic deformation, compression; pitch, duration, emphasis of high frequencies. A step of
phase 2 whose strength is 0 draws nothing, so that the variants of version 1 do not depend on it. The bounds of the settings
refuse what would destroy the cue: strong blur or rotation, large cut-outs, SpecAugment, pitch beyond 3 semitones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import scipy.signal
import simplejpeg
import torch
from pydantic import Field, model_validator
from torchvision.transforms.v2 import functional as TF

from veridical.artefacts import file_stamp
from veridical.clips import FLOW_STATISTICS, SAMPLE_RATE_HZ, Clip
from veridical.errors import UsageError
from veridical.media import UnusableVideoError, audio_samples
from veridical.settings import Settings

# T frames, C colours, H height, W width, S samples

NOISE_FILES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus"})
NOISE_S = 30.0
"""Length of the part at the beginning of each audio file that noise is taken from: a folder may hold hours, and each process
keeps some of its files."""
NOISE_FILES_KEPT = 128
_MIRRORED_FLOW = np.array([-1 if name.endswith("_mean_x") else 1 for name in FLOW_STATISTICS], np.float32)


class VideoAugmentation(Settings):
    """Changes to the frames; the defaults are the strategy's for version 1. What would destroy the cue is refused."""

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
    """Changes to the audio; the defaults are the strategy's for version 1. What would destroy the cue is refused."""

    shift_s: float = Field(0.1, ge=0, le=0.2)
    """Largest shift either way; what is missing is silence."""
    noise_probability: float = Field(0.5, ge=0, le=1)
    noise_snr_db: tuple[float, float] = (15.0, 40.0)
    """Signal-to-noise ratio of added background noise; at least 5 dB."""
    noise_folder: Path | None = None
    """Sound files to take the noise from, the first 30 s of each; None synthesises it."""
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


def _check_range(name: str, given: tuple[float, float], least: float, most: float) -> None:
    if not least <= given[0] <= given[1] <= most:
        raise ValueError(f"{name}: expected two numbers from {least:g} to {most:g} in order, got {list(given)}")


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
    """Return a random variant; mirroring is not among the changes, as it concerns the whole clip (`mirrored`).

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        size: Side of the random crop, at most H.
        settings: Strengths.
        stream: Where the randomness comes from; the same stream gives the same variant.

    Returns:
        (T, size, size, 3) uint8.
    """
    frames = bent(frames, settings, stream)
    room = frames.shape[1] - size
    top, left = (int(stream.integers(0, room + 1)) for _ in range(2))
    crop = np.ascontiguousarray(frames[:, top : top + size, left : left + size])
    crop_TCHW = torch.from_numpy(_jittered(crop, settings, stream)).permute(0, 3, 1, 2)
    if stream.random() < settings.blur_probability:
        sigma = float(stream.uniform(*settings.blur_sigma))
        crop_TCHW = TF.gaussian_blur(crop_TCHW, [3, 3], [sigma, sigma])
    result: npt.NDArray[np.uint8] = crop_TCHW.permute(0, 2, 3, 1).contiguous().numpy()
    if settings.compression_probability and stream.random() < settings.compression_probability:
        low, high = settings.jpeg_quality
        result = compressed(result, int(stream.integers(low, high + 1)))
    return result


def bent(
    frames: npt.NDArray[np.uint8], settings: VideoAugmentation, stream: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return frames (T, H, H, 3) turned, seen from another side and deformed, in one resampling; edges are mirrored."""
    side = frames.shape[1]
    middle = (side - 1) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    source = corners.copy()
    if settings.perspective:
        source *= 1 - stream.uniform(0, settings.perspective, (4, 2)).astype(np.float32)
    if settings.rotation_deg:
        angle = np.deg2rad(stream.uniform(-settings.rotation_deg, settings.rotation_deg))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
        source = source @ turn.T
    if np.array_equal(source, corners) and not settings.elastic:
        return frames
    matrix = cv2.getPerspectiveTransform(corners, source)
    x, y = np.meshgrid(*[np.linspace(-1, 1, side, dtype=np.float32)] * 2)
    where = (
        cv2.perspectiveTransform(np.stack([x, y], -1).reshape(1, -1, 2), matrix).reshape(side, side, 2) * middle
        + middle
    )
    if settings.elastic:
        where = where + float(stream.uniform(0, settings.elastic)) * _smooth_field(side, stream)
    where = where.astype(np.float32)
    return np.stack(
        [cv2.remap(frame, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101) for frame in frames]
    )


def _smooth_field(side: int, stream: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (side, side, 2) displacements of unit root mean square that vary over a tenth of the side.

    Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document analysis".
    """
    field = cv2.GaussianBlur(stream.standard_normal((side, side, 2)).astype(np.float32), (0, 0), side / 10)
    return np.asarray(field / np.sqrt(np.mean(field**2)), np.float32)


def compressed(frames: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """Return frames after JPEG compression with colours at half resolution: the blocks and colours of a re-encoded video.

    What a codec does between frames it does not do; for that, prepare the corpus at several levels (`data.more_stores`).
    """
    return np.stack(
        [
            simplejpeg.decode_jpeg(
                simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality, "RGB", colorsubsampling="420")
            )
            for frame in frames
        ]
    )


def mirrored(clip: Clip) -> Clip:
    """Return a clip as a mirror shows it: frames, mouths and flow; boxes and landmarks stay those of the source frame."""
    return replace(
        clip,
        frames=np.ascontiguousarray(clip.frames[:, :, ::-1]),
        mouths=None if clip.mouths is None else np.ascontiguousarray(clip.mouths[:, :, ::-1]),
        flow=None if clip.flow is None else clip.flow * _MIRRORED_FLOW,
    )


def _jittered(
    frames: npt.NDArray[np.uint8], settings: VideoAugmentation, stream: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return (T, H, W, 3) frames of other brightness, contrast, saturation and hue, in this order, alike for all frames."""
    frames_TCHW = torch.from_numpy(frames).permute(0, 3, 1, 2)
    for adjust, strength in (
        (TF.adjust_brightness, settings.brightness),
        (TF.adjust_contrast, settings.contrast),
        (TF.adjust_saturation, settings.saturation),
    ):
        factor = float(stream.uniform(1 - strength, 1 + strength))
        if strength:
            frames_TCHW = adjust(frames_TCHW, factor)
    shift = float(stream.uniform(-settings.hue, settings.hue))
    changed: npt.NDArray[np.uint8] = frames_TCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return other_hue(changed, shift) if settings.hue else changed


def other_hue(frames: npt.NDArray[np.uint8], turns: float) -> npt.NDArray[np.uint8]:
    """Return (T, H, W, 3) frames whose hue, of HSV, is moved along the colour circle.

    Within one level what torchvision's `adjust_hue` gives, in at most a tenth of its time.
    """
    num_frames, height, width, _ = frames.shape
    hsv = cv2.cvtColor(frames.reshape(num_frames * height, width, 3).astype(np.float32), cv2.COLOR_RGB2HSV)
    cv2.add(hsv, (360 * turns % 360, 0, 0, 0), dst=hsv)  # hues beyond 360 degrees are taken for what is left of them
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.asarray(rgb * np.float32(255.999 / 255), np.uint8).reshape(frames.shape)


def augment_audio(
    samples: npt.NDArray[np.float32], settings: AudioAugmentation, stream: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return a random variant of (S,) samples in [-1, 1]: of other pitch, pace and brightness, shifted in time, with noise."""
    if settings.pitch_semitones or settings.stretch != (1.0, 1.0):
        semitones = float(stream.uniform(-settings.pitch_semitones, settings.pitch_semitones))
        samples = bent_voice(samples, semitones, float(stream.uniform(*settings.stretch)))
    if settings.emphasis:
        samples = emphasised(samples, float(stream.uniform(0, settings.emphasis)))
    most = round(settings.shift_s * SAMPLE_RATE_HZ)
    shift = int(stream.integers(-most, most + 1))
    shifted = np.zeros_like(samples)
    if shift >= 0:
        shifted[shift:] = samples[: len(samples) - shift]
    else:
        shifted[:shift] = samples[-shift:]
    if stream.random() >= settings.noise_probability:
        return np.clip(shifted, -1, 1)
    noise = background_noise(len(samples), settings.noise_folder, stream)
    snr_db = float(stream.uniform(*settings.noise_snr_db))
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-snr_db / 20)
    return np.clip(shifted + level * noise, -1, 1).astype(np.float32)


def bent_voice(samples: npt.NDArray[np.float32], semitones: float, stretch: float) -> npt.NDArray[np.float32]:
    """Return as many samples of other pitch and pace; the middle stays where it is, what is missing is silence.

    Args:
        samples: (S,).
        semitones: Change of pitch.
        stretch: Factor of duration.
    """
    ratio = 2 ** (semitones / 12)
    longer = _longer(samples, stretch * ratio)
    changed = scipy.signal.resample(longer, round(len(samples) * stretch))
    spare = len(changed) - len(samples)
    if spare >= 0:
        return np.asarray(changed[spare // 2 : spare // 2 + len(samples)], np.float32)
    return np.asarray(np.pad(changed, (-spare // 2, -spare - (-spare // 2))), np.float32)


def _longer(samples: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    """Return audio of `factor` times the duration and the same pitch, by waveform similarity (Verhelst and Roelands 1993).

    Pieces of the audio itself are laid over each other where they fit best. A phase vocoder would leave on genuine voices what
    vocoders leave on forged ones.
    """
    piece, hop, search = 512, 256, 128
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(piece) / piece)).astype(np.float32)
    length, margin = round(len(samples) * factor), piece + search
    padded = np.pad(samples, (margin, 2 * margin))
    result = np.zeros(length + 2 * piece, np.float32)
    start = 0
    for k in range(0, length + hop, hop):
        ideal = round((k - hop) / factor) + margin
        if k:
            wanted = padded[start + hop : start + hop + piece]
            region = padded[ideal - search : ideal + search + piece]
            start = ideal - search + int(np.argmax(np.correlate(region, wanted, "valid")))
        else:
            start = ideal
        result[k : k + piece] += window * padded[start : start + piece]
    return result[hop : hop + length]


def emphasised(samples: npt.NDArray[np.float32], coefficient: float) -> npt.NDArray[np.float32]:
    """Return samples with high frequencies raised, y[n] = x[n] - coefficient x[n-1], as loud as before."""
    raised = samples - coefficient * np.concatenate([samples[:1], samples[:-1]])
    before, after = float(np.mean(samples**2)), float(np.mean(raised**2))
    return np.asarray(raised * np.sqrt(before / max(after, 1e-12)), np.float32)


def background_noise(length: int, folder: Path | None, stream: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (length,) noise of unit power: a stretch of a file, or synthesised with a random 1/f^a spectrum, a in [0, 2].

    A stretch that is silent is replaced by synthesised noise.

    Raises:
        UsageError: when the folder holds no audio that can be read.
    """
    if folder is not None:
        files = _noise_files(folder)
        sound = _noise(files[int(stream.integers(len(files)))])
        first = int(stream.integers(max(len(sound) - length, 0) + 1))
        piece = np.resize(sound[first:], length)
        power = float(np.mean(piece**2))
        if power > 1e-8:
            return np.asarray(piece / np.sqrt(power), np.float32)
    return coloured_noise(length, float(stream.uniform(0, 2)), stream)


def noise_facts(folder: Path | None) -> list[tuple[str, str]]:
    """Return what tells the audio files of a folder from others: name below it, and stamp."""
    files = () if folder is None else _noise_files(folder)
    return [(path.relative_to(str(folder)).as_posix(), file_stamp(path)) for path in files]


@lru_cache(maxsize=8)
def _noise_files(folder: Path) -> tuple[Path, ...]:
    files = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in NOISE_FILES))
    if not files:
        raise UsageError(
            f"augmentation.audio.noise_folder: no sound files in {folder}; valid: {', '.join(sorted(NOISE_FILES))}"
        )
    return files


@lru_cache(maxsize=NOISE_FILES_KEPT)
def _noise(path: Path) -> npt.NDArray[np.float32]:
    try:
        samples = audio_samples(path, rate_hz=SAMPLE_RATE_HZ, beside=True)
    except UnusableVideoError as error:
        raise UsageError(f"augmentation.audio.noise_folder: {path} cannot be used ({error})") from None
    if samples is None or not len(samples):
        raise UsageError(f"augmentation.audio.noise_folder: {path} has no audio")
    return samples[: round(NOISE_S * SAMPLE_RATE_HZ)].copy()


def coloured_noise(length: int, exponent: float, stream: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return (length,) noise of unit power whose power falls as 1/f^exponent."""
    spectrum = np.fft.rfft(stream.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum * frequency ** (-exponent / 2), length)
    scaled: npt.NDArray[np.float32] = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return scaled
