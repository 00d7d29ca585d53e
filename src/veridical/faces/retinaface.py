"""Face detection with RetinaFace, from a local or downloaded ONNX file.

Source: Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild" (2019), in the single-shot form with two
square anchors in each cell of strides 8, 16 and 32 that the public MobileNet and ResNet exports share. For each anchor such a
network gives box offsets (1, N, 4), probabilities of background and face (1, N, 2), and landmark offsets (1, N, 10), in units of
.1 of the anchor for positions and .2 for the logarithm of sizes; its input is BGR minus the ImageNet means, unscaled. Outputs
are recognised by their last dimension. If the file declares an input size, images are resized to it, else to `detection_size`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from veridical import weights
from veridical.errors import ArtefactError
from veridical.faces.align import Floats, Image
from veridical.faces.detect import (
    DETECTION_SIZE,
    MAX_ENLARGEMENT,
    Face,
    check_arguments,
    check_image,
    in_pixels,
    load_network,
    padded_to,
    resize,
    without_overlaps,
)

RETINAFACE_THRESHOLD = 0.95
DEFAULT_RETINAFACE = "retinaface_mv2"
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""Stride of the cells, and sides of their anchors, in pixels of the network's input."""
POSITION_UNIT, SIZE_UNIT = 0.1, 0.2
MEAN_BGR = (104.0, 117.0, 123.0)
MAX_OVERLAP = 0.4
KINDS = {4: "boxes", 2: "scores", 10: "landmarks"}


class RetinaFaceDetector:
    """RetinaFace; holds the network, so make one per process.

    Args:
        threshold: Lowest score that counts as a face.
        weights_file: A name in `weights.WEIGHTS`, or the path of an ONNX file.
        detection_size: Images are resized so that their longer side has this many pixels, unless the file declares a size.
        threads: Threads that the network uses.

    Raises:
        MissingWeightsError: if the file is neither there nor can be downloaded.
        ArtefactError: if it is not a RetinaFace network.
    """

    def __init__(
        self,
        threshold: float = RETINAFACE_THRESHOLD,
        *,
        weights_file: str = DEFAULT_RETINAFACE,
        detection_size: int = DETECTION_SIZE,
        threads: int = 1,
    ) -> None:
        check_arguments(threshold, detection_size)
        self.threshold, self.detection_size = threshold, detection_size
        self._path = weights.locate_file(weights_file)
        self._network = _load(self._path, threads)
        height, width = self._network.get_inputs()[0].shape[2:]
        self._size = (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def detect(self, image: Image) -> list[Face]:
        """Return the faces of an (H, W, 3) RGB image, highest score first; an empty list if there is none."""
        check_image(image)
        height, width = image.shape[:2]
        target = self._size or (self.detection_size, self.detection_size)
        small, scale_xy = resize(image, min(target[0] / width, target[1] / height, MAX_ENLARGEMENT))
        shape = self._size or (padded_to(small.shape[1]), padded_to(small.shape[0]))
        boxes, scores, landmarks = self._run(_network_input(small, shape))
        faces = decode(boxes, scores, landmarks, shape, self.threshold)
        return [in_pixels(face, scale_xy) for face in faces]

    def _run(self, blob: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the raw boxes (N, 4), face probabilities (N,) and landmarks (N, 10) of the anchors."""
        outputs = self._network.run(None, {self._network.get_inputs()[0].name: blob})
        by_kind = {KINDS.get(array.shape[-1]): np.asarray(array, np.float32)[0] for array in outputs if array.ndim == 3}
        count = num_anchors((blob.shape[3], blob.shape[2]))
        if any(kind not in by_kind or len(by_kind[kind]) != count for kind in KINDS.values()):
            shapes = ", ".join(str(array.shape) for array in outputs)
            raise ArtefactError(
                f"{self._path}: not a RetinaFace network; expected outputs (1, {count}, 4), (1, {count}, 2) and "
                f"(1, {count}, 10), got {shapes}"
            )
        scores = by_kind["scores"]
        if not np.allclose(scores.sum(axis=1), 1, atol=1e-3) or scores.min() < 0:
            raise ArtefactError(f"{self._path}: its scores are not probabilities; export the network with its softmax")
        return by_kind["boxes"], scores[:, 1], by_kind["landmarks"]


def decode(boxes: Floats, scores: Floats, landmarks: Floats, size: tuple[int, int], threshold: float) -> list[Face]:
    """Decode the raw outputs into faces in network pixels (origin: corner of the top left pixel), highest score first.

    Args:
        boxes: (N, 4) offsets of centre and log size.
        scores: (N,) face probabilities.
        landmarks: (N, 10) offsets of five points.
        size: Width and height of the network's input.
        threshold: Scores above it are faces.
    """
    above = np.flatnonzero(scores > threshold)
    centres, sides = (values[above] for values in _anchors(size))
    middles = centres + boxes[above, :2] * POSITION_UNIT * sides
    halves = sides * np.exp(boxes[above, 2:] * SIZE_UNIT) / 2
    points = centres[:, None] + landmarks[above].reshape(-1, 5, 2) * POSITION_UNIT * sides[:, None]
    corners = np.concatenate([middles - halves, middles + halves], axis=1).astype(np.float32)
    kept = without_overlaps(corners, scores[above], MAX_OVERLAP)
    return [Face(corners[index], points[index].astype(np.float32), float(scores[above[index]])) for index in kept]


def num_anchors(size: tuple[int, int]) -> int:
    """Return the number N of anchors for a network input of this width and height."""
    return len(_anchors(size)[0])


@lru_cache(maxsize=16)
def _anchors(size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the anchors' centres (N, 2) x, y and sides (N, 1) in pixels, ordered by stride, row, column, side."""
    centres, sides = [], []
    for stride, lengths in ANCHORS:
        columns, rows = (-(-length // stride) for length in size)
        y, x = (np.mgrid[:rows, :columns].reshape(2, -1) + 0.5) * stride
        centres.append(np.repeat(np.stack([x, y], axis=1), len(lengths), axis=0))
        sides.append(np.tile(np.array(lengths, np.float32), rows * columns)[:, None])
    return np.concatenate(centres).astype(np.float32), np.concatenate(sides).astype(np.float32)


def _network_input(image: Image, size: tuple[int, int]) -> Floats:
    """Return the (1, 3, H, W) input, padded at the right and bottom with the mean colour."""
    blob = np.zeros((size[1], size[0], 3), np.float32)
    blob[: image.shape[0], : image.shape[1]] = image[..., ::-1] - np.array(MEAN_BGR, np.float32)
    return np.ascontiguousarray(blob.transpose(2, 0, 1)[None])


def _load(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        network = load_network(path.read_bytes(), threads)
    except (runtime_errors.InvalidProtobuf, runtime_errors.InvalidGraph, runtime_errors.Fail) as error:
        raise ArtefactError(f"{path}: not an ONNX file that can be run ({str(error).splitlines()[0]})") from None
    inputs = [f"{given.name} {given.shape}" for given in network.get_inputs()]
    if len(inputs) != 1 or len(network.get_inputs()[0].shape) != 4:
        raise ArtefactError(
            f"{path}: not a RetinaFace network; expected one input (1, 3, H, W), got {', '.join(inputs)}"
        )
    return network
