"""Whose face a mask video marks: the face that shares most with it, for videos of several people of whom one is forged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from veridical.faces.track import FaceTrack
from veridical.media import UnusableVideoError

Floats = npt.NDArray[np.float32]

MARKED_LEVEL = 32
"""Grey level (0 to 255) from which a pixel counts as marked: above the noise that compression leaves in black."""


def select_marked_track(
    tracks: Sequence[FaceTrack],
    masks: Iterable[tuple[float, npt.NDArray[np.uint8]]],
    picture_size: tuple[int, int],
) -> FaceTrack:
    """Return the track whose detections overlap most with the marked pixels (sum over pictures of intersection over union).

    Args:
        tracks: All tracks of the video, in pixels of its pictures.
        masks: (time in seconds, (H, W, 3) picture of the mask video); those at the times of detections count.
        picture_size: Width and height of the video's pictures; the mask may have another size.

    Raises:
        UnusableVideoError: `no_face`, when there is no track, or the mask marks none of the faces.
    """
    if not tracks:
        raise UnusableVideoError("no_face", "no face was found in any frame")
    shared = np.zeros(len(tracks))
    for time_s, picture in masks:
        marked = picture.max(axis=2) >= MARKED_LEVEL
        scale = np.tile(np.array(marked.shape[::-1]) / picture_size, 2)
        for number, track in enumerate(tracks):
            place = track.nearest(time_s)
            if track.scores[place] > 0 and np.isclose(track.times[place], time_s, atol=1e-6):
                shared[number] += _overlap(marked, (track.boxes[place] + 0.5) * scale)
    if not shared.any():
        raise UnusableVideoError("no_face", f"the mask marks none of the {len(tracks)} faces found")
    return tracks[int(shared.argmax())]


def _overlap(marked: npt.NDArray[np.bool_], box: Floats) -> float:
    """Return the intersection over union of marked pixels and a box in pixels of the mask."""
    x0, y0, x1, y1 = np.clip(np.round(box), 0, [marked.shape[1], marked.shape[0]] * 2).astype(int)
    inside = int(marked[y0:y1, x0:x1].sum())
    union = int(marked.sum()) + max(x1 - x0, 0) * max(y1 - y0, 0) - inside
    return inside / union if union else 0.0
