"""Draws random identities, and for each rendering family the room, light and camera that go with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from veridical.errors import unknown_name
from veridical.puppets.identity import Colour, Extras, FaceShape, Hair, HairStyle, Identity, Skin, Studio, linear
from veridical.puppets.motion import Temperament
from veridical.puppets.speech import sample_voice
from veridical.randomness import seed_from, stream

FAMILIES = ("a", "b")
"""a: quiet rooms, soft light, long lens. b: close wide-angle camera, hard coloured light, painted shading, grain."""


def sample_identity(seed: int, family: str = "a", *, name: str | None = None) -> Identity:
    """Draw a random person.

    Args:
        seed: Determines everything; the same seed in two families gives two different people.
        family: Rendering family, `a` or `b`.
        name: Name of the person; made of family and seed by default.

    Raises:
        UsageError: if the family is unknown.
    """
    if family not in FAMILIES:
        raise unknown_name("rendering family", family, FAMILIES)
    own = seed_from(seed, "identity", family)
    low_voice = bool(stream(own, "sex").random() < 0.5)
    shape = _sample_shape(own, low_voice)
    skin = _sample_skin(own, low_voice)
    hair = _sample_hair(own, low_voice, shape.age, dark=float(np.mean(skin.colour)) < 0.25)
    return Identity(
        name=name or f"{family}{seed:04d}",
        seed=own,
        family=family,
        shape=shape,
        skin=skin,
        hair=hair,
        extras=_sample_extras(own, dark=float(np.mean(skin.colour)) < 0.25),
        studio=STUDIOS[family](own),
        temperament=_sample_temperament(own),
        voice=sample_voice(own, family, low_voice),
    )


def on_another_day(identity: Identity, seed: int) -> Identity:
    """Return the same person filmed on another day: different framing, exposure and noise, sometimes another room or clothes."""
    rng = stream(seed, "day", identity.seed)
    studio = identity.studio
    other = STUDIOS[identity.family](seed_from(seed, "day", identity.seed))
    moved = replace(
        other if rng.random() < 0.5 else studio,
        centre=other.centre,
        exposure=studio.exposure * rng.uniform(0.92, 1.08),
        noise=other.noise,
        sharpness_px=other.sharpness_px,
        eye_distance_px=studio.eye_distance_px * rng.uniform(0.96, 1.04),
    )
    extras = identity.extras
    if rng.random() < 0.5:
        wardrobe = _sample_extras(seed_from(seed, "wardrobe", identity.seed), dark=False)
        extras = replace(
            extras, clothes=wardrobe.clothes, clothes_pattern=wardrobe.clothes_pattern, collar=wardrobe.collar
        )
    return replace(identity, studio=moved, extras=extras)


def _sample_shape(seed: int, low_voice: bool) -> FaceShape:
    rng = stream(seed, "shape")
    nose_y = rng.uniform(0.56, 0.72)
    mouth_y = nose_y + rng.uniform(0.42, 0.54)
    return FaceShape(
        half_width=rng.uniform(1.04, 1.2),
        jaw_power=rng.uniform(2.1, 2.9) if low_voice else rng.uniform(1.75, 2.3),
        chin_y=mouth_y + rng.uniform(0.6, 0.82),
        crown_y=-rng.uniform(1.65, 1.9),
        depth=rng.uniform(0.95, 1.2),
        nose_y=nose_y,
        nose_height=rng.uniform(0.3, 0.5),
        nose_half_width=rng.uniform(0.16, 0.25),
        mouth_y=mouth_y,
        mouth_half_width=rng.uniform(0.36, 0.46),
        upper_lip=rng.uniform(0.06, 0.12),
        lower_lip=rng.uniform(0.09, 0.16),
        eye_half_width=rng.uniform(0.215, 0.255),
        eye_opening=rng.uniform(0.085, 0.125),
        eye_tilt=rng.uniform(-0.02, 0.045),
        brow_y=-rng.uniform(0.3, 0.4),
        brow_thickness=rng.uniform(0.045, 0.075) if low_voice else rng.uniform(0.025, 0.055),
        brow_arch=rng.uniform(0.0, 0.09),
        cheeks=rng.uniform(-1, 1),
        age=float(rng.beta(1.3, 1.6)),
    )


_SKIN_TONES = np.array([[241, 205, 184], [228, 182, 152], [208, 158, 124], [178, 124, 90], [139, 92, 64], [98, 64, 46]])
_HAIR_COLOURS = np.array(
    [[28, 22, 20], [58, 40, 28], [96, 66, 42], [150, 110, 66], [196, 160, 104], [130, 62, 34], [120, 118, 116]]
)
_SHORT_STYLES: tuple[HairStyle, ...] = ("short", "crop", "parted", "curly", "receding", "bald")
_LONG_STYLES: tuple[HairStyle, ...] = ("parted", "curly", "bob", "long", "short")
_IRIS_COLOURS = np.array([[62, 38, 22], [92, 60, 32], [84, 92, 56], [76, 106, 128], [96, 108, 112]])
_CLOTHES = np.array(
    [[40, 52, 84], [120, 44, 48], [60, 84, 66], [190, 186, 176],
     [48, 48, 52], [96, 124, 150], [168, 132, 74], [110, 80, 120]]
)  # fmt: skip


def _sample_skin(seed: int, low_voice: bool) -> Skin:
    rng = stream(seed, "skin")
    position = rng.uniform(0, len(_SKIN_TONES) - 1.001)
    index = int(position)
    tone = _SKIN_TONES[index] * (1 - position % 1) + _SKIN_TONES[index + 1] * (position % 1)
    tone = tone * rng.uniform(0.95, 1.05, 3)
    painted = not low_voice and rng.random() < 0.45
    lip = tone * (0.92, 0.62, 0.62) * (rng.uniform(0.75, 1.0) if not painted else 1.0)
    lip = lip * (0.9, 0.62, 0.72) if painted else lip
    bearded = low_voice and rng.random() < 0.35
    return Skin(
        colour=linear(np.clip(tone, 0, 250)),
        redness=rng.uniform(0.2, 1.0),
        freckles=float(rng.random() < 0.25) * rng.uniform(0.3, 1.0) * float(position < 2.5),
        mottling=rng.uniform(0.02, 0.07),
        shine=rng.uniform(0.05, 0.3),
        lip_colour=linear(lip),
        stubble=rng.uniform(0.6, 1.0) if bearded else rng.uniform(0, 0.4) * float(low_voice),
        moustache=rng.uniform(0.5, 1.0) if bearded or (low_voice and rng.random() < 0.15) else 0.0,
    )


def _sample_hair(seed: int, low_voice: bool, age: float, *, dark: bool) -> Hair:
    rng = stream(seed, "hair")
    styles = _SHORT_STYLES if low_voice else _LONG_STYLES
    style = styles[int(rng.integers(len(styles)))]
    colour = _HAIR_COLOURS[int(rng.integers(2 if dark else len(_HAIR_COLOURS)))] * rng.uniform(0.8, 1.2)
    grey = np.clip((age - 0.55) * 2 + rng.normal(0, 0.15), 0, 1)
    return Hair(
        style=style,
        colour=linear(np.clip(colour * (1 - grey) + 165 * grey, 0, 235)),
        volume=rng.uniform(0.1, 0.22) if style != "crop" else 0.05,
        hairline_y=-rng.uniform(0.85, 1.1),
        parting_x=rng.uniform(0.15, 0.6) * rng.choice([-1, 1]),
        roughness=rng.uniform(0.4, 1.0),
    )


def _sample_extras(seed: int, *, dark: bool) -> Extras:
    rng = stream(seed, "extras")
    clothes = _CLOTHES[int(rng.integers(len(_CLOTHES)))] * rng.uniform(0.75, 1.2)
    frame = np.array([[20, 20, 24], [84, 48, 30], [120, 112, 100], [40, 30, 70]])[int(rng.integers(4))]
    return Extras(
        iris=linear(_IRIS_COLOURS[int(rng.integers(2 if dark else len(_IRIS_COLOURS)))] * rng.uniform(0.8, 1.25)),
        lashes=rng.uniform(0.3, 1.0),
        glasses=str(rng.choice(["none", "none", "none", "round", "square", "rimless"])),  # type: ignore[arg-type]
        glasses_colour=linear(frame),
        clothes=linear(np.clip(clothes, 0, 240)),
        clothes_pattern=str(rng.choice(["plain", "stripes", "checks", "knit"])),  # type: ignore[arg-type]
        collar=str(rng.choice(["crew", "vee", "shirt"])),  # type: ignore[arg-type]
    )


def _sample_temperament(seed: int) -> Temperament:
    rng = stream(seed, "temperament")
    return Temperament(
        head=rng.uniform(0.6, 1.4),
        articulation=rng.uniform(0.85, 1.2),
        blinks_per_minute=rng.uniform(10, 26),
        smile=rng.uniform(-0.2, 0.5),
    )


def _direction(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    flat = np.cos(elevation)
    return (float(np.sin(azimuth) * flat), float(-np.sin(elevation)), float(np.cos(azimuth) * flat))


def _pale(rng: np.random.Generator, low: float, high: float, chroma: float) -> Colour:
    values = rng.uniform(low, high) * (1 + chroma * rng.uniform(-1, 1, 3))
    return (float(values[0]), float(values[1]), float(values[2]))


def _studio_a(seed: int) -> Studio:
    """Draw a quiet room filmed with a long lens in soft light: smooth shading, little noise."""
    rng = stream(seed, "studio")
    warm = rng.uniform(-0.06, 0.06)
    power = rng.uniform(0.75, 1.0)
    return Studio(
        key_direction=_direction(rng.uniform(-55, 55), rng.uniform(15, 50)),
        key=(power * (1 + warm), power, power * (1 - warm)),
        ambient=_pale(rng, 0.38, 0.52, 0.06),
        rim=rng.uniform(0.0, 0.15),
        hardness=rng.uniform(0.1, 0.4),
        backdrop=str(rng.choice(["gradient", "blobs", "window", "shelf"])),
        backdrop_colours=(_pale(rng, 0.1, 0.6, 0.35), _pale(rng, 0.05, 0.4, 0.4)),
        width=320,
        height=320,
        eye_distance_px=rng.uniform(61, 68),
        centre=(rng.uniform(0.45, 0.55), rng.uniform(0.4, 0.45)),
        perspective=rng.uniform(0.03, 0.08),
        exposure=rng.uniform(0.9, 1.1),
        gamma=rng.uniform(0.95, 1.05),
        tint=_pale(rng, 0.98, 1.02, 0.02),
        sharpness_px=rng.uniform(0.35, 0.6),
        noise=rng.uniform(0.8, 2.2),
        vignette=rng.uniform(0.0, 0.15),
        posterise=0.0,
        room_seed=seed,
    )


def _studio_b(seed: int) -> Studio:
    """Draw a close wide-angle camera in hard coloured light, with painted shading and grain: visibly another renderer."""
    rng = stream(seed, "studio")
    warm = rng.uniform(-0.25, 0.25)
    power = rng.uniform(1.0, 1.35)
    return Studio(
        key_direction=_direction(rng.choice([-1, 1]) * rng.uniform(25, 70), rng.uniform(5, 45)),
        key=(power * (1 + warm), power, power * (1 - warm)),
        ambient=_pale(rng, 0.16, 0.3, 0.25),
        rim=rng.uniform(0.2, 0.5),
        hardness=rng.uniform(0.6, 1.0),
        backdrop=str(rng.choice(["bricks", "stripes", "bokeh", "tiles"])),
        backdrop_colours=(_pale(rng, 0.05, 0.4, 0.6), _pale(rng, 0.03, 0.3, 0.6)),
        width=384,
        height=288,
        eye_distance_px=rng.uniform(57, 63),
        centre=(rng.uniform(0.4, 0.6), rng.uniform(0.41, 0.45)),
        perspective=rng.uniform(0.16, 0.28),
        exposure=rng.uniform(0.85, 1.2),
        gamma=rng.uniform(0.8, 1.2),
        tint=_pale(rng, 0.97, 1.03, 0.06),
        sharpness_px=rng.uniform(0.4, 0.9),
        noise=rng.uniform(3.0, 6.0),
        vignette=rng.uniform(0.2, 0.45),
        posterise=rng.uniform(0.4, 0.8),
        room_seed=seed,
    )


STUDIOS = {"a": _studio_a, "b": _studio_b}
