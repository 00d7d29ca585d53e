"""Measures precision and recall of the face detector over thresholds, on images of one known face and on crops without faces.

    python benchmarks/face_detector.py --videos FOLDER … --portraits FOLDER … [--negatives FOLDER …]

Positives are frames of videos that each show one talking person (one frame per video) and portraits (one face each), as
they are and degraded: a quarter of the size, JPEG quality 15, blurred, rotated by 20 degrees, the face alone with little
margin, and the whole image shrunk to 96 pixels in the corner of a 1280 x 720 image. A detection is correct if its landmarks
have the same centre as those of the reference: the detection with the highest score of any configuration on the clean image,
confirmed by FaceMesh. Negatives are crops of the same images away from every face that any configuration suspects, and the
images of `--negatives`, which must not show faces. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from veridical.faces import CenterFaceDetector, DenseLandmarker, Face, FaceDetector
from veridical.media import video_frames
from veridical.randomness import stream

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SIZES = (320, 480, 640)
FLOOR = 0.1
CROPS_PER_IMAGE = 4
NEAR = 0.35
"""Relative to the face's side: a detection whose landmarks centre this close to the reference is correct."""


def images(videos: list[Path], portraits: list[Path], limit: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, (H, W, 3) RGB) with one known face each."""
    for path in spread([file for folder in videos for file in sorted(folder.rglob("*.mp[g4]"))], limit):
        yield "video", next(iter(video_frames(path, fps=1, start_s=1.0))).image
    for path in spread([file for folder in portraits for file in sorted(folder.rglob("*.jpg"))], limit):
        yield "portrait", np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def spread(files: list[Path], limit: int) -> list[Path]:
    return [files[i] for i in np.unique(np.linspace(0, len(files) - 1, limit).astype(int))] if files else []


def quarter(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)


def jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR)


def blurred(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), max(image.shape) / 150)


def close_up(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the face alone with a tenth of margin, as some corpora have it, and the corner it was cut at."""
    margin = 0.1 * (box[2:] - box[:2])
    low = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    high = np.ceil(box[2:] + margin).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low


def far_away(image: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a 1280 x 720 image with the given one, shrunk to 96 pixels, in its corner; and the scale."""
    height, width = image.shape[:2]
    scale = 96 / max(height, width)
    small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    canvas = np.full((720, 1280, 3), image.mean(axis=(0, 1)), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return scale, canvas


def turned(image: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(image, turn(image), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def turn(image: np.ndarray) -> np.ndarray:
    return cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), 20, 1)


CONDITIONS = ("clean", "quarter size", "JPEG 15", "blurred", "turned 20°", "close-up", "far away")


def changed(image: np.ndarray, reference: Face, condition: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the image under a condition, the centre of the reference face in it, and that face's side."""
    middle, side = reference.landmarks.mean(axis=0), float(np.sqrt(reference.area))
    if condition == "quarter size":
        return quarter(image), (middle + 0.5) / 4 - 0.5, side / 4
    if condition == "JPEG 15":
        return jpeg(image), middle, side
    if condition == "blurred":
        return blurred(image), middle, side
    if condition == "turned 20°":
        return turned(image), turn(image)[:, :2] @ middle + turn(image)[:, 2], side
    if condition == "far away":
        scale, altered = far_away(image)
        return altered, (middle + 0.5) * scale - 0.5, side * scale
    if condition == "close-up":
        crop, corner = close_up(image, reference.box)
        return crop, middle - corner, side
    return image, middle, side


def negatives(image: np.ndarray, suspected: list[Face], name: str) -> Iterator[np.ndarray]:
    """Yield crops of an image that avoid every suspected face."""
    rng = stream(0, "crop", name)
    height, width = image.shape[:2]
    count = 0
    for _ in range(20 * CROPS_PER_IMAGE):
        side = int(min(height, width) * rng.uniform(0.15, 0.5))
        x, y = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
        crop = np.array([x, y, x + side, y + side])
        if count < CROPS_PER_IMAGE and not any(touches(crop, face.box) for face in suspected):
            count += 1
            yield image[y : y + side, x : x + side]


def touches(crop: np.ndarray, box: np.ndarray) -> bool:
    grow = 0.1 * (box[2:] - box[:2])
    return bool(np.all(crop[:2] < box[2:] + grow) and np.all(crop[2:] > box[:2] - grow))


def measure(arguments: argparse.Namespace) -> dict[int, dict]:
    detectors = {size: CenterFaceDetector(FLOOR, detection_size=size) for size in SIZES}
    results: dict[int, dict] = {
        size: {"right": {c: [] for c in CONDITIONS}, "wrong": [], "empty": [], "seconds": 0.0, "pictures": 0}
        for size in SIZES
    }
    empty = [
        cv2.imread(str(path))[..., ::-1] for folder in arguments.negatives for path in sorted(folder.rglob("*.jpg"))
    ]
    mesh, confirmed = DenseLandmarker(), 0
    for number, (_, image) in enumerate(images(arguments.videos, arguments.portraits, arguments.limit)):
        seen = {size: detector.detect(image) for size, detector in detectors.items()}
        suspected = [face for faces in seen.values() for face in faces]
        if not suspected:
            for size in SIZES:
                for condition in CONDITIONS:
                    results[size]["right"][condition].append(0.0)
            continue
        reference = max(suspected, key=lambda face: face.score)
        confirmed += mesh.landmarks(image, reference) is not None
        for size, detector in detectors.items():
            score(results[size], detector, image, reference)
        empty.extend(negatives(image, suspected, str(number)))
    for size, detector in detectors.items():
        results[size]["empty"] = [
            max((f.score for f in detector.detect(np.ascontiguousarray(c))), default=0.0) for c in empty
        ]
    print(f"{confirmed} of {number + 1} reference faces confirmed by FaceMesh")
    return results


def score(result: dict, detector: FaceDetector, image: np.ndarray, reference: Face) -> None:
    for condition in CONDITIONS:
        altered, middle, side = changed(image, reference, condition)
        start = time.process_time()
        faces = detector.detect(np.ascontiguousarray(altered))
        result["seconds"] += time.process_time() - start
        result["pictures"] += 1
        is_right = [bool(np.linalg.norm(face.landmarks.mean(axis=0) - middle) < NEAR * side) for face in faces]
        right = [face.score for face, ok in zip(faces, is_right, strict=True) if ok]
        result["right"][condition].append(max(right, default=0.0))
        result["wrong"] += [face.score for face, ok in zip(faces, is_right, strict=True) if not ok]


def table(size: int, result: dict) -> list[dict]:
    print(f"\nlonger side {size} pixels, {1e3 * result['seconds'] / result['pictures']:.0f} ms of one core per image")
    print("threshold  " + "".join(f"{c:>14}" for c in CONDITIONS) + "   precision   second faces   face-free crops hit")
    rows = []
    for threshold in THRESHOLDS:
        recall = {c: float(np.mean(np.array(scores) >= threshold)) for c, scores in result["right"].items()}
        right = sum(int(np.sum(np.array(scores) >= threshold)) for scores in result["right"].values())
        wrong = int(np.sum(np.array(result["wrong"]) >= threshold))
        hit = int(np.sum(np.array(result["empty"]) >= threshold))
        precision = right / max(right + wrong + hit, 1)
        rows.append({"threshold": threshold, "recall": recall, "precision": precision, "wrong": wrong, "hit": hit})
        print(f"{threshold:9.2f}  " + "".join(f"{value:14.4f}" for value in recall.values()), end="")
        print(f"{precision:12.4f}{wrong:15d}{hit:14d} of {len(result['empty'])}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="folders of videos of one person each")
    parser.add_argument("--portraits", type=Path, nargs="*", default=[], help="folders of JPEG portraits")
    parser.add_argument("--negatives", type=Path, nargs="*", default=[], help="folders of JPEG images without faces")
    parser.add_argument("--limit", type=int, default=150, help="images of each kind")
    arguments = parser.parse_args()
    if not arguments.videos and not arguments.portraits:
        parser.error("give --videos or --portraits")
    results = measure(arguments)
    summary = {size: table(size, result) for size, result in results.items()}
    clean = [value for value in results[SIZES[-1]]["right"]["clean"] if value > 0]
    print(f"\nscore of clean faces at {SIZES[-1]}: median {np.median(clean):.3f}, 1 % {np.quantile(clean, 0.01):.3f}, "
          f"share of .95 and above {np.mean(np.array(clean) >= 0.95):.3f}")  # fmt: skip
    counts = {"faces": len(results[SIZES[0]]["right"]["clean"]), "face_free_crops": len(results[SIZES[0]]["empty"])}
    cost = {str(size): round(1e3 * r["seconds"] / r["pictures"], 1) for size, r in results.items()}
    print(json.dumps({**counts, "milliseconds": cost, "rows": summary}))


if __name__ == "__main__":
    main()
