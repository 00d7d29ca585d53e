"""The ground truth of rendered frames: landmarks in pixels and how far the mouth is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from veridical.puppets.features import EyePose, MouthPose, lid_edges, lip_edges
from veridical.puppets.identity import FaceShape

_ACROSS = np.linspace(-1, 1, 11, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """True landmarks of N frames, (x, y) in pixels; left and right as seen in the frame."""

    five: npt.NDArray[np.float32]
    """(N, 5, 2) left eye, right eye, nose, left and right mouth corner."""
    lips_outer: npt.NDArray[np.float32]
    """(N, 22, 2) upper edge left to right, then lower edge left to right."""
    lips_inner: npt.NDArray[np.float32]
    """(N, 22, 2) likewise."""
    left_eye: npt.NDArray[np.float32]
    """(N, 22, 2) upper lid left to right, then lower lid left to right."""
    right_eye: npt.NDArray[np.float32]
    """(N, 22, 2) likewise."""
    outline: npt.NDArray[np.float32]
    """(N, 21, 2) edge of the face from the left temple around the chin to the right temple."""
    mouth_opening: npt.NDArray[np.float32]
    """(N,) gap between the lips at the middle of the mouth, in eye distances."""

    @classmethod
    def one(cls, points: Mapping[str, npt.NDArray[np.float32]], mouth: MouthPose) -> Truth:
        """Build the ground truth of a single frame."""
        opening = np.array([mouth.open_up + mouth.open_down], np.float32)
        return cls(**{name: values[None] for name, values in points.items()}, mouth_opening=opening)

    @classmethod
    def stack(cls, truths: Sequence[Truth]) -> Truth:
        """Concatenate frames in order of time."""
        names = [item.name for item in fields(cls)]
        return cls(**{name: np.concatenate([getattr(truth, name) for truth in truths]) for name in names})

    def joined_at(self, index: int, other: Truth) -> Truth:
        """Return this ground truth up to frame `index` (exclusive) and the other one from there on."""
        names = [item.name for item in fields(self)]
        return Truth(
            **{name: np.concatenate([getattr(self, name)[:index], getattr(other, name)[index:]]) for name in names}
        )


def sheet_landmarks(shape: FaceShape, mouth: MouthPose, eyes: EyePose) -> dict[str, npt.NDArray[np.float64]]:
    """Return the landmarks on the sheet, in eye distances, named as in `Truth`."""
    outer_top, inner_top, inner_bottom, outer_bottom = lip_edges(shape, mouth, _ACROSS)
    mouth_x = _ACROSS * mouth.half_width
    points = {
        "lips_outer": _pair(mouth_x, outer_top, outer_bottom),
        "lips_inner": _pair(mouth_x, inner_top, inner_bottom),
    }
    for name, side in (("left_eye", -1), ("right_eye", 1)):
        top, bottom, _ = lid_edges(shape, eyes, _ACROSS, side)
        points[name] = _pair(_ACROSS * shape.eye_half_width + 0.5 * side, top, bottom)
    corners = [(mouth_x[index], (inner_top[index] + inner_bottom[index]) / 2) for index in (0, -1)]
    points["five"] = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, shape.nose_y), *corners])
    points["outline"] = _outline(shape, mouth.jaw_drop)
    return points


def _pair(
    x: npt.NDArray[np.float32], top: npt.NDArray[np.float32], bottom: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    return np.concatenate([np.stack([x, top], axis=1), np.stack([x, bottom], axis=1)]).astype(np.float64)


def _outline(shape: FaceShape, jaw_drop: float) -> npt.NDArray[np.float64]:
    angle = np.linspace(np.pi, 0, 21)
    x = shape.half_width * np.cos(angle)
    depth = np.clip(1 - np.abs(np.cos(angle)) ** 2.2, 0, 1) ** (1 / shape.jaw_power)
    return np.stack([x, shape.chin_y * depth + 0.85 * jaw_drop * np.sin(angle) ** 4], axis=1)
