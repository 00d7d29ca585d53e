"""What is behind and below the head: the room, the neck, the clothes, and hair that falls behind the neck."""

from __future__ import annotations

import cv2
import numpy as np

from veridical.puppets import anatomy
from veridical.puppets.anatomy import Array, Sheet, noise, smoothstep
from veridical.puppets.identity import Identity, Studio
from veridical.puppets.skin import back_hair_colour
from veridical.randomness import stream


def room(identity: Identity) -> Array:
    """Return the background (H, W, 3) in linear RGB, at the size of the frame."""
    studio = identity.studio
    rng = stream(studio.room_seed, "room")
    size = (studio.height, studio.width)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    grid = Sheet(columns / studio.height, rows / studio.height)
    mix, blur = _PATTERNS[studio.backdrop](grid, rng)
    first, second = (np.asarray(colour, np.float32) for colour in studio.backdrop_colours)
    image = first * (1 - mix[..., None]) + second * mix[..., None]
    light = 1 + 0.35 * studio.key_direction[0] * (grid.x - 0.5) - 0.25 * (grid.y - 0.5)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur) * light[..., None]
    return np.asarray(np.clip(image * (1 + 0.03 * noise(rng, size, 40)[..., None]), 0.003, 1.0), np.float32)


def _gradient(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    angle = rng.uniform(0, 2 * np.pi)
    value = (grid.x - 0.5) * np.cos(angle) + (grid.y - 0.5) * np.sin(angle)
    return smoothstep(value + 0.05 * noise(rng, grid.x.shape, 4), -0.5, 0.5), 1.0


def _blobs(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    return smoothstep(noise(rng, grid.x.shape, 5), -0.8, 0.8), 6.0


def _window(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    left, top = rng.uniform(-0.1, 0.5), rng.uniform(-0.2, 0.1)
    inside = (grid.x > left) & (grid.x < left + 0.9) & (grid.y > top) & (grid.y < top + 0.7)
    pane = inside & ((grid.x - left) % 0.45 > 0.04)
    return pane.astype(np.float32) * rng.uniform(0.7, 1.0), 3.0


def _shelf(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    spacing = rng.uniform(0.22, 0.35)
    books = noise(rng, (8, 64), 8)
    row, column = (grid.y / spacing).astype(int) % 8, (grid.x * 38).astype(int) % 64
    board = (grid.y / spacing) % 1 < 0.12
    value = np.clip(0.5 + 0.45 * books[row, column], 0, 1)
    return np.where(board, 0.1, value).astype(np.float32), 2.5


def _bricks(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    size = rng.uniform(0.07, 0.11)
    row = np.floor(grid.y / size)
    x = grid.x / (2.4 * size) + 0.5 * (row % 2)
    joint = ((grid.y / size) % 1 < 0.12) | (x % 1 < 0.06)
    tone = noise(rng, (32, 32), 32)[row.astype(int) % 32, np.floor(x).astype(int) % 32]
    return np.where(joint, 0.0, np.clip(0.65 + 0.2 * tone, 0, 1)).astype(np.float32), 0.8


def _stripes(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    angle = rng.uniform(-0.3, 0.3)
    phase = (grid.x * np.cos(angle) + grid.y * np.sin(angle)) * rng.uniform(6, 14)
    return (0.5 + 0.5 * np.tanh(4 * np.sin(2 * np.pi * phase))).astype(np.float32), 0.9


def _bokeh(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    value = np.zeros_like(grid.x)
    for _ in range(26):
        distance = np.hypot(grid.x - rng.uniform(0, 1.4), grid.y - rng.uniform(0, 1)) / rng.uniform(0.02, 0.08)
        value += rng.uniform(0.15, 0.8) * (1 - smoothstep(distance, 0.85, 1.0))
    return np.clip(value, 0, 1.2), 0.8


def _tiles(grid: Sheet, rng: np.random.Generator) -> tuple[Array, float]:
    size = rng.uniform(0.1, 0.18)
    row, column = np.floor(grid.y / size).astype(int), np.floor(grid.x / size).astype(int)
    return (((row + column) % 2) * 0.8 + 0.1 * noise(rng, grid.x.shape, 20)).astype(np.float32), 0.7


_PATTERNS = {
    "gradient": _gradient, "blobs": _blobs, "window": _window, "shelf": _shelf,
    "bricks": _bricks, "stripes": _stripes, "bokeh": _bokeh, "tiles": _tiles,
}  # fmt: skip


def torso(identity: Identity) -> Array:
    """Return neck, shoulders and back hair (H, W, 4) as linear RGB and coverage, at the size of the frame, head upright."""
    studio, shape = identity.studio, identity.shape
    grid = _body_grid(studio)
    rng = stream(identity.seed, "torso")
    size = grid.x.shape
    density = studio.eye_distance_px
    layer = np.zeros((*size, 4), np.float32)
    if identity.hair.style in ("bob", "long"):
        _paint_back_hair(identity, grid, layer, rng)
    neck_width = 0.6 * shape.half_width + 0.04 + 0.25 * smoothstep(grid.y, shape.chin_y + 0.2, shape.chin_y + 1.0)
    neck = np.minimum(neck_width - np.abs(grid.x), (grid.y - 0.6) * 3)
    skin = np.asarray(identity.skin.colour, np.float32) * (0.95 + 0.05 * noise(rng, size, 30))[..., None]
    throat = 1 - 0.6 * np.exp(-(((grid.y - shape.chin_y) / 0.4) ** 2)) * (grid.y < shape.chin_y + 0.8)
    _paint(layer, skin * throat[..., None], anatomy.coverage(neck, density), _cylinder(grid.x, neck_width), studio)
    shoulder_y = shape.chin_y + 0.55 + 0.12 * grid.x**2 + 0.02 * np.abs(grid.x)
    body = (grid.y - shoulder_y) + 0.25 - 0.25 * np.minimum(np.abs(grid.x) / 0.8, 1)
    cloth = np.minimum(body, 3.1 - np.abs(grid.x)) - _neck_opening(identity, grid)
    folds = np.clip(0.8 * cloth, 0, 0.8) + 0.05 * noise(rng, size, 7)
    _paint(layer, _clothes(identity, grid, rng), anatomy.coverage(cloth, density), _slopes(folds, density), studio)
    return layer


def _body_grid(studio: Studio) -> Sheet:
    rows, columns = np.mgrid[0 : studio.height, 0 : studio.width].astype(np.float32)
    x = (columns - studio.centre[0] * studio.width) / studio.eye_distance_px
    return Sheet(x, (rows - studio.centre[1] * studio.height) / studio.eye_distance_px)


def _cylinder(x: Array, half_width: Array) -> tuple[Array, Array]:
    normal_x = np.clip(x / half_width, -0.97, 0.97)
    return normal_x, np.full_like(normal_x, 0.1)


def _slopes(height: Array, density: float) -> tuple[Array, Array]:
    slope_y, slope_x = np.gradient(height, 1 / density)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    return -slope_x / length, -slope_y / length


def _paint(layer: Array, colour: Array, cover: Array, normal: tuple[Array, Array], studio: Studio) -> None:
    """Shade a part and composite it over the layer."""
    normal_x, normal_y = normal
    normal_z = np.sqrt(np.clip(1 - normal_x**2 - normal_y**2, 0, 1))
    light_x, light_y, light_z = studio.key_direction
    key = np.clip((normal_x * light_x + normal_y * light_y + normal_z * light_z + 0.25) / 1.25, 0, 1)
    sky = (0.75 - 0.25 * normal_y)[..., None]
    light = key[..., None] * np.asarray(studio.key, np.float32) + sky * np.asarray(studio.ambient, np.float32)
    layer[..., :3] += (colour * light - layer[..., :3]) * cover[..., None]
    layer[..., 3] = np.maximum(layer[..., 3], cover)


def _paint_back_hair(identity: Identity, grid: Sheet, layer: Array, rng: np.random.Generator) -> None:
    shape, hair = identity.shape, identity.hair
    bottom = shape.mouth_y + (0.25 if hair.style == "bob" else 1.4) - 0.25 * (grid.x / shape.half_width) ** 2
    width = shape.half_width + hair.volume + 0.15 * smoothstep(grid.y, -0.5, 1.2)
    dome = 1 - (grid.x / width) ** 2 - (np.minimum(grid.y, 0) / (-shape.crown_y + hair.volume)) ** 2
    field = np.minimum(dome, bottom - grid.y + 0.06 * noise(rng, grid.x.shape, 24))
    strands = np.exp(0.25 * cv2.GaussianBlur(noise(rng, grid.x.shape, 140), (0, 0), sigmaX=0.6, sigmaY=12) * 4)
    colour = np.asarray(back_hair_colour(hair), np.float32) * strands[..., None]
    cover = anatomy.coverage(field, identity.studio.eye_distance_px)
    _paint(layer, colour, cover, _cylinder(grid.x, width), identity.studio)


def _neck_opening(identity: Identity, grid: Sheet) -> Array:
    """Return a field that is positive where the collar is open."""
    top = identity.shape.chin_y + 0.5
    if identity.extras.collar == "crew":
        return np.asarray(np.clip(0.75 - np.hypot(grid.x, (grid.y - top) * 1.6), 0, None) * 3, np.float32)
    narrow = 1.1 if identity.extras.collar == "vee" else 0.7
    opening = np.clip(0.62 - np.abs(grid.x) - (grid.y - top) / narrow * 0.5, 0, None) * 3
    return np.asarray(opening * (np.abs(grid.x) < 0.62), np.float32)


def _clothes(identity: Identity, grid: Sheet, rng: np.random.Generator) -> Array:
    extras = identity.extras
    pattern = extras.clothes_pattern
    tone = 1 + 0.05 * noise(rng, grid.x.shape, 120)
    if pattern == "stripes":
        tone = tone * np.where(np.sin(grid.y * 22) > 0.2, 1.0, 0.45)
    elif pattern == "checks":
        tone = tone * (0.7 + 0.3 * (np.sin(grid.x * 14) > 0)) * (0.7 + 0.3 * (np.sin(grid.y * 14) > 0))
    elif pattern == "knit":
        tone = tone * (0.85 + 0.15 * np.sin(grid.x * 60 + 2 * np.sin(grid.y * 60)))
    return np.asarray(np.asarray(extras.clothes, np.float32) * tone[..., None], np.float32)
