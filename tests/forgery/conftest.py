"""A drawn face with fabricated landmarks, so that forgeries can be tested without face detectors or real people."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from veridical.faces import FACE_OVAL, LEFT_EYE, LEFT_EYEBROW, LIPS_INNER, LIPS_OUTER, RIGHT_EYE, RIGHT_EYEBROW
from veridical.forgery import FORGERIES, Footage, Forged, autoencoder_swap
from veridical.forgery.footage import samples_in

HEIGHT, WIDTH, FPS = 112, 128, 25.0


def _ring(count: int, centre: tuple[float, float], radii: tuple[float, float], start: float) -> np.ndarray:
    angle = start + 2 * np.pi * np.arange(count) / count
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], 1)


def face_points(opening: float = 0.0, wide: float = 1.0) -> np.ndarray:
    """(468, 2) landmarks of a face of width 2 around the origin; y points down."""
    spread = np.random.default_rng(0)
    angle, radius = spread.uniform(0, 2 * np.pi, 468), 0.93 * np.sqrt(spread.uniform(0, 1, 468))
    points = np.stack([radius * np.cos(angle), 1.3 * radius * np.sin(angle)], 1)
    points[list(FACE_OVAL)] = _ring(36, (0, 0), (1, 1.3), -np.pi / 2)
    for eye, brow, x in ((LEFT_EYE, LEFT_EYEBROW, -0.42), (RIGHT_EYE, RIGHT_EYEBROW, 0.42)):
        points[list(eye)] = _ring(16, (x, -0.3), (0.2, 0.09), np.pi if x < 0 else 0)
        points[list(brow)] = _ring(10, (x, -0.52), (0.26, 0.05), 0)
    points[list(LIPS_OUTER)] = _ring(20, (0, 0.65), (0.36 * wide, 0.13 + opening / 2), np.pi)[::-1]
    points[list(LIPS_INNER)] = _ring(20, (0, 0.65), (0.28 * wide, 0.01 + opening / 2), np.pi)[::-1]
    points[[168, 6, 197, 195, 5, 1]] = np.stack([np.zeros(6), np.linspace(-0.3, 0.25, 6)], 1)
    return points


def draw(points: np.ndarray, skin: tuple[int, int, int], texture: np.ndarray) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), (90, 120, 150), np.uint8)
    for group, colour in (
        (FACE_OVAL, skin),
        (LEFT_EYE, (250, 250, 250)),
        (RIGHT_EYE, (250, 250, 250)),
        (LEFT_EYEBROW, (60, 40, 20)),
        (RIGHT_EYEBROW, (60, 40, 20)),
        (LIPS_OUTER, (190, 70, 80)),
        (LIPS_INNER, (40, 10, 10)),
    ):
        cv2.fillPoly(image, [np.round(points[list(group)] * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)
    return np.clip(image.astype(np.int16) + texture, 0, 255).astype(np.uint8)


def speech(num_samples: int, pitch_hz: float, seed: int, rate_hz: int = 16_000) -> np.ndarray:
    """Syllables of a buzzing voice between pauses, over faint noise."""
    noise = np.random.default_rng(seed)
    time_s = np.arange(num_samples) / rate_hz
    voice = sum(np.sin(2 * np.pi * pitch_hz * k * time_s + k) / k for k in range(1, 12))
    count = int(num_samples / rate_hz / 0.2) + 2
    slots = noise.uniform(0.3, 1, count) * (noise.random(count) < 0.75)
    slots[0], slots[1] = 0, 1
    envelope = np.interp(time_s, 0.2 * np.arange(len(slots)) + 0.1, slots)
    return (0.15 * voice * envelope + 0.002 * noise.normal(size=num_samples)).astype(np.float32)


def make_footage(person: int, take: int = 0, num_frames: int = 30, audio: bool = True) -> Footage:
    """A person is a skin, a texture and a pitch; a take is a way of moving and other words."""
    who, how = np.random.default_rng([person, 1]), np.random.default_rng([person, take, 2])
    skin = tuple(int(value) for value in who.integers(130, 230, 3))
    texture = cv2.GaussianBlur(who.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32) * 30, (0, 0), 1.5).astype(
        np.int16
    )
    phase, speed = how.uniform(0, 6), how.uniform(0.4, 0.9)
    frames, landmarks = [], []
    for n in range(num_frames):
        opening = 0.15 + 0.14 * np.sin(phase + speed * n)
        sway = np.array([WIDTH / 2 + 2 * np.sin(0.13 * n + phase), HEIGHT / 2 + np.cos(0.1 * n)])
        points = face_points(opening, 1 + 0.1 * np.cos(0.3 * n + phase)) * 34 + sway
        frames.append(draw(points, skin, texture))
        landmarks.append(points)
    samples = speech(samples_in(num_frames, FPS), 100 + 45 * person, seed=10 * person + take) if audio else None
    return Footage(np.stack(frames), FPS, np.stack(landmarks).astype(np.float32), samples)


@pytest.fixture(autouse=True, scope="session")
def short_training():
    """Contracts hold for a network that has hardly been trained, too."""
    before, autoencoder_swap.MOST_STEPS = autoencoder_swap.MOST_STEPS, 2
    yield
    autoencoder_swap.MOST_STEPS = before


@pytest.fixture(scope="session")
def forge_with():
    """Forge a target with the donor that a forgery needs: none, another speaker, or the same speaker."""

    def run(name: str, target: Footage, other: Footage, same: Footage, severity: float = 0.5, seed: int = 0) -> Forged:
        forgery = FORGERIES[name]
        donor = {"none": None, "other_speaker": other, "same_speaker": same}[forgery.donor]
        return forgery.function(target, donor, severity, np.random.default_rng(seed))

    return run


@pytest.fixture(scope="session")
def target() -> Footage:
    return make_footage(person=0, num_frames=24)


@pytest.fixture(scope="session")
def other_person() -> Footage:
    return make_footage(person=1, num_frames=20)


@pytest.fixture(scope="session")
def same_person() -> Footage:
    return make_footage(person=0, take=1, num_frames=28)


@pytest.fixture(scope="session")
def footage_of():
    """`make_footage`, for tests that need more people or no audio."""
    return make_footage
