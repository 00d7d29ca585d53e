"""Paints the head in the neutral pose: skin, lips, brows, beard, ears and hair as textures on the sheet of `anatomy`."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from veridical.puppets import anatomy
from veridical.puppets.anatomy import Array, Sheet, bump, smoothstep
from veridical.puppets.identity import Colour, FaceShape, Hair, Identity
from veridical.randomness import stream


@dataclass(frozen=True, eq=False)
class HeadTexture:
    """The head in the neutral pose, with eyes and mouth closed."""

    paint: Array
    """(H, W, 4) linear RGB with hollows darkened, and coverage."""
    surface: Array
    """(H, W, 4) normal x, normal y, share of the key light that arrives, shine."""
    geometry: Array
    """(H, W) height for parallax, in eye distances."""


def paint_head(identity: Identity, grid: Sheet) -> HeadTexture:
    """Return the textures of a head in the neutral pose."""
    shape, skin = identity.shape, identity.skin
    rng = stream(identity.seed, "paint")
    height = anatomy.relief(grid, shape, rng)
    colour = _skin_colour(identity, grid, rng)
    cover = anatomy.coverage(anatomy.head_field(grid, shape))
    gloss = skin.shine * (0.5 + 0.8 * bump(grid, 0, 0.2, 0.3, 0.6) + 0.5 * bump(grid, 0, -0.7, 0.5, 0.3))
    shine = np.asarray(gloss * (0.75 + 0.25 * anatomy.noise(rng, grid.x.shape, 60)), np.float32)
    _lips(identity, grid, colour, height, shine)
    colour *= (anatomy.occlusion(height) ** 1.2)[..., None]
    _nostrils(grid, shape, colour)
    _brows_and_beard(identity, grid, colour, rng)
    if identity.hair.style not in ("bob", "long"):
        cover = np.maximum(cover, _ears(identity, grid, colour, height))
    normal_x, normal_y = anatomy.normals(height)
    hair = _hair(identity, grid, rng)
    if hair is not None:
        mask, hair_colour, hair_height = hair
        under = cv2.GaussianBlur(mask, (0, 0), 4)
        colour *= (1 - 0.45 * under)[..., None]
        cover = np.maximum(cover, mask)
        _mix(colour, hair_colour, np.clip(mask / np.maximum(cover, 1e-3), 0, 1))
        hair_x, hair_y = anatomy.normals(hair_height)
        normal_x, normal_y = normal_x + (hair_x - normal_x) * mask, normal_y + (hair_y - normal_y) * mask
        height = height + (hair_height - height) * cv2.GaussianBlur(mask, (0, 0), 2)
        shine = shine * (1 - mask) + 0.2 * mask
    hardness = identity.studio.hardness
    shadow = 1 - anatomy.cast_shadow(height, identity.studio.key_direction, 0.5 - 0.4 * hardness)
    lit = 1 - shadow * (0.4 + 0.5 * hardness)
    paint = np.dstack([np.clip(colour, 0.002, 1), cover]).astype(np.float32)
    surface = np.dstack([normal_x, normal_y, lit, np.clip(shine, 0, 1)]).astype(np.float32)
    return HeadTexture(paint, surface, anatomy.geometry(grid, shape))


def _skin_colour(identity: Identity, grid: Sheet, rng: np.random.Generator) -> Array:
    shape, skin = identity.shape, identity.skin
    size = grid.x.shape
    mottles = anatomy.noise(rng, size, 9) + 0.7 * anatomy.noise(rng, size, 25) + 0.5 * anatomy.noise(rng, size, 90)
    tone = 1 + skin.mottling * mottles
    colour = np.asarray(skin.colour, np.float32) * tone[..., None]
    red = 0.9 * bump(grid, 0.62, 0.5, 0.3, 0.25, pair=True) + bump(grid, 0, shape.nose_y, 0.22, 0.15)
    red = red + 0.5 * bump(grid, 0, shape.chin_y - 0.2, 0.3, 0.2) + 0.35 * anatomy.noise(rng, size, 14) * red
    colour *= 1 - skin.redness * red[..., None] * np.array([0.0, 0.26, 0.24], np.float32)
    bags = bump(grid, 0.45, 0.2, 0.2, 0.08, pair=True) + bump(grid, 0.27, -0.02, 0.08, 0.12, pair=True)
    colour *= 1 - (0.15 + 0.25 * shape.age) * bags[..., None] * np.array([0.7, 1.0, 0.9], np.float32)
    if skin.freckles > 0:
        spots = np.maximum(anatomy.noise(rng, size, 75) - 1.3, 0) * (bump(grid, 0, 0.35, 0.9, 0.4) + 0.2)
        colour *= 1 - np.clip(0.5 * skin.freckles * spots, 0, 0.5)[..., None] * np.array([0.5, 0.8, 1.0], np.float32)
    _moles(grid, colour, rng)
    return np.asarray(colour, np.float32)


def _moles(grid: Sheet, colour: Array, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(0, 4))):
        spot = bump(grid, rng.uniform(-0.9, 0.9), rng.uniform(-0.6, 1.6), 0.03, 0.03)
        colour *= 1 - 0.6 * spot[..., None]


def lip_profiles(shape: FaceShape, u: Array) -> tuple[Array, Array, Array]:
    """Return the offset of the lip line and the thickness of upper and lower lip, for u = -1 to 1 across the mouth."""
    inside = np.clip(1 - u * u, 0, 1)
    seam = 0.012 * np.cos(np.pi * np.clip(u, -1, 1) * 2) * inside
    bow = 1 - 0.28 * np.exp(-((u / 0.16) ** 2)) + 0.1 * np.exp(-(((np.abs(u) - 0.3) / 0.18) ** 2))
    upper = shape.upper_lip * inside**0.75 * bow
    lower = shape.lower_lip * inside**0.6
    return seam.astype(np.float32), upper.astype(np.float32), lower.astype(np.float32)


def _lips(identity: Identity, grid: Sheet, colour: Array, height: Array, shine: Array) -> None:
    """Paint the lips onto colour, height and shine, in place."""
    shape, skin = identity.shape, identity.skin
    u = grid.x / shape.mouth_half_width
    seam, upper, lower = lip_profiles(shape, u)
    offset = grid.y - shape.mouth_y - seam
    above = np.clip(-offset / np.maximum(upper, 1e-3), 0, 2)
    below = np.clip(offset / np.maximum(lower, 1e-3), 0, 2)
    inside = np.clip((1.02 - np.abs(u)) * 12, 0, 1)
    part = np.where(offset < 0, above, below)
    mask = inside * (1 - smoothstep(part, 0.82, 1.12))
    creases = 1 + 0.06 * np.sin(grid.x * 95 + 3 * np.sin(grid.y * 20)) * mask
    lip = np.asarray(skin.lip_colour, np.float32) * np.where(offset < 0, 0.86, 1.0)[..., None].astype(np.float32)
    colour[:] = colour * (1 - 0.85 * mask[..., None]) + lip * creases[..., None] * 0.85 * mask[..., None]
    swell = np.sin(np.pi * np.clip(part, 0, 1) * 0.5 + 0.5 * np.pi)
    height += (mask * swell * np.where(offset < 0, 0.05, 0.08)).astype(np.float32)
    shine += 0.45 * mask * (offset > 0)


def _nostrils(grid: Sheet, shape: FaceShape, colour: Array) -> None:
    dark = bump(grid, shape.nose_half_width * 0.5, shape.nose_y + 0.125, 0.065, 0.032, pair=True)
    colour *= (1 - 0.8 * np.clip(dark * 1.2, 0, 1))[..., None]


def _brows_and_beard(identity: Identity, grid: Sheet, colour: Array, rng: np.random.Generator) -> None:
    shape, skin = identity.shape, identity.skin
    hair = np.asarray(identity.hair.colour, np.float32) * 0.65
    side = np.asarray(np.abs(grid.x) - 0.5, np.float32)
    line = shape.brow_y - shape.brow_arch * (1 - ((side - 0.08) / 0.42) ** 2)
    thickness = shape.brow_thickness * np.clip(1.15 - 0.9 * (side + 0.3), 0.25, 1.2)
    strands = anatomy.noise(rng, grid.x.shape, 230)
    hairs = np.asarray(cv2.resize(rng.standard_normal((70, 300)).astype(np.float32), grid.x.shape[::-1]), np.float32)
    ends = smoothstep(side, -0.36, -0.26), 1 - smoothstep(side, 0.28, 0.42)
    brow = np.exp(-(((grid.y - line) / thickness) ** 4)) * ends[0] * ends[1]
    _mix(colour, hair, np.clip(brow * (0.78 + 0.22 * hairs), 0, 0.95))
    cheeks_and_chin = smoothstep(np.abs(grid.x), 0.3, 0.6) + smoothstep(
        grid.y, shape.mouth_y + 0.16, shape.mouth_y + 0.26
    )
    jaw = smoothstep(grid.y, 0.55, 1.0) * cheeks_and_chin
    lip_free = 1 - np.clip(1.6 * bump(grid, 0, shape.mouth_y, shape.mouth_half_width * 0.95, 0.13), 0, 1)
    beard = np.clip(jaw, 0, 1) * skin.stubble
    above = bump(grid, 0, shape.mouth_y - 0.2, 0.42, 0.09) * max(skin.moustache, skin.stubble * 0.7)
    growth = np.clip((np.maximum(beard, above)) * lip_free * (0.75 + 0.3 * strands), 0, 0.92)
    _mix(colour, hair, growth * (0.4 + 0.6 * skin.stubble if skin.stubble > 0.5 else 0.55))


def _mix(colour: Array, other: Array, weight: Array) -> None:
    colour[:] = colour * (1 - weight[..., None]) + other * weight[..., None]


def _ears(identity: Identity, grid: Sheet, colour: Array, height: Array) -> Array:
    """Paint the ears next to the face, in place, and return their coverage."""
    shape = identity.shape
    centre = shape.half_width * 0.97 + 0.06
    field = 1 - ((np.abs(grid.x) - centre - 0.05 * (0.2 - grid.y)) / 0.16) ** 2 - ((grid.y - 0.2) / 0.4) ** 2
    cover = anatomy.coverage(field)
    outside = anatomy.head_field(grid, shape) < 0.02
    region = (cover > 0) & outside
    depth = np.sqrt(np.maximum(field, 0))
    height[region] = (0.12 * depth + 0.05 * np.sin(6 * field))[region]
    colour[region] *= (0.55 + 0.45 * depth[region])[:, None] * np.array([1.05, 0.85, 0.83], np.float32)
    return cover


def _hair(identity: Identity, grid: Sheet, rng: np.random.Generator) -> tuple[Array, Array, Array] | None:
    """Return mask, colour and height of the hair in front of the head; None for bald people."""
    hair, shape = identity.hair, identity.shape
    if hair.style == "bald":
        return None
    outer = _hair_outline(hair, grid, shape)
    ragged = 0.05 * hair.roughness * anatomy.noise(rng, grid.x.shape, 60)
    cover = anatomy.coverage(outer + ragged * (0.6 if hair.style != "curly" else 2.0))
    colour, fibres = _strands(hair, grid, rng)
    inside_skull = np.where(grid.y < 0.45, anatomy.head_field(grid, shape) * 3 - 0.05, 1.0)
    face = np.minimum(_face_opening(hair, grid, shape) + ragged + 0.03 * fibres, inside_skull)
    mask = cover * (1 - smoothstep(face, -0.04, 0.07))
    smooth = cv2.GaussianBlur(outer, (0, 0), 6)
    height = shape.depth * np.sqrt(np.maximum(smooth, 0) + 0.03) + 0.1 + 0.012 * fibres
    return np.asarray(mask, np.float32), colour, np.asarray(height, np.float32)


def _hair_outline(hair: Hair, grid: Sheet, shape: FaceShape) -> Array:
    """Return a field that is positive inside the outer silhouette of the hair."""
    grow = hair.volume
    skull = anatomy.head_field(grid, shape, grow)
    if hair.style in ("bob", "long"):
        bottom = shape.mouth_y + (0.1 if hair.style == "bob" else 1.2)
        width = shape.half_width + grow + 0.12 * smoothstep(grid.y, 0.0, 1.4)
        curtain = np.minimum(1 - (np.abs(grid.x) / width) ** 3, (bottom - grid.y) * 1.5)
        return np.asarray(np.maximum(skull, np.minimum(curtain, grid.y + 0.03)), np.float32)
    sideburn = 0.35 if hair.style != "crop" else 0.1
    return np.asarray(np.minimum(skull, (sideburn - grid.y) * 2 + 0.2), np.float32)


def _face_opening(hair: Hair, grid: Sheet, shape: FaceShape) -> Array:
    """Return a field that is positive where the face shows."""
    middle = hair.hairline_y - (0.3 if hair.style == "receding" else 0.0)
    line = np.full_like(grid.x, middle)
    if hair.style in ("parted", "bob", "long"):
        line += 0.32 * np.abs(grid.x - hair.parting_x) ** 1.5
    elif hair.style == "receding":
        line += 0.2 * bump(grid, 0, middle, 0.2, 2.0) - 0.25 * bump(grid, 0.55, middle, 0.25, 2.0, pair=True)
    width = shape.half_width * (0.86 if hair.style in ("bob", "long") else 0.95)
    top = (grid.y - line) / 0.9
    across = np.abs(grid.x) / width
    return np.asarray(np.minimum(top, 1 - across ** (4.0 if hair.style in ("bob", "long") else 6.0)), np.float32)


def _strands(hair: Hair, grid: Sheet, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the colour of the hair and the height of its fibres."""
    if hair.style in ("curly", "crop"):
        cells = 38 if hair.style == "curly" else 90
        fibres = anatomy.noise(rng, grid.x.shape, cells) + 0.6 * anatomy.noise(rng, grid.x.shape, cells * 2.3)
    else:
        start_x = hair.parting_x if hair.style != "short" else 0.3 * hair.parting_x
        angle = np.arctan2(grid.x - start_x, grid.y + 1.9) + 0.05 * anatomy.noise(rng, grid.x.shape, 6)
        radius = np.hypot(grid.x - start_x, grid.y + 1.9)
        table = anatomy.noise(rng, (24, 512), 24)
        columns, rows = ((angle / np.pi + 1) * 255.5).astype(np.float32), (radius * 4).astype(np.float32)
        fibres = cv2.remap(table, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shade = np.exp((0.16 if hair.style == "curly" else 0.28) * fibres)
    shade = shade * (1 + 0.12 * anatomy.noise(rng, grid.x.shape, 5))
    colour = np.asarray(hair.colour, np.float32) * shade[..., None]
    return np.asarray(colour, np.float32), np.asarray(fibres, np.float32)


def back_hair_colour(hair: Hair) -> Colour:
    """Return the colour of the shaded hair behind the neck."""
    return (hair.colour[0] * 0.45, hair.colour[1] * 0.45, hair.colour[2] * 0.45)
