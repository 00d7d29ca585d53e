"""Renders one clip: a person talks for an exact duration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from veridical.errors import UsageError
from veridical.puppets.espeak import Phoneme
from veridical.puppets.identity import Identity
from veridical.puppets.motion import Performance, perform
from veridical.puppets.renderer import Renderer
from veridical.puppets.scene import Scene, companion, occluder, with_music
from veridical.puppets.speech import Pause, Speech, say
from veridical.puppets.truth import Truth
from veridical.randomness import seed_from, stream

FPS = 25
_PLAIN = Scene()


@dataclass(frozen=True, eq=False)
class PuppetClip:
    """A rendered clip with its ground truth."""

    frames: npt.NDArray[np.uint8]
    """(N, H, W, 3) RGB at 25 fps."""
    samples: npt.NDArray[np.float32] | None
    """(S,) mono, 16 kHz, in [-1, 1]; S = N / 25 * 16000. None if the scene has no audio."""
    truth: Truth
    performance: Performance
    phonemes: tuple[Phoneme, ...]


def render_clip(
    identity: Identity, seed: int, duration_s: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Render frames and audio; the same identity, seed and duration give the same arrays.

    Args:
        identity: Who speaks.
        seed: Determines words, motion and noise.
        duration_s: Length, rounded to whole frames of 1/25 s.

    Returns:
        Frames (N, H, W, 3) uint8 RGB at 25 fps, and samples (S,) float32 in [-1, 1] at 16 kHz.
    """
    clip = render_puppet(Renderer(identity), seed, duration_s)
    assert clip.samples is not None
    return clip.frames, clip.samples


def render_puppet(renderer: Renderer, seed: int, duration_s: float, scene: Scene = _PLAIN) -> PuppetClip:
    """Render a clip with its ground truth, using a renderer that serves for several clips; see `render_clip`.

    Raises:
        UsageError: if the duration is shorter than one frame, or the speech package is missing.
    """
    num_frames = round(duration_s * FPS)
    if num_frames < 1:
        raise UsageError(f"duration_s must be at least one frame ({1 / FPS} s), got {duration_s}")
    identity = renderer.identity
    own = seed_from(seed, "clip", identity.seed)
    speech = _speech(identity, num_frames / FPS, own, scene)
    performance = perform(speech.phonemes, num_frames, FPS, identity.temperament, own)
    frames, truth = _frames(renderer, performance, own, scene)
    return PuppetClip(frames, speech.samples if scene.has_audio else None, truth, performance, speech.phonemes)


def _speech(identity: Identity, duration_s: float, seed: int, scene: Scene) -> Speech:
    pause = None
    if scene.pause:
        pause = Pause(float(stream(seed, "pause").uniform(0.15, 0.45)) * duration_s, duration_s / 3)
    speech = say(identity.voice, duration_s, seed, pause=pause)
    return replace(speech, samples=with_music(speech.samples, seed)) if scene.music else speech


def _frames(
    renderer: Renderer, performance: Performance, seed: int, scene: Scene
) -> tuple[npt.NDArray[np.uint8], Truth]:
    identity, num_frames = renderer.identity, len(performance)
    behind = [companion(identity, num_frames, FPS, seed)] if scene.second_person else []
    before = [occluder(identity, num_frames, seed)] if scene.occlusion else []
    frames, truth = renderer.frames(performance, seed, behind=behind, before=before)
    if not scene.cut or num_frames < 2:
        return frames, truth
    studio = identity.studio
    centre = (1 - studio.centre[0], studio.centre[1] + 0.02)
    closer = replace(studio, eye_distance_px=1.12 * studio.eye_distance_px, centre=centre)
    second = Renderer(replace(identity, studio=closer))
    other, other_truth = second.frames(performance, seed, behind=behind, before=before)
    at = num_frames // 2
    return np.concatenate([frames[:at], other[at:]]), truth.joined_at(at, other_truth)
