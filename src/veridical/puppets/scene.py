"""Events around a talking puppet: music, a second person, an occlusion of the face, a long pause, a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from veridical.puppets import anatomy
from veridical.puppets.anatomy import Array, Sheet
from veridical.puppets.casting import sample_identity
from veridical.puppets.identity import Identity, linear
from veridical.puppets.motion import perform
from veridical.puppets.renderer import Layer, Renderer
from veridical.puppets.speech import SAMPLE_RATE_HZ, rms
from veridical.randomness import seed_from, stream
from veridical.settings import Settings


@dataclass(frozen=True)
class Scene:
    """The events of one clip; by default one person talks and nothing else happens."""

    music: bool = False
    second_person: bool = False
    """A silent person in the background, with a smaller face."""
    occlusion: bool = False
    """A microphone or a hand passes in front of the lower face."""
    pause: bool = False
    """The speaker says nothing for a third of the clip, with the mouth shut."""
    cut: bool = False
    """The framing jumps in the middle of the clip."""
    has_audio: bool = True
    """False: the video has no audio track."""


class SceneSettings(Settings):
    """How often each event happens, as a share of the videos."""

    music: float = Field(default=0.0, ge=0, le=1)
    """Share of videos with music behind the speech."""
    second_person: float = Field(default=0.0, ge=0, le=1)
    """Share of videos with a second, silent person in the background."""
    occlusion: float = Field(default=0.0, ge=0, le=1)
    """Share of videos in which something passes in front of the face."""
    pause: float = Field(default=0.0, ge=0, le=1)
    """Share of videos with a long pause in the speech."""
    cut: float = Field(default=0.0, ge=0, le=1)
    """Share of videos with a cut to another framing."""
    no_sound: float = Field(default=0.0, ge=0, le=1)
    """Share of videos without an audio track."""


def sample_scene(settings: SceneSettings, seed: int) -> Scene:
    """Draw the events of one clip."""
    names = ("music", "second_person", "occlusion", "pause", "cut")
    happens = {name: bool(stream(seed, "scene", name).random() < getattr(settings, name)) for name in names}
    return Scene(**happens, has_audio=bool(stream(seed, "scene", "no_sound").random() >= settings.no_sound))


def music(num_samples: int, seed: int) -> npt.NDArray[np.float32]:
    """Return a plucked arpeggio over chords, (S,) at 16 kHz with an RMS level of 1."""
    rng = stream(seed, "music")
    track = np.zeros(num_samples + SAMPLE_RATE_HZ)
    root_hz = 110.0 * 2 ** (float(rng.integers(0, 12)) / 12)
    beat = int(SAMPLE_RATE_HZ * float(rng.uniform(0.16, 0.3)))
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = (0, 4, 7)
    for index, start in enumerate(range(0, num_samples, beat)):
        if index % 8 == 0:
            base = int(rng.choice([0, 5, 7, 9]))
            chord = (0, 3, 7) if base == 9 else (0, 4, 7)
        pitch_hz = root_hz * 2 ** ((base + chord[index % 3] + 12 * (index % 4 == 3)) / 12)
        tone = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k**1.5 for k in range(1, 6))
        track[start : start + SAMPLE_RATE_HZ] += np.asarray(tone) * np.exp(-time_s * 4)
    played = track[:num_samples]
    return np.asarray(played / max(rms(played), 1e-9), np.float32)


def with_music(samples: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """Return the speech with music 10 to 18 dB below it."""
    level = rms(samples) * 10 ** (-float(stream(seed, "music level").uniform(10, 18)) / 20)
    return np.asarray(np.tanh(samples + level * music(len(samples), seed)), np.float32)


def companion(identity: Identity, num_frames: int, fps: float, seed: int) -> Layer:
    """Return a layer with a second, silent person, smaller and to one side, in the same light."""
    side = float(stream(seed, "companion").choice([-1, 1]))
    other = sample_identity(seed_from(seed, "companion", identity.seed), identity.family)
    studio = identity.studio
    place = (float(np.clip(studio.centre[0] + side * 0.38, 0.1, 0.9)), studio.centre[1] + 0.1)
    other = replace(other, studio=replace(studio, eye_distance_px=0.42 * studio.eye_distance_px, centre=place))
    renderer = Renderer(other)
    performance = perform([], num_frames, fps, other.temperament, seed_from(seed, "companion motion"))

    def paint(light: Array, index: int) -> None:
        renderer.paint_onto(light, performance, index)

    return paint


def occluder(identity: Identity, num_frames: int, seed: int) -> Layer:
    """Return a layer in which a microphone or a hand rises in front of the lower face and sinks again."""
    rng = stream(seed, "occluder")
    studio = identity.studio
    sprite = _microphone(studio.eye_distance_px) if rng.random() < 0.5 else _hand(studio.eye_distance_px, identity)
    start, length = rng.uniform(0.1, 0.4) * num_frames, rng.uniform(0.35, 0.5) * num_frames
    x = (studio.centre[0] * studio.width) + rng.uniform(-0.4, 0.4) * studio.eye_distance_px
    mouth_y = studio.centre[1] * studio.height + identity.shape.mouth_y * studio.eye_distance_px
    rise = float(rng.uniform(0.2, 0.6)) * studio.eye_distance_px

    def paint(light: Array, index: int) -> None:
        phase = float(np.clip((index - start) / length, 0, 1))
        up = np.sin(np.pi * phase) ** 0.6
        top = studio.height + (mouth_y - rise - studio.height) * up
        move = np.array([[1, 0, x - sprite.shape[1] / 2], [0, 1, top]])
        if 0 < phase < 1:
            seen = cv2.warpAffine(sprite, move, (studio.width, studio.height), flags=cv2.INTER_LINEAR)
            light += (seen[..., :3] - light * seen[..., 3:]) * (seen[..., 3:] > 0)

    return paint


def _sprite_grid(unit_px: float) -> Sheet:
    rows, columns = np.mgrid[0 : int(5 * unit_px), 0 : int(2.4 * unit_px)].astype(np.float32)
    return Sheet(columns / unit_px - 1.2, rows / unit_px)


def _microphone(unit_px: float) -> Array:
    grid = _sprite_grid(unit_px)
    ball = 1 - (grid.x / 0.34) ** 2 - ((grid.y - 0.42) / 0.4) ** 2
    handle = np.minimum(0.17 - 0.01 * grid.y - np.abs(grid.x), grid.y - 0.6)
    mesh = 0.12 + 0.06 * (np.sin(grid.x * 70) * np.sin(grid.y * 70) > 0)
    shade = np.sqrt(np.maximum(ball, 0.0)) * mesh * (1.2 - grid.x)
    colour = np.where(ball > 0, shade, 0.03 * (1.3 - 3 * grid.x))[..., None] * np.ones(3, np.float32)
    return _premultiplied(colour, anatomy.coverage(np.maximum(ball * 0.2, handle), unit_px))


def _hand(unit_px: float, identity: Identity) -> Array:
    grid = _sprite_grid(unit_px)
    field = 1 - (np.abs(grid.x) / 0.6) ** 3 - (np.abs(grid.y - 1.5) / 0.62) ** 3
    for k, top in enumerate((0.25, 0.08, 0.05, 0.18)):
        finger = 1 - ((grid.x + 0.42 - 0.28 * k) / 0.13) ** 2
        field = np.maximum(field, np.minimum(finger, np.minimum((grid.y - top) * 6, (1.5 - grid.y) * 6)))
    field = np.maximum(field, np.minimum(0.42 - np.abs(grid.x), (grid.y - 1.6) * 2))
    shade = 0.45 + 0.4 * np.sqrt(np.clip(field, 0, 1)) - 0.1 * grid.x
    colour = np.asarray(identity.skin.colour, np.float32) * shade[..., None]
    sleeve = (grid.y > 2.5)[..., None]
    colour = np.where(sleeve, np.asarray(linear((60, 60, 66)), np.float32), colour)
    return _premultiplied(colour, anatomy.coverage(field, unit_px))


def _premultiplied(colour: Array, cover: Array) -> Array:
    return np.dstack([colour * cover[..., None], cover]).astype(np.float32)
