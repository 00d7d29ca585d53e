"""The moving parts of the face, drawn on the sheet frame by frame: mouth with teeth and tongue, jaw, eyes, lids, brows, glasses.

Skin is deformed column by column: marked heights (edges of lids and lips, the chin) map from their place in this frame to
their place in the neutral pose, piecewise linearly in between. The gap between lips or lids shows mouth cavity or eyeball.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from veridical.puppets.anatomy import DENSITY, X_MAX, Y_MAX, Array, Sheet, sheet, smoothstep
from veridical.puppets.identity import Extras, FaceShape, Identity
from veridical.puppets.skin import HeadTexture, lip_profiles

_TABLE_REACH, _TABLE_SIZE = 4.0, 1025


@dataclass(frozen=True)
class MouthPose:
    """The mouth in one frame; lengths are in eye distances."""

    half_width: float
    jaw_drop: float
    open_up: float
    """Distance from the lip line to the edge of the upper lip, in the middle."""
    open_down: float
    upper_scale: float
    """Thickness of the upper lip relative to the neutral pose."""
    lower_scale: float
    smile: float
    tongue: float

    @classmethod
    def of(
        cls,
        shape: FaceShape,
        *,
        jaw: float,
        spread: float,
        press: float,
        tuck: float,
        tongue: float,
        upper: float,
        smile: float,
    ) -> MouthPose:
        """Convert viseme channels to lengths."""
        free = 1 - min(press, 1.0)
        stretch = 0.13 * spread if spread > 0 else 0.34 * spread
        drop = 0.30 * max(jaw, 0.0)
        down = max(0.0, drop * 1.02 - 0.012) * free * (1 - 0.8 * tuck)
        return cls(
            half_width=shape.mouth_half_width * (1 + stretch + 0.12 * smile - 0.06 * jaw),
            jaw_drop=drop,
            open_up=(0.035 * jaw + 0.05 * upper) * free,
            open_down=down,
            upper_scale=(1 - 0.12 * jaw - 0.45 * press - 0.15 * spread),
            lower_scale=(1 - 0.15 * jaw - 0.45 * press - 0.45 * tuck - 0.15 * spread),
            smile=smile,
            tongue=tongue,
        )


@dataclass(frozen=True)
class EyePose:
    """Both eyes in one frame."""

    lid: float
    """1 open to 0 closed."""
    gaze: tuple[float, float]
    brow: float
    squint: float


class _Region:
    """A rectangle of the sheet with its texel coordinates."""

    def __init__(self, x0: float, x1: float, y0: float, y1: float) -> None:
        columns = [round((value + X_MAX) * DENSITY) for value in (x0, x1)]
        rows = [round((value + Y_MAX) * DENSITY) for value in (y0, y1)]
        grid = sheet()
        height, width = grid.x.shape
        self.slices = (slice(max(rows[0], 0), min(rows[1], height)), slice(max(columns[0], 0), min(columns[1], width)))
        self.x = np.ascontiguousarray(grid.x[self.slices])
        self.y = np.ascontiguousarray(grid.y[self.slices])


def _map_columns(y: Array, now: Sequence[Array | float], rest: Sequence[Array | float]) -> Array:
    """Map heights piecewise linearly from `now[i]` to `rest[i]`; beyond the outermost marks they are shifted."""
    result = np.minimum(y - now[0], 0) + rest[0]
    for index in range(len(now) - 1):
        gap = np.maximum(now[index + 1] - now[index], 1e-3)
        result = result + np.clip(y - now[index], 0, gap) * ((rest[index + 1] - rest[index]) / gap)
    return np.asarray(result + np.maximum(y - now[-1], 0), np.float32)


def _fetch(texture: Array, x: Array, y: Array) -> Array:
    columns, rows = (x + X_MAX) * DENSITY, (y + Y_MAX) * DENSITY
    fetched = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(fetched, np.float32)


def _over(paint: Array, colour: Array, weight: Array) -> None:
    """Blend a colour into the first three channels, in place."""
    paint[..., :3] += (colour - paint[..., :3]) * weight[..., None]


class Mouth:
    """Draws the lower face of one person."""

    def __init__(self, identity: Identity) -> None:
        shape = identity.shape
        self.shape = shape
        self._region = region = _Region(-1.3, 1.3, shape.nose_y + 0.05, shape.chin_y + 0.45)
        self._inner = _Region(-0.66, 0.66, shape.mouth_y - 0.2, shape.mouth_y + 0.44)
        self._jaw_weight = (1 - smoothstep(np.abs(region.x), 0.35, 1.15)).astype(np.float32)
        self._width_weight = np.exp(-(((region.y - shape.mouth_y) / 0.4) ** 2)).astype(np.float32)
        reach = np.linspace(-_TABLE_REACH, _TABLE_REACH, _TABLE_SIZE, dtype=np.float32)[None]
        self._profiles = np.dstack(lip_profiles(shape, reach))
        self._teeth_colour = np.array([0.62, 0.58, 0.5], np.float32) * (1 - 0.25 * shape.age)
        self._gum = np.asarray(identity.skin.lip_colour, np.float32) * 0.5 + np.array([0.12, 0.02, 0.02], np.float32)

    def draw(self, rest: HeadTexture, paint: Array, surface: Array, pose: MouthPose) -> None:
        """Draw the lower face in a pose onto `paint` and `surface`."""
        region, shape = self._region, self.shape
        u = region.x[:1] / pose.half_width
        edges = lip_edges(shape, pose, u)
        rest_x = self._rest_x(pose)
        seam, upper, lower = cv2.split(self._profiles_at(rest_x))
        line = shape.mouth_y + seam
        nose_base = shape.nose_y + 0.2
        drop = pose.jaw_drop * self._jaw_weight * 0.85
        floor = 0.02
        now = (nose_base, edges[0] - floor, edges[1], edges[2], edges[3] + floor, shape.chin_y + drop)
        marks = (nose_base, line - upper - floor, line, line, line + lower + floor, shape.chin_y)
        rest_y = _map_columns(region.y, now, marks)
        paint[region.slices] = _fetch(rest.paint, rest_x, rest_y)
        surface[region.slices] = _fetch(rest.surface, rest_x, rest_y)
        self._draw_inside(paint[self._inner.slices], surface[self._inner.slices], pose)

    def _profiles_at(self, rest_x: Array) -> Array:
        """Return lip line, upper and lower lip (H, W, 3) in the neutral pose, from a table."""
        column = (rest_x / self.shape.mouth_half_width + _TABLE_REACH) * ((_TABLE_SIZE - 1) / (2 * _TABLE_REACH))
        row = np.zeros_like(column)
        profiles = cv2.remap(self._profiles, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(profiles, np.float32)

    def _rest_x(self, pose: MouthPose) -> Array:
        """Return the neutral x of each texel: undo the widening of the mouth, which fades out towards cheeks, nose and chin."""
        x, half, rest_half, far = self._region.x, pose.half_width, self.shape.mouth_half_width, 1.0
        size = np.abs(x)
        stretch = (far - rest_half) / (far - half)
        outer = rest_half + (np.minimum(size, far) - half) * stretch + np.maximum(size - far, 0)
        moved = np.sign(x) * np.where(size < half, size * (rest_half / half), outer)
        return np.asarray(x + (moved - x) * self._width_weight, np.float32)

    def _draw_inside(self, paint: Array, surface: Array, pose: MouthPose) -> None:
        x, y = self._inner.x[:1], self._inner.y
        u = x / pose.half_width
        _, top, bottom, _ = lip_edges(self.shape, pose, u)
        sharp = DENSITY * 0.9
        inside = np.clip((y - top) * sharp + 0.5, 0, 1) * np.clip((bottom - y) * sharp + 0.5, 0, 1) * (np.abs(u) < 1)
        if float(inside.max()) < 0.02 and pose.open_down + pose.open_up < 0.004:
            inside = np.zeros_like(inside)
        colour = self._cavity(pose, x, y, u, top, bottom)
        _over(paint, colour, inside)
        seam = np.exp(-(((y - (top + bottom) / 2) / 0.016) ** 2)) * np.clip((1.05 - np.abs(u)) * 8, 0, 1)
        paint[..., :3] *= (1 - 0.65 * seam * (1 - inside))[..., None]
        keep = (1 - inside)[..., None]
        surface *= keep
        surface[..., 2] += inside * 0.75
        surface[..., 1] += inside * 0.1

    def _cavity(self, pose: MouthPose, x: Array, y: Array, u: Array, top: Array, bottom: Array) -> Array:
        """Return the colours inside the mouth: dark throat, tongue, lower and upper teeth."""
        shape = self.shape
        colour = np.broadcast_to(np.array([0.05, 0.012, 0.012], np.float32), (*y.shape, 3)).copy()
        depth = np.clip(1 - np.abs(u), 0, 1) ** 0.5
        tongue_y = shape.mouth_y + pose.jaw_drop * 0.95 - 0.02 - 0.16 * pose.tongue * (0.4 + pose.jaw_drop)
        tongue = np.exp(-((x / (pose.half_width * 0.62)) ** 4)) * smoothstep(y, tongue_y - 0.06, tongue_y + 0.05)
        _over(colour, self._gum * 1.2, tongue * 0.8 * depth)
        lower_y = shape.mouth_y + pose.jaw_drop - 0.04
        self._row_of_teeth(colour, x, (y > lower_y + 0.05 * u * u), depth * 0.7, width=0.068)
        upper_edge = shape.mouth_y + 0.04 - 0.05 * u * u
        self._row_of_teeth(colour, x, (y < upper_edge), depth, width=0.095)
        shadow = np.clip((y - top) / 0.05, 0, 1) * 0.55 + 0.45
        return np.asarray(colour * (shadow * np.clip((bottom - y) / 0.03 + 0.5, 0.5, 1))[..., None], np.float32)

    def _row_of_teeth(self, colour: Array, x: Array, where: npt.NDArray[np.bool_], light: Array, width: float) -> None:
        gaps = 1 - 0.35 * np.exp(-(((((x / width + 0.5) % 1.0) - 0.5) / 0.09) ** 2))[..., None]
        _over(colour, self._teeth_colour * gaps * light[..., None], where.astype(np.float32) * 0.97)


def lip_edges(shape: FaceShape, pose: MouthPose, u: Array) -> tuple[Array, Array, Array, Array]:
    """Return the lips' edges (y): outer upper, inner upper, inner lower, outer lower; u runs from -1 to 1 across the mouth."""
    seam, upper, lower = lip_profiles(shape, u)
    inside = np.clip(1 - u * u, 0, 1)
    line = shape.mouth_y + seam - pose.smile * 0.075 * np.minimum(u * u, 1.4) + 0.02 * pose.smile
    line = line + pose.jaw_drop * 0.28 * np.minimum(u * u, 1.0)
    top = line - pose.open_up * inside**0.8
    bottom = line + pose.open_down * inside**0.65
    return top - upper * pose.upper_scale, top, bottom, bottom + lower * pose.lower_scale


class Eyes:
    """Draws the eyes, lids and brows of one person."""

    def __init__(self, identity: Identity) -> None:
        self.shape = identity.shape
        self.extras: Extras = identity.extras
        self._regions = {side: _Region(side * 0.5 - 0.42, side * 0.5 + 0.42, -0.85, 0.34) for side in (-1, 1)}
        self._iris = np.asarray(identity.extras.iris, np.float32)
        self._skin = np.asarray(identity.skin.colour, np.float32)

    def draw(self, rest: HeadTexture, paint: Array, surface: Array, pose: EyePose) -> None:
        """Draw both eyes in a pose onto `paint` and `surface`."""
        for side, region in self._regions.items():
            fade = 1 - smoothstep(np.abs(region.x[:1] - side * 0.5), 0.28, 0.42)
            across = (region.x[:1] - side * 0.5) / self.shape.eye_half_width
            top, bottom, shut = lid_edges(self.shape, pose, across, side)
            brow_y = self.shape.brow_y
            now = (-0.85, brow_y - 0.10 * pose.brow * fade, top, bottom, 0.34)
            rest_y = _map_columns(region.y, now, (-0.85, brow_y, shut, shut, 0.34))
            rest_y = region.y + (rest_y - region.y) * fade
            paint[region.slices] = _fetch(rest.paint, region.x, rest_y)
            surface[region.slices] = _fetch(rest.surface, region.x, rest_y)
            self._draw_eye(paint[region.slices], surface[region.slices], pose, side, (top, bottom))

    def _draw_eye(self, paint: Array, surface: Array, pose: EyePose, side: int, lids: tuple[Array, Array]) -> None:
        region = self._regions[side]
        x, y = region.x[:1] - side * 0.5, region.y
        u = x / self.shape.eye_half_width
        top, bottom = lids
        crease = np.exp(-(((y - top + 0.045 * pose.lid + 0.015) / 0.014) ** 2)) * np.clip((1.1 - np.abs(u)) * 4, 0, 1)
        paint[..., :3] *= (1 - 0.35 * crease * pose.lid)[..., None]
        sharp = DENSITY * 0.9
        inside = np.clip((y - top) * sharp + 0.3, 0, 1) * np.clip((bottom - y) * sharp + 0.3, 0, 1) * (np.abs(u) < 1)
        _over(paint, self._eyeball(x, y, pose, side, top), inside)
        lash = np.exp(-(((y - top + 0.004) / (0.013 + 0.012 * self.extras.lashes)) ** 2))
        lash = lash * np.clip((1.12 - np.abs(u)) * 6, 0, 1)
        paint[..., :3] *= (1 - (0.5 + 0.4 * self.extras.lashes) * lash)[..., None]
        rim = np.exp(-(((y - bottom - 0.01) / 0.014) ** 2)) * np.clip((1.05 - np.abs(u)) * 6, 0, 1)
        paint[..., :3] *= (1 - 0.25 * rim)[..., None]
        wet = inside * pose.lid
        surface[..., 0] += (x / 0.28 - surface[..., 0]) * wet
        surface[..., 1] += (y / 0.28 - surface[..., 1]) * wet
        surface[..., 3] += (0.12 - surface[..., 3]) * wet

    def _eyeball(self, x: Array, y: Array, pose: EyePose, side: int, top: Array) -> Array:
        """Return the colours of sclera, iris and pupil, with the shadow of the lid and a catchlight."""
        centre_x, centre_y = 0.085 * pose.gaze[0], 0.05 * pose.gaze[1] - 0.01
        radius = np.hypot(x - centre_x, y - centre_y)
        white = np.array([0.42, 0.385, 0.37], np.float32) * np.clip(1.08 - 1.3 * np.abs(x)[..., None], 0.5, 1)
        corner = np.exp(-(((x + side * 0.2) / 0.05) ** 2))[..., None]
        colour = np.repeat(white * (1 - corner * np.array([0.1, 0.45, 0.45], np.float32)), len(y), axis=0)
        spokes = 0.7 + 0.25 * np.cos(np.arctan2(y - centre_y, x - centre_x) * 17) * np.clip(radius / 0.1, 0, 1)
        spokes = spokes + 0.5 * smoothstep(y - centre_y, -0.02, 0.08)
        iris = self._iris * spokes[..., None] * (1 - 0.75 * smoothstep(radius, 0.08, 0.108))[..., None]
        _over(colour, iris, 1 - smoothstep(radius, 0.1, 0.118))
        colour *= smoothstep(radius, 0.034, 0.052)[..., None] * 0.97 + 0.03
        colour *= np.clip(0.45 + (y - top) / 0.09, 0.45, 1)[..., None]
        glint = np.exp(-((np.hypot(x - centre_x - 0.03, y - centre_y + 0.035) / 0.014) ** 2))
        return np.asarray(colour + 0.6 * glint[..., None], np.float32)


def lid_edges(shape: FaceShape, pose: EyePose, u: Array, side: int) -> tuple[Array, Array, Array]:
    """Return upper edge, lower edge and closing line (y) of the lids for u = -1 to 1; side -1 is left in the frame."""
    inside = np.clip(1 - u * u, 0, 1)
    tilt = -shape.eye_tilt * side * np.clip(u, -1.2, 1.2)
    shut = 0.035 * inside + tilt
    opened = pose.lid * (1 + 0.15 * max(pose.brow, 0.0))
    droop = 0.02 * np.clip(pose.gaze[1], 0, 1)
    top = shut - (shape.eye_opening * 1.35 - droop) * opened * inside**0.62
    bottom = shut + (shape.eye_opening * 0.3 - 0.03 * pose.squint) * pose.lid * inside**0.8
    return top, bottom, shut


class Glasses:
    """Paints glasses over the finished eyes; does nothing for people without."""

    def __init__(self, identity: Identity, grid: Sheet) -> None:
        kind = identity.extras.glasses
        self._parts: tuple[tuple[slice, slice], Array, Array, Array] | None = None
        if kind == "none":
            return
        power = {"round": 2.0, "square": 5.0, "rimless": 3.0}[kind]
        radius = {"round": (0.36, 0.33), "square": (0.38, 0.28), "rimless": (0.37, 0.27)}[kind]
        across, along = np.abs(np.abs(grid.x) - 0.5) / radius[0], np.abs(grid.y - 0.06) / radius[1]
        distance = (across**power + along**power) ** (1 / power)
        thick = {"round": 0.05, "square": 0.075, "rimless": 0.025}[kind]
        frame = np.exp(-(((distance - 1) / thick) ** 4))
        bridge = np.exp(-(((grid.y + 0.02 + 0.1 * (0.1 - np.abs(grid.x))) / 0.025) ** 4)) * (np.abs(grid.x) < 0.15)
        beside = (np.abs(grid.x) > 0.86) & (np.abs(grid.x) < identity.shape.half_width)
        temple = np.exp(-(((grid.y + 0.05) / 0.03) ** 4)) * beside
        opaque = np.clip(np.maximum(np.maximum(frame, bridge), temple), 0, 1) * (0.95 if kind != "rimless" else 0.6)
        streak = np.exp(-(((grid.x - np.sign(grid.x) * 0.42 + 0.5 * grid.y) / 0.05) ** 2)) * (distance < 0.95) * 0.10
        window = (slice(int((Y_MAX - 0.5) * DENSITY), int((Y_MAX + 0.6) * DENSITY)), slice(None))
        colour = np.asarray(identity.extras.glasses_colour, np.float32)
        self._parts = (window, opaque[window].astype(np.float32), streak[window].astype(np.float32), colour)

    def draw(self, paint: Array, surface: Array) -> None:
        """Draw the glasses onto `paint` and `surface`."""
        if self._parts is None:
            return
        window, opaque, streak, colour = self._parts
        _over(paint[window], colour, opaque)
        paint[window][..., :3] += streak[..., None]
        surface[window][..., 3] += (0.7 - surface[window][..., 3]) * opaque
