"""Content properties of a store's clips, for the audit and the risk register: light, blur, level, onset, box. Never a feature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from veridical.clips.clip import SAMPLE_RATE_HZ, Clip
from veridical.clips.store import ClipStore
from veridical.media import FULL_SCALE, loudness_dbfs
from veridical.progress import track

ONSET_LEVEL = 5e-4
"""Audio begins where its absolute value first exceeds this (full scale 1); digital silence and codec noise stay below."""
CLIPS_PER_VIDEO = 3
"""Clips of a video that are measured, in an audit as in an evaluation."""
CLIPS_AT_ONCE = 64
_BLOCK = 8


def content_facts(store: ClipStore, video_ids: set[str], clips_per_video: int = CLIPS_PER_VIDEO) -> pd.DataFrame:
    """Decode the first clips of each of the videos and measure them.

    Args:
        store: Prepared clips.
        video_ids: Videos to look at; those that the store does not hold are left out.
        clips_per_video: Clips decoded of each.

    Returns:
        video_id, start_s and the figures of `clip_facts`, a row per clip.
    """
    index = store.index()
    index = index[index["video_id"].isin(video_ids)]
    chosen = index.groupby("video_id", sort=False).head(clips_per_video)["row"].to_numpy()
    rows = []
    for start in track(range(0, len(chosen), CLIPS_AT_ONCE), "look at clips", unit="batch"):
        for clip in store.take(chosen[start : start + CLIPS_AT_ONCE]):
            rows.append({"video_id": clip.video_id, "start_s": clip.start_s, **clip_facts(clip)})
    return pd.DataFrame(rows) if rows else pd.DataFrame({"video_id": []})


def first_clip_hashes(store: ClipStore, video_ids: Iterable[str]) -> dict[str, str]:
    """Return video_id → 16 hex digits of the faces and samples of its first clip: its content, under whatever name."""
    index = store.index()
    first = index[index["video_id"].isin(set(video_ids))].drop_duplicates("video_id")["row"].to_numpy()
    hashes = {}
    for start in range(0, len(first), CLIPS_AT_ONCE):
        table = store.take_table(first[start : start + CLIPS_AT_ONCE], ("video_id", "faces", "samples"))
        for row in table.to_pylist():
            digest = hashlib.blake2b(row["samples"] or b"", digest_size=8)
            for image in row["faces"]:
                digest.update(image)
            hashes[row["video_id"]] = digest.hexdigest()
    return hashes


def clip_facts(clip: Clip) -> dict[str, float]:
    """Return the content properties of a clip by name; NaN for those of the audio where there is none."""
    grey = cv2.cvtColor(clip.frames[len(clip.frames) // 2], cv2.COLOR_RGB2GRAY)
    boxes, score = clip.boxes, clip.detector_score
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return {
        "box_size_px": float(np.sqrt(np.maximum(width * height, 0)).mean()),
        "box_x": float((boxes[:, 0] + boxes[:, 2]).mean() / 2),
        "box_y": float((boxes[:, 1] + boxes[:, 3]).mean() / 2),
        "box_aspect": float((width / np.maximum(height, 1e-6)).mean()),
        "detector_score": float(score[score > 0].mean()) if (score > 0).any() else np.nan,
        "interpolated": float((score == 0).mean()),
        "brightness": float(clip.frames.mean()),
        "contrast": float(grey.std()),
        "sharpness": float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var())),
        "jpeg_grid": _grid_strength(grey),
        **_jitter(clip),
        **_sound_facts(clip),
    }


def _jitter(clip: Clip) -> dict[str, float]:
    """Return how unsteadily landmarks (in the aligned face) and box move, as shares of the size of face and box.

    Steady movement is no jitter: what counts is how far a point lies from the middle between the frames before and after it.
    Frames in which the face was not detected lie on a straight line between others and are left out.
    """
    seen = clip.detector_score > 0
    inside = seen[:-2] & seen[1:-1] & seen[2:]
    if not inside.any():
        return {"landmark_jitter": np.nan, "box_jitter": np.nan}
    corners = clip.boxes.reshape(-1, 2, 2).astype(np.float64)
    width_height = np.maximum(corners[:, 1] - corners[:, 0], 1e-6)[1:-1]
    box_size = np.sqrt(width_height.prod(axis=1))
    return {
        "landmark_jitter": float((_off_line(clip.landmarks)[inside] / clip.frames.shape[1]).mean()),
        "box_jitter": float((_off_line(corners)[inside] / box_size[inside]).mean()),
    }


def _off_line(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return (T - 2,) the mean distance of points (T, P, 2) from the middle between their neighbours in time."""
    points = points.astype(np.float64)
    off = points[1:-1] - (points[:-2] + points[2:]) / 2
    return np.asarray(np.hypot(off[..., 0], off[..., 1]).mean(axis=1))


def _sound_facts(clip: Clip) -> dict[str, float]:
    if clip.samples is None or not len(clip.samples):
        return {"speech_onset_s": np.nan, "loudness_dbfs": np.nan, "speech_share": np.nan}
    loud = np.flatnonzero(np.abs(clip.samples.astype(np.int32)) > ONSET_LEVEL * FULL_SCALE)
    return {
        "speech_onset_s": clip.start_s + loud[0] / SAMPLE_RATE_HZ if len(loud) else np.nan,
        "loudness_dbfs": loudness_dbfs(clip.samples),
        "speech_share": np.nan if clip.speech is None else float(clip.speech.mean()),
    }


def _grid_strength(grey: npt.NDArray[np.uint8]) -> float:
    """Return how much larger steps across 8-pixel block edges are than other steps, as a logarithm; 0 is no grid."""
    steps = np.abs(np.diff(grey.astype(np.float64), axis=1)).mean(axis=0)
    edge = np.arange(len(steps)) % _BLOCK == _BLOCK - 1
    return float(np.log((steps[edge].mean() + 1e-3) / (steps[~edge].mean() + 1e-3)))
