"""Measures puppets as a test bench: rendering speed, and how well face detector, dense landmarks and voice detector work.

Run: `python benchmarks/puppets.py [--identities 20] [--seconds 3]`; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from veridical.faces import (
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    CenterFaceDetector,
    DenseLandmarker,
    FaceDetector,
)
from veridical.puppets import FPS, PuppetClip, Renderer, render_puppet, sample_person

DETECTION_STRIDE = 5
UPPER_INNER_LIP, LOWER_INNER_LIP = 13, 14


def main() -> None:
    arguments = _arguments()
    cv2.setNumThreads(1)
    figures: dict[str, float] = {}
    for family in ("a", "b"):
        for key, value in measure_family(family, arguments.identities, arguments.seconds).items():
            figures[f"{family}_{key}"] = round(float(value), 4)
            print(f"{family} {key:32s} {value:.3f}")
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identities", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0)
    return parser.parse_args()


def measure_family(family: str, identities: int, seconds: float) -> dict[str, float]:
    detector, landmarker, voice = CenterFaceDetector(), DenseLandmarker(), VoiceDetector()
    rows: list[dict[str, float]] = []
    frames, started_s, spent_s = 0, 0.0, 0.0
    for index in range(identities):
        started_s = time.process_time()
        clip = render_puppet(Renderer(sample_person("bench", index, family, 0)), index, seconds)
        spent_s += time.process_time() - started_s
        frames += len(clip.frames)
        rows.append({**face_figures(clip, detector, landmarker), **speech_figures(clip, voice)})
    result = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
    result["worst_identity_recall"] = min(row["recall"] for row in rows)
    result["frames_per_cpu_s"] = frames / spent_s
    result["times_real_time"] = frames / spent_s / FPS
    return result


def face_figures(clip: PuppetClip, detector: FaceDetector, landmarker: DenseLandmarker) -> dict[str, float]:
    """Return recall, and errors relative to the true eye distance."""
    hit, extra, widths, scores, five, mouth, eyes, gaps = [], [], [], [], [], [], [], []
    for index in range(0, len(clip.frames), DETECTION_STRIDE):
        truth = clip.truth.five[index]
        unit = float(np.linalg.norm(truth[1] - truth[0]))
        faces = detector.detect(clip.frames[index])
        hits = [face for face in faces if np.all(truth[2] > face.box[:2]) and np.all(truth[2] < face.box[2:])]
        hit.append(len(hits) > 0)
        extra.append(len(faces) - min(len(hits), 1))
        if not hits:
            continue
        scores.append(hits[0].score)
        widths.append(hits[0].box[2] - hits[0].box[0])
        five.append(np.linalg.norm(hits[0].landmarks - truth, axis=1).mean() / unit)
        points = landmarker.landmarks(clip.frames[index], hits[0])
        if points is None:
            mouth.append(np.nan)
            continue
        lips = clip.truth.lips_outer[index]
        mouth.append(np.linalg.norm(_middle(points[list(LIPS_OUTER)]) - _middle(lips)) / unit)
        for outline, true in ((LEFT_EYE, clip.truth.left_eye[index]), (RIGHT_EYE, clip.truth.right_eye[index])):
            eyes.append(np.linalg.norm(_middle(points[list(outline)]) - _middle(true)) / unit)
        gap = np.linalg.norm(points[LOWER_INNER_LIP] - points[UPPER_INNER_LIP]) / unit
        inner = np.linalg.norm(points[LIPS_INNER[0]] - points[LIPS_INNER[10]])
        gaps.append((gap, clip.truth.mouth_opening[index], inner / unit))
    openings = np.array(gaps)
    return {
        "recall": float(np.mean(hit)),
        "other_faces_per_frame": float(np.mean(extra)),
        "detector_score": float(np.median(scores)) if scores else np.nan,
        "box_width_px": float(np.mean(widths)) if widths else np.nan,
        "five_point_error": float(np.mean(five)) if five else np.nan,
        "dense_found": float(np.mean(np.isfinite(mouth))) if mouth else 0.0,
        "dense_mouth_error": float(np.nanmean(mouth)) if mouth else np.nan,
        "dense_eye_error": float(np.mean(eyes)) if eyes else np.nan,
        "dense_opening_correlation": float(np.corrcoef(openings[:, 0], openings[:, 1])[0, 1])
        if len(openings) > 3
        else np.nan,
    }


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(axis=0) + points.max(axis=0)) / 2


def speech_figures(clip: PuppetClip, voice: VoiceDetector) -> dict[str, float]:
    """Return the share of speaking time that the voice detector marks as speech, and how the mouth follows the loudness."""
    step_s = 0.02
    times_s = np.arange(int(len(clip.samples) / 16_000 / step_s)) * step_s + step_s / 2
    talking = np.zeros(len(times_s), bool)
    for phoneme in clip.phonemes:
        if not phoneme.symbol.startswith("_"):
            talking |= (times_s >= phoneme.start_s) & (times_s < phoneme.end_s)
    heard = voice.heard(clip.samples, times_s)
    power = (clip.samples.reshape(len(clip.frames), -1) ** 2).mean(axis=1)
    loudness = gaussian_filter1d(np.sqrt(power), 1.0)
    return {
        "vad_share_talking": float(heard[talking].mean()),
        "vad_share_all": float(heard.mean()),
        "mouth_loudness_correlation": float(np.corrcoef(loudness, clip.truth.mouth_opening)[0, 1]),
        "mouth_loudness_lag_frames": _best_lag(loudness, clip.truth.mouth_opening),
    }


def _best_lag(loudness: np.ndarray, opening: np.ndarray) -> float:
    lags = range(-8, 9)
    inner = slice(8, -8)
    values = [np.corrcoef(loudness[inner], np.roll(opening, -lag)[inner])[0, 1] for lag in lags]
    return float(lags[int(np.argmax(values))])


class VoiceDetector:
    """The Silero voice activity detector."""

    def __init__(self) -> None:
        import silero_vad

        self._package = silero_vad
        self._model = silero_vad.load_silero_vad(onnx=True)

    def heard(self, samples: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        """Return for each time whether it is marked as speech."""
        import torch

        spans = self._package.get_speech_timestamps(torch.from_numpy(samples), self._model, sampling_rate=16_000)
        heard = np.zeros(len(times_s), bool)
        for item in spans:
            heard |= (times_s >= item["start"] / 16_000) & (times_s < item["end"] / 16_000)
        return heard


if __name__ == "__main__":
    main()
