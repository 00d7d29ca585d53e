"""Face detection with CenterFace: boxes, five landmarks and a score from one pass over the image.

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point" (2019); weights and file format
from the authors' release (MIT). At a quarter of the resolution, the network outputs a map of face centres, the logarithm
of box sizes, the sub-cell offset of the centre, and the landmarks relative to the box. Departures: images are resized to
one size first, and boxes are not clipped at the image border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import onnxruntime

from veridical import weights
from veridical.errors import UsageError
from veridical.faces.align import Floats, Image
from veridical.faces.onnx_shapes import with_free_sizes

DEFAULT_THRESHOLD = 0.5
DETECTION_SIZE = 640
MAX_ENLARGEMENT = 3.0
STRIDE = 4
MULTIPLE = 32
"""The network's input is padded to multiples of this many pixels."""
MIN_DETECTION_SIZE = MULTIPLE
MAX_OVERLAP = 0.3
ONLY_ERRORS = 3
INPUT = "input.1"
OUTPUTS = ("537", "538", "539", "540")
"""Names of the network's outputs: centre map, log sizes, offsets, landmarks."""


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the image; the centre of the top left pixel is (0, 0)."""

    box: Floats
    """(4,) x0, y0, x1, y1."""
    landmarks: Floats
    """(5, 2) left eye, right eye, nose, left and right mouth corner, left and right as seen in the image."""
    score: float
    """Confidence from 0 to 1; not a probability."""

    def __post_init__(self) -> None:
        if self.box.shape != (4,) or self.landmarks.shape != (5, 2):
            raise ValueError(f"expected box (4,) and landmarks (5, 2), got {self.box.shape} and {self.landmarks.shape}")

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class FaceDetector(Protocol):
    """What finds the faces in one image."""

    def detect(self, image: Image) -> list[Face]:
        """Return the faces of an (H, W, 3) RGB image."""


class CenterFaceDetector:
    """CenterFace; all instances of a process share the network, whatever their threshold and detection size.

    Args:
        threshold: Lowest score that counts as a face.
        detection_size: Images are resized so that their longer side has this many pixels; small images are enlarged by
            `MAX_ENLARGEMENT` at most.
        threads: Threads that the network uses.
    """

    def __init__(
        self, threshold: float = DEFAULT_THRESHOLD, *, detection_size: int = DETECTION_SIZE, threads: int = 1
    ) -> None:
        check_arguments(threshold, detection_size)
        self.threshold = threshold
        self.detection_size = detection_size
        self._network = _load_centerface(weights.locate("centerface"), threads)

    def detect(self, image: Image, within: Floats | None = None) -> list[Face]:
        """Return the faces of an (H, W, 3) RGB image, highest score first; an empty list if there is none.

        Args:
            image: The image.
            within: (4,) x0, y0, x1, y1 in pixels: search this region only. It is enlarged to multiples of 32 network pixels,
                so that a face falls on the same grid cells as in a search of the whole image.
        """
        check_image(image)
        scale = min(self.detection_size / max(image.shape[:2]), MAX_ENLARGEMENT)
        resized, scale_xy = resize(image, scale)
        part, corner = (resized, (0, 0)) if within is None else _region(resized, within, scale_xy)
        outputs = self._network.run(list(OUTPUTS), {INPUT: _network_input(part)})
        maps = [np.asarray(output, np.float32)[0] for output in outputs]
        return [in_pixels(face, scale_xy, corner) for face in _read_maps(*maps, threshold=self.threshold)]


def check_arguments(threshold: float, detection_size: int) -> None:
    """Refuse a threshold or a detection size that is out of range.

    Raises:
        UsageError: naming the argument and its range.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold: expected a score between 0 and 1, got {threshold}")
    if detection_size < MIN_DETECTION_SIZE:
        raise UsageError(f"detection_size: expected at least {MIN_DETECTION_SIZE} pixels, got {detection_size}")


def check_image(image: Image) -> None:
    """Refuse arrays that are not (H, W, 3) uint8 images."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")


@lru_cache(maxsize=2)
def _load_centerface(path: Path, threads: int) -> onnxruntime.InferenceSession:
    return load_network(with_free_sizes(path.read_bytes()), threads)


def load_network(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session that runs an ONNX model on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ONLY_ERRORS
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of one (4,) box with (N, 4) boxes."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def _network_input(image: Image) -> Floats:
    """Return the (1, 3, H', W') input, padded at the right and bottom."""
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, padded_to(height), padded_to(width)), np.float32)
    padded[0, :, :height, :width] = image.transpose(2, 0, 1)
    return padded


def _region(resized: Image, within: Floats, scale_xy: tuple[float, float]) -> tuple[Image, tuple[int, int]]:
    """Return the region of a resized image around a box in pixels of the original, and the region's (x, y)."""
    ends = []
    for axis, length in enumerate(resized.shape[1::-1]):
        first = int(within[axis] * scale_xy[axis]) // MULTIPLE * MULTIPLE
        first = min(max(first, 0), (length - 1) // MULTIPLE * MULTIPLE)
        last = min(padded_to(max(math.ceil(within[axis + 2] * scale_xy[axis]), first + 1)), length)
        ends.append((first, last))
    (left, right), (top, bottom) = ends
    return resized[top:bottom, left:right], (left, top)


def resize(image: Image, scale: float) -> tuple[Image, tuple[float, float]]:
    """Return the resized image and its actual scale in x and y after rounding to whole pixels."""
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    resized = shrink(image, size) if scale < 1 else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8), (size[0] / width, size[1] / height)


def shrink(image: Image, size: tuple[int, int]) -> Image:
    """Return an image averaged down to a smaller (width, height).

    It is halved as often as possible first: averaging whole pixels takes a tenth of the time of averaging fractions.
    """
    height, width = image.shape[:2]
    while width % 2 == height % 2 == 0 and width >= 2 * size[0] and height >= 2 * size[1]:
        width, height = width // 2, height // 2
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def padded_to(length: int) -> int:
    """Return the length rounded up to a multiple of 32."""
    return math.ceil(length / MULTIPLE) * MULTIPLE


def _read_maps(centres: Floats, log_sizes: Floats, offsets: Floats, points: Floats, *, threshold: float) -> list[Face]:
    """Decode the output maps into faces in network pixels (origin: corner of the top left pixel), highest score first."""
    rows, columns = np.nonzero(centres[0] > threshold)
    scores = centres[0, rows, columns]
    sizes = np.exp(log_sizes[::-1, rows, columns].T) * STRIDE
    cells = np.stack([columns, rows], axis=1)
    low = (cells + offsets[::-1, rows, columns].T + 0.5) * STRIDE - sizes / 2
    relative = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = (relative * sizes[:, None] + low[:, None]).astype(np.float32)
    boxes = np.hstack([low, low + sizes]).astype(np.float32)
    kept = without_overlaps(boxes, scores, MAX_OVERLAP)
    return [Face(boxes[index], landmarks[index], float(scores[index])) for index in kept]


def without_overlaps(boxes: Floats, scores: Floats, most: float) -> list[int]:
    """Non-maximum suppression: return the indices of the (N, 4) boxes to keep, highest score first.

    A box goes when one with a higher score overlaps it by more than `most` (intersection over union).
    """
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlap(boxes[best], boxes[left]) <= most]
    return kept


def in_pixels(face: Face, scale_xy: tuple[float, float], corner: tuple[int, int] = (0, 0)) -> Face:
    """Convert a face from network pixels to image pixels with the origin at a pixel's centre.

    Args:
        face: In network pixels.
        scale_xy: Network pixels per image pixel.
        corner: (x, y) of the searched region, in network pixels.
    """
    scale, shift = np.array([*scale_xy, *scale_xy], np.float32), np.array([*corner, *corner], np.float32)
    return Face((face.box + shift) / scale - 0.5, (face.landmarks + shift[:2]) / scale[:2] - 0.5, face.score)
