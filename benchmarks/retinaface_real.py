"""Compares a RetinaFace network with the default face detector on real images: what each detects, and how far they agree.

    python -m benchmarks.retinaface_real FILE.onnx --videos FOLDER … [--portraits FOLDER …] [--limit N] [--sheet FILE.png]

Both run with their defaults on one frame per second of each video and on each portrait. `found` is the share of images with a
face, `alone` counts faces that the other detector misses (IoU below .3), `hit` counts crops with a detection although they avoid
the faces that both detect. Distances of the five landmarks are relative to the eye distance: between the two detectors (median,
95 %), and of each to FaceMesh (median). The highest-scoring face that both detect is detected again under the conditions of
`face_detector.py`: recall, and how many detections lie `beside` it. `--sheet` draws images for inspection, disagreements first:
CenterFace white, RetinaFace red, its left eye green, its left mouth corner yellow. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from benchmarks.face_detector import CONDITIONS, NEAR, changed, negatives, spread

from veridical.faces import (
    LEFT_EYE,
    RETINAFACE_THRESHOLD,
    RIGHT_EYE,
    CenterFaceDetector,
    DenseLandmarker,
    Face,
    RetinaFaceDetector,
    overlap,
)
from veridical.media import video_frames

MIN_IOU = 0.3
NOSE, CORNERS = 1, [61, 291]
"""Of FaceMesh."""
TILE_PX, COLUMNS, ROWS = 320, 5, 4
WHITE, RED, GREEN, YELLOW = (255, 255, 255), (255, 0, 0), (0, 255, 0), (255, 255, 0)


def images(arguments: argparse.Namespace) -> Iterator[np.ndarray]:
    for path in spread(
        [file for folder in arguments.videos for file in sorted(folder.rglob("*.mp[g4]"))], arguments.limit
    ):
        yield from (frame.image for frame in video_frames(path, fps=1))
    for path in spread(
        [file for folder in arguments.portraits for file in sorted(folder.rglob("*.jpg"))], arguments.limit
    ):
        yield np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def shared_faces(one: list[Face], other: list[Face]) -> list[tuple[Face, Face]]:
    """Return the faces that both detectors have, each at most once, highest score first."""
    pairs, free = [], list(other)
    for face in one:
        overlaps = [float(overlap(face.box, candidate.box[None])[0]) for candidate in free]
        if max(overlaps, default=0) >= MIN_IOU:
            pairs.append((face, free.pop(int(np.argmax(overlaps)))))
    return pairs


def apart(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the (5,) distances over the reference's eye distance."""
    return np.linalg.norm(points - reference, axis=1) / np.linalg.norm(reference[1] - reference[0])


def five_of(mesh: np.ndarray) -> np.ndarray:
    return np.stack([mesh[list(LEFT_EYE)].mean(axis=0), mesh[list(RIGHT_EYE)].mean(axis=0), mesh[NOSE], *mesh[CORNERS]])


def drawn(image: np.ndarray, centerfaces: list[Face], retinafaces: list[Face]) -> np.ndarray:
    scale = TILE_PX / max(image.shape[:2])
    small, tile = cv2.resize(image, None, fx=scale, fy=scale), np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    looks = [(face, [WHITE] * 5) for face in centerfaces] + [
        (face, [GREEN, RED, RED, YELLOW, RED]) for face in retinafaces
    ]
    for face, colours in looks:
        low, *points, high = np.round((np.vstack([face.box[:2], face.landmarks, face.box[2:]]) + 0.5) * scale).astype(
            int
        )
        cv2.rectangle(small, low.tolist(), high.tolist(), colours[2], 1)
        for point, colour in zip(points, colours, strict=True):
            cv2.circle(small, point.tolist(), 2, colour, -1)
    tile[: small.shape[0], : small.shape[1]] = small[:TILE_PX, :TILE_PX]
    return tile


def measure(arguments: argparse.Namespace) -> tuple[dict[str, list], list[np.ndarray]]:
    """Return what was seen, by name of the figure, and the drawings, disagreements first."""
    detectors = {
        "centerface": CenterFaceDetector(),
        "retinaface": RetinaFaceDetector(arguments.threshold, weights_file=arguments.network),
    }
    mesh, seen, odd, plain = DenseLandmarker(), defaultdict(list), [], []
    for number, image in enumerate(images(arguments)):
        faces = {}
        for name, detector in detectors.items():
            began = time.process_time()
            faces[name] = detector.detect(image)
            seen[f"{name} ms"].append(1e3 * (time.process_time() - began))
            seen[f"{name} found"].append(bool(faces[name]))
        pairs = shared_faces(faces["centerface"], faces["retinaface"])
        seen["iou"] += [float(overlap(centre.box, retina.box[None])[0]) for centre, retina in pairs]
        seen["apart"] += [apart(retina.landmarks, centre.landmarks) for centre, retina in pairs]
        points = [mesh.landmarks(image, centre) for centre, _ in pairs]
        for name, detected in faces.items():
            place = list(detectors).index(name)
            known = zip(pairs, points, strict=True)
            seen[f"{name} to mesh"] += [apart(pair[place].landmarks, five_of(p)) for pair, p in known if p is not None]
            seen[f"{name} alone"].append(len(detected) - len(pairs))
        for condition in CONDITIONS[1:] if pairs else ():
            altered, middle, side = changed(image, pairs[0][0], condition)
            for name, detector in detectors.items():
                places = [face.landmarks.mean(axis=0) for face in detector.detect(np.ascontiguousarray(altered))]
                is_right = [bool(np.linalg.norm(place - middle) < NEAR * side) for place in places]
                seen[f"{name} {condition}"].append(any(is_right))
                seen[f"{name} beside"].append(len(is_right) - sum(is_right))
        for crop in negatives(image, [face for pair in pairs for face in pair], str(number)):
            for name, detector in detectors.items():
                seen[f"{name} hit"].append(bool(detector.detect(np.ascontiguousarray(crop))))
        (odd if any(len(detected) > len(pairs) for detected in faces.values()) else plain).append(
            drawn(image, *faces.values())
        )
    return seen, odd + plain[:: max(len(plain) // (COLUMNS * ROWS), 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="ONNX file, or a name of `veridical weights list`")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="folders of videos")
    parser.add_argument("--portraits", type=Path, nargs="*", default=[], help="folders of JPEG images")
    parser.add_argument("--limit", type=int, default=200, help="videos, and portraits")
    parser.add_argument("--threshold", type=float, default=RETINAFACE_THRESHOLD, help="of RetinaFace")
    parser.add_argument("--sheet", type=Path, help="file for the drawing")
    arguments = parser.parse_args()
    seen, tiles = measure(arguments)
    result: dict = {
        "pictures": len(seen["centerface found"]),
        "faces": len(seen["iou"]),
        "crops": len(seen["centerface hit"]),
    }
    for name in ("centerface", "retinaface"):
        result |= {
            f"{name} {what}": round(float(np.mean(seen[f"{name} {what}"])), 4)
            for what in ("found", "ms", *CONDITIONS[1:])
        }
        result |= {f"{name} {what}": int(np.sum(seen[f"{name} {what}"])) for what in ("alone", "hit", "beside")}
        result[f"{name} to mesh"] = np.median(seen[f"{name} to mesh"], axis=0).astype(float).round(3).tolist()
    result["iou"] = np.quantile(seen["iou"], (0.5, 0.05)).astype(float).round(3).tolist()
    result["apart"] = np.quantile(seen["apart"], (0.5, 0.95), axis=0).astype(float).round(3).tolist()
    for what, value in result.items():
        print(f"{what:22} {value}")
    if arguments.sheet:
        tiles = (tiles + [np.zeros_like(tiles[0])] * COLUMNS * ROWS)[: COLUMNS * ROWS]
        rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
        cv2.imwrite(str(arguments.sheet), np.vstack(rows)[..., ::-1])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
