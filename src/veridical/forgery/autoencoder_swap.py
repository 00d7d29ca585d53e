"""Whole-face auto-encoder swap: the original deepfake recipe, small, trained on the pair at hand.

One encoder learns pose and expression from both faces, a decoder per person learns that person's looks; the target's
face is encoded and decoded by the donor's decoder. Inputs are randomly distorted and the undistorted face is asked
for, so that the encoder cannot copy. The result is coloured like the target's face and pasted through an oval window
in the pose-free view.

It takes 64 x 64 faces. Severity shortens the training from 480 to 120 steps: softer and less like the donor.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from veridical.faces import FACE_OVAL
from veridical.forgery.footage import Footage, Forged, donor_of, picture_forged
from veridical.forgery.shapes import FloatArray, face_width, without_pose
from veridical.forgery.warps import region_around

if TYPE_CHECKING:
    import torch

SIDE = 64
VIEW_WIDTHS = 1.3
"""Side of the view in face widths."""
MOST_STEPS = 480
BATCH = 8
LEARNING_RATE = 2e-3
CODE = 96
LOWEST_WEIGHT = 0.01

Faces = npt.NDArray[np.float32]


def autoencoder_swap(target: Footage, donor: Footage | None, severity: float, stream: np.random.Generator) -> Forged:
    """Put onto the target the donor's face as an auto-encoder trained on both imagines it in the target's pose."""
    views, faces = _faces(target)
    steps = max(round(MOST_STEPS * (1 - 0.75 * severity)), 1)
    decoded = _swapped(faces, _coloured(_faces(donor_of(donor))[1], faces), steps, stream)
    decoded = _coloured(decoded, faces)
    window = _oval_window(target)
    frames, mask = target.frames.copy(), np.zeros(target.frames.shape[:3], np.uint8)
    for n, view in enumerate(views):
        _put(frames[n], mask[n], decoded[n], window, view)
    return picture_forged(target, frames, mask)


def _view_to_face(shapes: FloatArray) -> FloatArray:
    """Return the (3, 3) matrix from pixels of the square view to the pose-free face."""
    oval = np.median(shapes, axis=0)[list(FACE_OVAL)]
    centre = (oval.min(0) + oval.max(0)) / 2
    side = max(VIEW_WIDTHS, 1.08 * float(np.ptp(oval[:, 1])))
    scale = side / SIDE
    move = centre - scale * (SIDE - 1) / 2
    return np.array([[scale, 0, move[0]], [0, scale, move[1]], [0, 0, 1]])


def _faces(footage: Footage) -> tuple[FloatArray, Faces]:
    """Return (N, 2, 3) matrices from view to picture, and the (N, 64, 64, 3) views, 0 to 1."""
    shapes, poses = without_pose(footage.landmarks)
    views = np.asarray(poses @ _view_to_face(shapes), np.float64)
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    soften = 0.35 * face_width(footage.landmarks) * VIEW_WIDTHS / SIDE
    faces = []
    for frame, view in zip(footage.frames, views, strict=True):
        smooth = cv2.GaussianBlur(frame, (0, 0), soften) if soften > 0.6 else frame
        faces.append(cv2.warpAffine(smooth, view, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE))
    return views, np.asarray(faces, np.float32) / np.float32(255)


def _coloured(faces: Faces, like: Faces) -> Faces:
    """Return the faces with the mean and spread of each channel of the others, taken in the middle of the views."""
    middle = slice(SIDE // 4, 3 * SIDE // 4)
    own, wanted = (values[:, middle, middle].reshape(-1, 3) for values in (faces, like))
    factor = np.clip(wanted.std(0) / (own.std(0) + 1e-3), 0.6, 1.6)
    return np.asarray(np.clip((faces - own.mean(0)) * factor + wanted.mean(0), 0, 1), np.float32)


def _swapped(target: Faces, donor: Faces, steps: int, stream: np.random.Generator) -> Faces:
    """Train on both people's faces and return the target's faces through the donor's decoder."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream.integers(2**31)))
        encoder, decoders = _encoder(), [_decoder(), _decoder()]
        _train(encoder, decoders, (target, donor), steps, stream)
        encoder.eval()
        with torch.no_grad():
            chunks = [_tensor(target[start : start + 64]) for start in range(0, len(target), 64)]
            decoded = torch.cat([decoders[1](encoder(chunk)) for chunk in chunks])
    return np.ascontiguousarray(decoded.permute(0, 2, 3, 1).numpy(), np.float32)


def _train(
    encoder: torch.nn.Module,
    decoders: list[torch.nn.Module],
    people: tuple[Faces, Faces],
    steps: int,
    stream: np.random.Generator,
) -> None:
    import torch

    parameters = [value for module in (encoder, *decoders) for value in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    for _ in range(steps):
        loss = torch.zeros(())
        for decoder, faces in zip(decoders, people, strict=True):
            chosen = faces[stream.integers(len(faces), size=BATCH)]
            distorted = np.stack([_distorted(face, stream) for face in chosen])
            loss = loss + (decoder(encoder(_tensor(distorted))) - _tensor(chosen)).abs().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _distorted(face: npt.NDArray[np.float32], stream: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the view bent by a coarse random field, a little larger or smaller, and brighter or darker."""
    grid = stream.normal(scale=1.3, size=(5, 5, 2)).astype(np.float32)
    field = cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    zoom = stream.uniform(0.95, 1.05)
    ys, xs = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    middle = (SIDE - 1) / 2
    at = [
        ((axis - middle) * zoom + middle + field[..., index]).astype(np.float32) for index, axis in enumerate((xs, ys))
    ]
    bent = cv2.remap(face, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(bent * stream.uniform(0.92, 1.08), 0, 1), np.float32)


def _encoder() -> torch.nn.Module:
    """Return a network from (B, 3, 64, 64) to (B, 96, 8, 8) through a code of 96 numbers."""
    from torch import nn

    widths = (3, 16, 32, 64, 96)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 5, stride=2, padding=2), nn.LeakyReLU(0.1)]
    layers += [nn.Flatten(), nn.Linear(96 * 4 * 4, CODE), nn.Linear(CODE, 96 * 8 * 8), nn.Unflatten(1, (96, 8, 8))]
    return nn.Sequential(*layers)


def _decoder() -> torch.nn.Module:
    """Return a network from (B, 96, 8, 8) to (B, 3, 64, 64), 0 to 1."""
    from torch import nn

    widths = (96, 48, 24, 16)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, 4 * after, 3, padding=1), nn.LeakyReLU(0.1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid())


def _tensor(faces: Faces) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))


def _oval_window(footage: Footage) -> npt.NDArray[np.float32]:
    """Return (64, 64) weights: the mean outline of the face, shrunk and softened."""
    shapes = without_pose(footage.landmarks)[0]
    to_view = np.linalg.inv(_view_to_face(shapes))
    oval = np.median(shapes, axis=0)[list(FACE_OVAL)] @ to_view[:2, :2].T + to_view[:2, 2]
    centre = oval.mean(0)
    inner = centre + (oval - centre) * np.array([0.84, 0.86])
    window = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(window, [np.round(inner).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(window, (0, 0), 2.2), np.float32)


def _put(
    frame: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    face: npt.NDArray[np.float32],
    window: npt.NDArray[np.float32],
    view: FloatArray,
) -> None:
    """Blend the face into the frame, in place."""
    corners = np.array([[0, 0, 1], [SIDE - 1, 0, 1], [0, SIDE - 1, 1], [SIDE - 1, SIDE - 1, 1]]) @ view.T
    region = region_around(corners, 1, frame.shape)
    placed = view.copy()
    placed[:, 2] -= region.origin
    size = region.shape[::-1]
    pixels = cv2.warpAffine(face * 255, placed, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = np.clip(cv2.warpAffine(window, placed, size, flags=cv2.INTER_LINEAR), 0, 1)
    inside = weight > LOWEST_WEIGHT
    original = frame[region.slices]
    mixed = original + (pixels - original) * weight[..., None]
    original[inside] = np.clip(np.round(mixed[inside]), 0, 255).astype(np.uint8)
    mask[region.slices] |= inside
