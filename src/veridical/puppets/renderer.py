"""Renders a performance: pose the face on its sheet, turn the head in space, shade, composite, and expose the frame.

The head is a height field seen in perspective. Fixed-point iteration finds the point of the sheet that each pixel shows (on a
coarse grid, since the map is smooth); textures and normals are then fetched and lit. A frame takes about 10 ms on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from veridical.puppets import anatomy
from veridical.puppets.anatomy import DENSITY, X_MAX, Y_MAX, Array
from veridical.puppets.backdrop import room, torso
from veridical.puppets.features import EyePose, Eyes, Glasses, Mouth, MouthPose
from veridical.puppets.identity import Identity
from veridical.puppets.motion import Performance
from veridical.puppets.skin import paint_head
from veridical.puppets.truth import Truth, sheet_landmarks
from veridical.randomness import stream

Layer = Callable[[Array, int], None]
"""Paints over the linear light (H, W, 3) of the frame with this index."""
_PIVOT = np.array([0.0, 1.3, -0.7])
"""The point about which the head turns on the neck, in eye distances."""
_COARSE = 4
_KEY_ON_SKIN = (1.06, 0.99, 0.97)
"""Gain per channel of the key light on skin, which makes it a little warmer."""
_GRAIN_MARGIN = 64


@dataclass(frozen=True)
class HeadPose:
    """Where the head is in one frame."""

    rotation: npt.NDArray[np.float64]
    """(3, 3)."""
    origin_px: tuple[float, float]
    """Where the point between the eyes would be if the head were not turned."""
    scale_px: float
    """Pixels per eye distance."""
    perspective: float


class Camera:
    """Turns linear light into 8-bit frames: lens blur, vignette, exposure, tone curve and sensor noise; one per clip."""

    def __init__(self, identity: Identity, seed: int) -> None:
        studio = identity.studio
        self._studio = studio
        self._rng = stream(seed, "camera")
        rows, columns = np.mgrid[0 : studio.height, 0 : studio.width].astype(np.float32)
        radius = np.hypot(rows / studio.height - 0.5, (columns - studio.width / 2) / studio.height)
        vignette = 1 - studio.vignette * np.clip(radius / 0.75, 0, 1.2) ** 2
        gain = vignette[..., None] * np.asarray(studio.tint, np.float32)
        self._gain = (gain * studio.exposure).astype(np.float32)
        size = (studio.height + _GRAIN_MARGIN, studio.width + _GRAIN_MARGIN)
        grey = self._rng.standard_normal((*size, 1), dtype=np.float32)
        colour = self._rng.standard_normal((*size, 3), dtype=np.float32)
        grain = 0.8 * grey + 0.5 * colour
        if studio.noise > 2.5:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * 1.7
        self._noise = (grain * (0.6 * studio.noise)).astype(np.float32)
        self._flicker = 1.0

    def expose(self, light: Array) -> npt.NDArray[np.uint8]:
        """Return the frame (H, W, 3) uint8 for linear light (H, W, 3); call once per frame, in order."""
        studio = self._studio
        self._flicker += 0.2 * (1 - self._flicker) + 0.004 * float(self._rng.standard_normal())
        image = cv2.GaussianBlur(light, (0, 0), studio.sharpness_px) if studio.sharpness_px > 0.3 else light
        image = image * (self._gain * np.float32(self._flicker))
        image = image * (1.0 / (1.0 + 0.22 * image)) * np.float32(1.12)
        image = np.maximum(image, 0)
        image = cv2.sqrt(image) if abs(studio.gamma - 1) < 0.02 else cv2.pow(image, 0.5 * studio.gamma)
        dy, dx = (int(value) for value in self._rng.integers(0, _GRAIN_MARGIN, 2))
        grain = self._noise[dy : dy + studio.height, dx : dx + studio.width]
        image = cv2.add(image * np.float32(255), grain)
        return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0)), np.uint8)


class Renderer:
    """Renders one person; build it once, then use it for all clips of that person."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        grid = anatomy.sheet()
        self._rest = paint_head(identity, grid)
        self._mouth, self._eyes, self._glasses = Mouth(identity), Eyes(identity), Glasses(identity, grid)
        self._room, self._torso = room(identity), torso(identity)
        self._torso_top = max(0, int(np.argmax(self._torso[..., 3].max(axis=1) > 0)) - 8)

    def frames(
        self, performance: Performance, seed: int, *, behind: Sequence[Layer] = (), before: Sequence[Layer] = ()
    ) -> tuple[npt.NDArray[np.uint8], Truth]:
        """Return the frames (N, H, W, 3) uint8 RGB and their ground truth.

        Args:
            performance: What the face does.
            seed: Determines the camera's noise.
            behind: Layers between the room and the person.
            before: Layers between the person and the camera.
        """
        studio = self.identity.studio
        camera = Camera(self.identity, seed)
        frames = np.empty((len(performance), studio.height, studio.width, 3), np.uint8)
        truths = []
        for index in range(len(performance)):
            light = self._room.copy()
            for layer in behind:
                layer(light, index)
            truths.append(self.paint_onto(light, performance, index))
            for layer in before:
                layer(light, index)
            frames[index] = camera.expose(light)
        return frames, Truth.stack(truths)

    def paint_onto(self, light: Array, performance: Performance, index: int) -> Truth:
        """Paint the person over linear light (H, W, 3) and return the ground truth of this frame."""
        mouth, eyes, head = self._poses(performance, index)
        self._put_torso(light, head)
        self._put_head(light, mouth, eyes, head)
        points = sheet_landmarks(self.identity.shape, mouth, eyes)
        return Truth.one({name: self._to_pixels(head, values) for name, values in points.items()}, mouth)

    def _poses(self, performance: Performance, index: int) -> tuple[MouthPose, EyePose, HeadPose]:
        studio, track = self.identity.studio, performance.mouth
        channels = {
            name: float(getattr(track, name)[index]) for name in ("jaw", "spread", "press", "tuck", "tongue", "upper")
        }
        smile = float(performance.smile[index])
        mouth = MouthPose.of(self.identity.shape, smile=smile, **channels)
        gaze = (float(performance.gaze[index, 0]), float(performance.gaze[index, 1]))
        eyes = EyePose(1 - float(performance.blink[index]), gaze, float(performance.brow[index]), max(smile, 0.0))
        rotation = _rotation(
            *(float(angles[index]) for angles in (performance.yaw, performance.pitch, performance.roll))
        )
        shift = performance.shift[index] * studio.eye_distance_px
        origin = (studio.centre[0] * studio.width + float(shift[0]), studio.centre[1] * studio.height + float(shift[1]))
        return mouth, eyes, HeadPose(rotation, origin, studio.eye_distance_px, studio.perspective)

    def _put_head(self, light: Array, mouth: MouthPose, eyes: EyePose, head: HeadPose) -> None:
        paint, surface = self._rest.paint.copy(), self._rest.surface.copy()
        self._mouth.draw(self._rest, paint, surface, mouth)
        self._eyes.draw(self._rest, paint, surface, eyes)
        self._glasses.draw(paint, surface)
        window, map_x, map_y = self._view(head)
        seen = cv2.remap(paint, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        shape = cv2.remap(surface, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        colour = self._shade(seen[..., :3], shape, head)
        target = light[window]
        target += (colour - target) * seen[..., 3:]

    def _put_torso(self, light: Array, head: HeadPose) -> None:
        studio = self.identity.studio
        dx = 0.45 * (head.origin_px[0] - studio.centre[0] * studio.width)
        dy = 0.45 * (head.origin_px[1] - studio.centre[1] * studio.height)
        rows = slice(self._torso_top, None)
        move = np.array([[1, 0, dx], [0, 1, dy]])
        source = self._torso[rows]
        size = source.shape[1::-1]
        layer = cv2.warpAffine(source, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        target = light[rows]
        target += (layer[..., :3] - target) * layer[..., 3:]

    def _view(self, head: HeadPose) -> tuple[tuple[slice, slice], Array, Array]:
        """Return the window of the frame that the head may cover, and for its pixels the texels that they show."""
        studio = self.identity.studio
        reach_x, reach_y = 1.75 * head.scale_px, 2.4 * head.scale_px
        x0, x1 = (int(np.clip(head.origin_px[0] + side * reach_x, 0, studio.width)) for side in (-1, 1))
        y0, y1 = (int(np.clip(head.origin_px[1] + side * reach_y, 0, studio.height)) for side in (-1, 1))
        columns = np.arange(x0, x1 + _COARSE, _COARSE, dtype=np.float32)
        rows = np.arange(y0, y1 + _COARSE, _COARSE, dtype=np.float32)
        x, y = self._find_texels(head, *np.meshgrid(columns, rows))
        step = np.array([[1 / _COARSE, 0, 0], [0, 1 / _COARSE, 0]])
        size = (x1 - x0, y1 - y0)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        maps = [
            cv2.warpAffine(values, step, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for values in ((x + X_MAX) * DENSITY, (y + Y_MAX) * DENSITY)
        ]
        return (slice(y0, y1), slice(x0, x1)), maps[0], maps[1]

    def _find_texels(self, head: HeadPose, pixel_x: Array, pixel_y: Array) -> tuple[Array, Array]:
        goal_x = (pixel_x - head.origin_px[0]) / head.scale_px
        goal_y = (pixel_y - head.origin_px[1]) / head.scale_px
        x, y = goal_x.astype(np.float32), goal_y.astype(np.float32)
        for _ in range(8):
            columns, rows = (x + X_MAX) * DENSITY, (y + Y_MAX) * DENSITY
            height = cv2.remap(self._rest.geometry, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            seen_x, seen_y = _project(head, x, y, height)
            x = (x + 0.9 * (goal_x - seen_x)).astype(np.float32)
            y = (y + 0.9 * (goal_y - seen_y)).astype(np.float32)
        return x, y

    def _shade(self, colour: Array, surface: Array, head: HeadPose) -> Array:
        """Return the light that the head reflects towards the camera."""
        studio = self.identity.studio
        light = head.rotation.T @ np.asarray(studio.key_direction)
        normal_x, normal_y, lit, shine = cv2.split(surface)
        normal_z = cv2.sqrt(np.maximum(1 - normal_x * normal_x - normal_y * normal_y, 0.0))
        facing = normal_x * np.float32(light[0]) + normal_y * np.float32(light[1]) + normal_z * np.float32(light[2])
        wrap = np.float32(0.35 - 0.25 * studio.hardness)
        key = np.clip((facing + wrap) / (1 + wrap), 0, 1)
        if studio.posterise > 0:
            key = _in_steps(key, studio.posterise)
        key *= lit
        halfway = light + head.rotation.T @ np.array([0.0, 0.0, 1.0])
        halfway = halfway / np.linalg.norm(halfway)
        half_x, half_y, half_z = (np.float32(value) for value in halfway)
        gloss = np.clip(normal_x * half_x + normal_y * half_y + normal_z * half_z, 0, 1)
        for _ in range(4):
            gloss = gloss * gloss
        gloss = gloss * shine * lit * np.float32(0.5)
        sky = 0.72 - 0.28 * normal_y
        rim = np.float32(studio.rim) * (1 - normal_z) ** 3 * np.clip(0.3 - np.sign(light[0]) * normal_x, 0, 1)
        channels = []
        for i, plane in enumerate(cv2.split(np.ascontiguousarray(colour))):
            key_light = np.float32(studio.key[i])
            diffuse = key * key_light * np.float32(_KEY_ON_SKIN[i]) + sky * np.float32(studio.ambient[i]) + rim
            channels.append(plane * diffuse + gloss * key_light)
        return np.asarray(cv2.merge(channels), np.float32)

    def _to_pixels(self, head: HeadPose, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        x, y = (np.asarray(points[:, axis], np.float32)[None] for axis in (0, 1))
        height = cv2.remap(self._rest.geometry, (x + X_MAX) * DENSITY, (y + Y_MAX) * DENSITY, cv2.INTER_LINEAR)
        seen_x, seen_y = _project(head, x, y, height)
        pixels = [
            seen[0] * head.scale_px + origin for seen, origin in zip((seen_x, seen_y), head.origin_px, strict=True)
        ]
        return np.stack(pixels, axis=1).astype(np.float32)


def _rotation(yaw: float, pitch: float, roll: float) -> npt.NDArray[np.float64]:
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _project(head: HeadPose, x: Array, y: Array, height: Array) -> tuple[Array, Array]:
    """Return where points of the sheet appear, in eye distances from the head's origin."""
    px, py, pz = x - _PIVOT[0], y - _PIVOT[1], height - _PIVOT[2]
    r = head.rotation
    turned_x = r[0, 0] * px + r[0, 1] * py + r[0, 2] * pz + _PIVOT[0]
    turned_y = r[1, 0] * px + r[1, 1] * py + r[1, 2] * pz + _PIVOT[1]
    near = r[2, 0] * px + r[2, 1] * py + r[2, 2] * pz + _PIVOT[2]
    size = 1 / (1 - head.perspective * (near - 0.7))
    return turned_x * size, turned_y * size


def _in_steps(key: Array, amount: float) -> Array:
    """Mix smooth shading with shading in four painted steps."""
    scaled = key * 4
    step = np.floor(scaled)
    edge = np.clip((scaled - step - 0.5) * 5 + 0.5, 0, 1)
    return np.asarray(key * (1 - amount) + amount * (step + edge) / 4, np.float32)
