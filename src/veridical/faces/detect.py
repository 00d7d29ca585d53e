"""Face detection with CenterFace: boxes, five landmarks and a score from one pass over the whole picture.

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point" (2019); weights and their file
format from the authors' release (MIT). The network gives, at a quarter of the resolution, a map of face centres, the
logarithm of box sizes, the sub-cell offset of the centre, and the landmarks relative to the box. Departures: pictures
are brought to one size first, and boxes are not cut at the picture's edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from veridical import weights
from veridical.errors import UsageError
from veridical.faces.onnx_shapes import with_free_sizes

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

DEFAULT_THRESHOLD = 0.5
DETECTION_SIZE = 640
MAX_ENLARGEMENT = 3.0
STRIDE = 4
MULTIPLE = 32
MAX_OVERLAP = 0.3
ONLY_ERRORS = 3
INPUT = "input.1"
OUTPUTS = ("537", "538", "539", "540")
"""Names of the network's outputs: centre map, log sizes, offsets, landmarks."""


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the picture; the centre of the top left pixel is (0, 0)."""

    box: Floats
    """(4,) x0, y0, x1, y1."""
    landmarks: Floats
    """(5, 2) left eye, right eye, nose, left and right mouth corner, left and right as seen in the picture."""
    score: float
    """0 to 1, higher is surer; not a probability."""

    def __post_init__(self) -> None:
        if self.box.shape != (4,) or self.landmarks.shape != (5, 2):
            raise ValueError(f"expected box (4,) and landmarks (5, 2), got {self.box.shape} and {self.landmarks.shape}")

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class FaceDetector:
    """CenterFace on one thread; detectors of a process share the network, whatever their threshold and size.

    Args:
        threshold: Lowest score of a face.
        detection_size: Pixels of the longer side that a picture is brought to; small pictures grow by at most
            `MAX_ENLARGEMENT`.
        threads: For the network.
    """

    def __init__(
        self, threshold: float = DEFAULT_THRESHOLD, *, detection_size: int = DETECTION_SIZE, threads: int = 1
    ) -> None:
        check_arguments(threshold, detection_size)
        self.threshold = threshold
        self.detection_size = detection_size
        self._network = _load_centerface(weights.locate("centerface"), threads)

    def detect(self, image: Picture, within: Floats | None = None) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB picture, surest first; an empty list when there is none.

        Args:
            image: The picture.
            within: (4,) x0, y0, x1, y1 in pixels: the network sees this part only, and what lies around it up to multiples
                of 32 of its pixels, so that a face has the same place in its grid as in a search of the whole picture.
        """
        check_image(image)
        scale = min(self.detection_size / max(image.shape[:2]), MAX_ENLARGEMENT)
        resized, scale_xy = resize(image, scale)
        part, corner = (resized, (0, 0)) if within is None else _part(resized, within, scale_xy)
        outputs = self._network.run(list(OUTPUTS), {INPUT: _network_input(part)})
        maps = [np.asarray(output, np.float32)[0] for output in outputs]
        return [in_pixels(face, scale_xy, corner) for face in _read_maps(*maps, threshold=self.threshold)]


def check_arguments(threshold: float, detection_size: int) -> None:
    """Refuse a threshold or a detection size that no detector takes.

    Raises:
        UsageError: naming the argument and its range.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold: expected a score between 0 and 1, got {threshold}")
    if detection_size < MULTIPLE:
        raise UsageError(f"detection_size: expected at least {MULTIPLE} pixels, got {detection_size}")


def check_image(image: Picture) -> None:
    """Refuse what is not a (H, W, 3) uint8 picture."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")


@lru_cache(maxsize=2)
def _load_centerface(path: Path, threads: int) -> onnxruntime.InferenceSession:
    return load_network(with_free_sizes(path.read_bytes()), threads)


def load_network(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return an ONNX file's content, ready to run on the processor."""
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


def _network_input(image: Picture) -> Floats:
    """Return the (1, 3, H', W') input, padded on the right and below."""
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, padded_to(height), padded_to(width)), np.float32)
    padded[0, :, :height, :width] = image.transpose(2, 0, 1)
    return padded


def _part(resized: Picture, within: Floats, scale_xy: tuple[float, float]) -> tuple[Picture, tuple[int, int]]:
    """Return the part of a resized picture that holds a box given in pixels of the picture, and the part's (x, y)."""
    ends = []
    for axis, length in enumerate(resized.shape[1::-1]):
        first = int(within[axis] * scale_xy[axis]) // MULTIPLE * MULTIPLE
        first = min(max(first, 0), (length - 1) // MULTIPLE * MULTIPLE)
        last = min(padded_to(max(math.ceil(within[axis + 2] * scale_xy[axis]), first + 1)), length)
        ends.append((first, last))
    (left, right), (top, bottom) = ends
    return resized[top:bottom, left:right], (left, top)


def resize(image: Picture, scale: float) -> tuple[Picture, tuple[float, float]]:
    """Return a picture made larger or smaller, and its true scale in x and y after rounding to whole pixels."""
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    resized = shrink(image, size) if scale < 1 else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8), (size[0] / width, size[1] / height)


def shrink(image: Picture, size: tuple[int, int]) -> Picture:
    """Return a picture brought to a smaller (width, height) by averaging.

    It is halved first as often as it can be: means of whole pixels take a tenth of the time of means of fractions.
    """
    height, width = image.shape[:2]
    while width % 2 == height % 2 == 0 and width >= 2 * size[0] and height >= 2 * size[1]:
        width, height = width // 2, height // 2
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def padded_to(length: int) -> int:
    """Return the next multiple of 32."""
    return math.ceil(length / MULTIPLE) * MULTIPLE


def _read_maps(centres: Floats, log_sizes: Floats, offsets: Floats, points: Floats, *, threshold: float) -> list[Face]:
    """Return the faces in network pixels, whose origin is the corner of the top left pixel, surest first, without overlaps."""
    rows, columns = np.nonzero(centres[0] > threshold)
    scores = centres[0, rows, columns]
    sizes = np.exp(log_sizes[::-1, rows, columns].T) * STRIDE
    cells = np.stack([columns, rows], axis=1)
    low = (cells + offsets[::-1, rows, columns].T + 0.5) * STRIDE - sizes / 2
    relative = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = (relative * sizes[:, None] + low[:, None]).astype(np.float32)
    boxes = np.hstack([low, low + sizes]).astype(np.float32)
    kept = without_overlaps(boxes, scores, MAX_OVERLAP)
    return [Face(boxes[place], landmarks[place], float(scores[place])) for place in kept]


def without_overlaps(boxes: Floats, scores: Floats, most: float) -> list[int]:
    """Return the places of the (N, 4) boxes that no surer one overlaps by more than `most`, surest first."""
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlap(boxes[best], boxes[left]) <= most]
    return kept


def in_pixels(face: Face, scale_xy: tuple[float, float], corner: tuple[int, int] = (0, 0)) -> Face:
    """Return the face in pixels of the picture, moved to pixel-centre coordinates.

    Args:
        face: In network pixels.
        scale_xy: Network pixels per pixel of the picture.
        corner: (x, y) of what the network saw, in pixels of the picture at the network's scale.
    """
    scale, shift = np.array([*scale_xy, *scale_xy], np.float32), np.array([*corner, *corner], np.float32)
    return Face((face.box + shift) / scale - 0.5, (face.landmarks + shift[:2]) / scale[:2] - 0.5, face.score)
