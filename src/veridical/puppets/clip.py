"""One synthetic clip: an identity says something for an exact time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veridical.errors import UsageError
from veridical.puppets.espeak import Phoneme
from veridical.puppets.identity import Identity
from veridical.puppets.motion import Performance, perform
from veridical.puppets.renderer import Renderer
from veridical.puppets.speech import say
from veridical.puppets.truth import Truth
from veridical.randomness import seed_from

FPS = 25


@dataclass(frozen=True, eq=False)
class PuppetClip:
    """A rendered clip and everything that is known to be true of it."""

    frames: npt.NDArray[np.uint8]
    """(N, H, W, 3) RGB, 25 a second."""
    samples: npt.NDArray[np.float32]
    """(S,) mono, 16 kHz, in [-1, 1]; S = N / 25 * 16000."""
    truth: Truth
    performance: Performance
    phonemes: tuple[Phoneme, ...]


def render_clip(
    identity: Identity, seed: int, duration_s: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Render pictures and sound; the same identity, seed and duration give the same arrays.

    Args:
        identity: Who speaks.
        seed: Decides words, motion and noise.
        duration_s: Length; rounded to whole frames of 1/25 s.

    Returns:
        Frames (N, H, W, 3) uint8 RGB at 25 fps, and samples (S,) float32 in [-1, 1] at 16 kHz.
    """
    clip = render_puppet(Renderer(identity), seed, duration_s)
    return clip.frames, clip.samples


def render_puppet(renderer: Renderer, seed: int, duration_s: float) -> PuppetClip:
    """Render with a renderer that is built already, and keep the truth; see `render_clip`.

    Raises:
        UsageError: when the duration is shorter than one frame, or there is no voice.
    """
    num_frames = round(duration_s * FPS)
    if num_frames < 1:
        raise UsageError(f"duration_s must be at least one frame (0.04 s), got {duration_s}")
    identity = renderer.identity
    own = seed_from(seed, "clip", identity.seed)
    speech = say(identity.voice, num_frames / FPS, own)
    performance = perform(speech.phonemes, num_frames, FPS, identity.temperament, own)
    frames, truth = renderer.frames(performance, own)
    return PuppetClip(frames, speech.samples, truth, performance, speech.phonemes)
