"""Dense landmarks: 468 points of one face from MediaPipe's FaceMesh, and the index groups that outline eyes, lips and face.

Source: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs" (2019); the weights
are `face_landmark.tflite` (Apache-2.0). The network expects an upright square around the face: the first pass takes it
from the face detector's eyes and box, the second from the landmarks of the first, as MediaPipe does while tracking.

The index groups follow MediaPipe's canonical face topology (its `face_mesh_connections.py` and
`canonical_face_model.obj`). MediaPipe names sides from the person's point of view; here left and right are as seen in
the image, so its RIGHT_EYE is our LEFT_EYE.
"""

from __future__ import annotations

import cv2
import numpy as np

from veridical import weights
from veridical.faces.align import Floats, Image, Matrix, invert, transform_points
from veridical.faces.detect import Face

NUM_POINTS = 468
INPUT_SIZE = 192
MARGIN_OF_BOX = 1.4
"""Side of the first view relative to the longer side of the detected box."""
MARGIN_OF_POINTS = 1.5
"""Side of the second view relative to the longer side of the landmarks' extent; MediaPipe's value."""
MIN_PRESENCE = 0.5

FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
             149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
"""Outline of the face from the top of the forehead, first along the side that is right in the image."""
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""Outline of the eye that is left in the image, from its outer corner along the lower lid."""
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LEFT_EYEBROW = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
RIGHT_EYEBROW = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Outline of the lips from the corner that is left in the image, along the lower lip."""
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)


class DenseLandmarker:
    """Finds dense landmarks with FaceMesh; holds the network, so make one per process."""

    def __init__(self) -> None:
        self._network = cv2.dnn.readNetFromTFLite(str(weights.locate("facemesh")), engine=cv2.dnn.ENGINE_CLASSIC)
        self._outputs = list(self._network.getUnconnectedOutLayersNames())

    def landmarks(self, image: Image, face: Face) -> Floats | None:
        """Return the (468, 2) landmarks of a face in pixels of the (H, W, 3) RGB image; None if FaceMesh sees no face."""
        centre = face.box.reshape(2, 2).mean(axis=0)
        side = MARGIN_OF_BOX * float((face.box[2:] - face.box[:2]).max())
        points = self._pass(image, centre, side, _roll(face.landmarks[0], face.landmarks[1]))
        if points is None:
            return None
        left, right = points[list(LEFT_EYE)].mean(axis=0), points[list(RIGHT_EYE)].mean(axis=0)
        low, high = points.min(axis=0), points.max(axis=0)
        return self._pass(image, (low + high) / 2, MARGIN_OF_POINTS * float((high - low).max()), _roll(left, right))

    def _pass(self, image: Image, centre: Floats, side: float, roll: float) -> Floats | None:
        matrix = _upright_view(centre, side, roll)
        view = cv2.warpAffine(image, matrix, (INPUT_SIZE, INPUT_SIZE), flags=cv2.INTER_LINEAR)
        self._network.setInput(np.ascontiguousarray(view.transpose(2, 0, 1)[None], dtype=np.float32) / 255)
        outputs = sorted((np.asarray(output).ravel() for output in self._network.forward(self._outputs)), key=len)
        presence = 1 / (1 + np.exp(-float(outputs[0][0])))
        if presence < MIN_PRESENCE:
            return None
        return transform_points(invert(matrix), outputs[-1].reshape(NUM_POINTS, 3)[:, :2])


def _roll(left_eye: Floats, right_eye: Floats) -> float:
    """Return the angle of the line between the eyes, in radians, clockwise in the image."""
    return float(np.arctan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0]))


def _upright_view(centre: Floats, side: float, roll: float) -> Matrix:
    """Return the (2, 3) transform from image pixels to a square view rotated by -roll about the centre."""
    scale = INPUT_SIZE / max(side, 1.0)
    cosine, sine = scale * np.cos(roll), scale * np.sin(roll)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([(INPUT_SIZE - 1) / 2] * 2)
    return np.hstack([linear, (middle - linear @ centre)[:, None]])
