"""Who a puppet is: everything that stays the same across the videos of one person.

Lengths are in eye distances (63 mm in people); the origin is between the eyes, y points down. Colours are linear RGB from
0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from veridical.puppets.motion import Temperament
from veridical.puppets.speech import LOW_VARIANTS, Voice

Colour = tuple[float, float, float]
HairStyle = Literal["short", "crop", "parted", "curly", "bob", "long", "receding", "bald"]


@dataclass(frozen=True)
class FaceShape:
    """Geometry of the head."""

    half_width: float
    """Half the width at the cheekbones."""
    jaw_power: float
    """Shape of the jaw, 1.8 pointed to 3.2 square."""
    chin_y: float
    crown_y: float
    depth: float
    nose_y: float
    """Height of the tip of the nose."""
    nose_height: float
    nose_half_width: float
    mouth_y: float
    mouth_half_width: float
    upper_lip: float
    """Thickness of the upper lip."""
    lower_lip: float
    eye_half_width: float
    eye_opening: float
    """Distance from the centre of the eye to the upper lid."""
    eye_tilt: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    cheeks: float
    """Fullness, -1 to 1."""
    age: float
    """0 young to 1 old: folds, bags under the eyes, wrinkles."""


@dataclass(frozen=True)
class Skin:
    """Skin and lips."""

    colour: Colour
    redness: float
    freckles: float
    mottling: float
    shine: float
    lip_colour: Colour
    stubble: float
    """0 none to 1 full beard."""
    moustache: float


@dataclass(frozen=True)
class Hair:
    """Hair of the head; brows and beard share the colour."""

    style: HairStyle
    colour: Colour
    volume: float
    hairline_y: float
    parting_x: float
    roughness: float


@dataclass(frozen=True)
class Extras:
    """Eyes, glasses and clothes."""

    iris: Colour
    lashes: float
    glasses: Literal["none", "round", "square", "rimless"]
    glasses_colour: Colour
    clothes: Colour
    clothes_pattern: Literal["plain", "stripes", "checks", "knit"]
    collar: Literal["crew", "vee", "shirt"]


@dataclass(frozen=True)
class Studio:
    """Light, background and camera."""

    key_direction: tuple[float, float, float]
    """Unit vector from the face to the key light; z points to the camera."""
    key: Colour
    ambient: Colour
    rim: float
    hardness: float
    """0 soft light to 1 hard light with shadows."""
    backdrop: str
    backdrop_colours: tuple[Colour, Colour]
    width: int
    height: int
    eye_distance_px: float
    centre: tuple[float, float]
    """Position of the point between the eyes, in shares of width and height."""
    perspective: float
    """0 long lens to .3 wide-angle lens up close."""
    exposure: float
    gamma: float
    tint: Colour
    sharpness_px: float
    """Standard deviation of the lens blur, in pixels."""
    noise: float
    """Standard deviation of the sensor noise at mid grey, in 8-bit levels."""
    vignette: float
    posterise: float
    """0 smooth shading to 1 painted steps."""
    room_seed: int
    """Determines the details of the background."""


@dataclass(frozen=True)
class Identity:
    """One person, and the studio in which they are filmed."""

    name: str
    seed: int
    family: str
    shape: FaceShape
    skin: Skin
    hair: Hair
    extras: Extras
    studio: Studio
    temperament: Temperament
    voice: Voice

    @property
    def attributes(self) -> dict[str, str]:
        """The person's attributes as recorded in a manifest."""
        tone = float(np.mean(self.skin.colour))
        return {
            "family": self.family,
            "hair": self.hair.style,
            "glasses": self.extras.glasses,
            "beard": "yes" if self.skin.stubble > 0.5 else "no",
            "skin": "light" if tone > 0.42 else "medium" if tone > 0.2 else "dark",
            "age": "old" if self.shape.age > 0.65 else "middle" if self.shape.age > 0.3 else "young",
            "voice": "low" if self.voice.engine.variant in LOW_VARIANTS else "high",
            "accent": self.voice.engine.language,
        }


def linear(colour: object) -> Colour:
    """Return linear RGB of an 8-bit sRGB colour (by a gamma of 2)."""
    values = (np.asarray(colour, np.float64) / 255.0) ** 2
    return (float(values[0]), float(values[1]), float(values[2]))
