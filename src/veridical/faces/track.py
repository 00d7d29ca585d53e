"""Face tracking: detections linked by position and appearance, gaps interpolated, jitter smoothed; and the choice of a track.

Only detections are kept, never frames. A detection continues a track if their boxes overlap and the aligned faces look
alike; after a cut or a gap both thresholds are stricter, so that another person in the same place starts a new track.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from veridical.errors import UsageError, unknown_name
from veridical.faces.align import Floats, Image, align_face
from veridical.faces.detect import Face, FaceDetector, overlap, shrink
from veridical.media import UnusableVideoError

Seconds = npt.NDArray[np.float64]
Policy = Literal["dominant", "single", "largest"]

MIN_OVERLAP = 0.15
MIN_OVERLAP_AFTER_CUT = 0.3
MIN_LIKENESS = 0.4
MIN_LIKENESS_AFTER_CUT = 0.85
"""Correlation of aligned faces. On GRID: never below .94 at .2 s apart, .56 (median) and .81 (95 %) between two people."""
MIN_LIKENESS_ELSEWHERE = 0.93
"""After a cut, a face this similar is the same person wherever it is. On GRID, .2 % of the pairs of frames of two people reach
it, and half of the pairs from two clips of one person."""
MIN_STEADY_OVERLAP = 0.5
"""Boxes of one track that overlap less from frame to frame are a jump, across which nothing is smoothed."""
CUT_DIFFERENCE = 0.04
"""Mean absolute difference of 32 x 32 grey thumbnails (0 to 1) above which there may be a cut between two frames. On GRID:
at most .013 within a clip, at least .042 between two people in the same studio."""
SMOOTHING_S = 0.05
"""Standard deviation of the temporal smoothing of landmarks."""
MINOR_SHARE = 0.1
"""A track with fewer detections than this share of the dominant track's is noise, not another person."""
LOOKS_SIZE = 32
MARKED_LEVEL = 32
"""Grey level (0 to 255) from which a mask pixel counts as marked: above the noise that compression leaves in black."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face over N successive frames, from its first to its last detection, in pixels of the frame."""

    times: Seconds
    """(N,) seconds, increasing."""
    boxes: Floats
    """(N, 4) x0, y0, x1, y1; interpolated linearly where the face was not detected."""
    landmarks: Floats
    """(N, 5, 2) as in `Face`, unsmoothed; interpolated linearly where the face was not detected."""
    scores: Floats
    """(N,) of the face detector; 0 where it missed the face; in frames that were skipped, the lower score of the two around."""
    smoothed_landmarks: Floats
    """(N, 5, 2) `landmarks` averaged over some 50 ms, for alignment without jitter."""

    @property
    def num_detections(self) -> int:
        """Number of frames in which the face was detected, or that were skipped between two such frames."""
        return int((self.scores > 0).sum())

    def nearest(self, time_s: float) -> int:
        """Return the index of the frame that is nearest in time."""
        after = int(np.searchsorted(self.times, time_s))
        if after in (0, len(self.times)):
            return min(after, len(self.times) - 1)
        return after - int(time_s - self.times[after - 1] <= self.times[after] - time_s)

    @property
    def areas(self) -> Floats:
        """(N,) areas of the boxes, in square pixels."""
        return np.asarray(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1), np.float32)


@dataclass(eq=False)
class _Growing:
    """A track while it is being built."""

    indices: list[int]
    faces: list[Face]
    looks: Floats
    last_s: float

    def add(self, index: int, time_s: float, face: Face, looks: Floats) -> None:
        self.indices.append(index)
        self.faces.append(face)
        self.looks, self.last_s = looks, time_s


def track_faces(
    frames: Iterable[tuple[float, Image]],
    detector: FaceDetector,
    *,
    every: int = 1,
    max_gap_s: float = 2.0,
    smoothing_s: float = SMOOTHING_S,
) -> list[FaceTrack]:
    """Detect the faces of a video and link them into tracks, earliest first.

    Args:
        frames: (time in seconds, (H, W, 3) RGB frame), times increasing; consumed one at a time and not kept.
        detector: Finds the faces of one frame.
        every: Detect in every n-th frame and the last one only, and interpolate in between.
        max_gap_s: A face that was missing for longer starts a new track.
        smoothing_s: Standard deviation of the Gaussian in time for `smoothed_landmarks`; 0 for none.

    Raises:
        UsageError: if `every` is below 1 or the times do not increase.
    """
    if every < 1:
        raise UsageError(f"every: expected 1 or more, got {every}")
    times: list[float] = []
    linker = _Linker(max_gap_s)
    index, image = -1, None
    for index, (time_s, image) in enumerate(frames):
        if times and time_s <= times[-1]:
            raise UsageError(f"frames: expected increasing times, got {time_s} after {times[-1]}")
        times.append(float(time_s))
        if index % every == 0:
            linker.look(index, float(time_s), image, detector.detect(image))
    if index % every and image is not None:
        linker.look(index, times[-1], image, detector.detect(image))
    return [_finished(track, np.array(times), smoothing_s, every) for track in linker.tracks]


def select_track(tracks: Sequence[FaceTrack], policy: Policy = "dominant") -> FaceTrack:
    """Return the track of the person whom a video is about.

    Args:
        tracks: All tracks of the video.
        policy: `dominant`: the track seen longest, large faces counting more (sum of box sides over detections).
            `largest`: the track with the largest median box. `single`: the dominant track, refused if another one has
            a tenth of its detections or more.

    Raises:
        UnusableVideoError: `no_face` if there is no track; `multiple_faces` under `single`.
        UsageError: if the policy is unknown.
    """
    if policy not in POLICIES:
        raise unknown_name("face policy", policy, POLICIES)
    if not tracks:
        raise UnusableVideoError("no_face", "no face was found in any frame")
    return POLICIES[policy](tracks)


def select_marked_track(
    tracks: Sequence[FaceTrack], masks: Iterable[tuple[float, Image]], frame_size: tuple[int, int]
) -> FaceTrack:
    """Return the track of the face that a mask video marks, for videos of several people of whom one is forged.

    It is the track with the largest sum over frames of the intersection over union of its box and the marked pixels.

    Args:
        tracks: All tracks of the video.
        masks: (time in seconds, (H, W, 3) frame of the mask video); only those at the times of detections count.
        frame_size: Width and height of the video; the mask video may have another size.

    Raises:
        UnusableVideoError: `no_face` if there is no track, or the mask marks none of the faces.
    """
    if not tracks:
        raise UnusableVideoError("no_face", "no face was found in any frame")
    shared = np.zeros(len(tracks))
    for time_s, mask in masks:
        marked = mask.max(axis=2) >= MARKED_LEVEL
        scale = np.tile(np.array(marked.shape[::-1]) / frame_size, 2)
        for number, track in enumerate(tracks):
            index = track.nearest(time_s)
            if track.scores[index] > 0 and np.isclose(track.times[index], time_s, atol=1e-6):
                shared[number] += _marked_overlap(marked, (track.boxes[index] + 0.5) * scale)
    if not shared.any():
        raise UnusableVideoError("no_face", f"the mask marks none of the {len(tracks)} faces found")
    return tracks[int(shared.argmax())]


def _marked_overlap(marked: npt.NDArray[np.bool_], box: Floats) -> float:
    """Return the intersection over union of marked pixels and a box in pixels of the mask."""
    x0, y0, x1, y1 = np.clip(np.round(box), 0, [marked.shape[1], marked.shape[0]] * 2).astype(int)
    inside = int(marked[y0:y1, x0:x1].sum())
    union = int(marked.sum()) + max(x1 - x0, 0) * max(y1 - y0, 0) - inside
    return inside / union if union else 0.0


def appearance(image: Image, face: Face) -> Floats:
    """Describe what a face looks like: a small aligned crop as a vector of mean 0 and length 1."""
    crop, _ = align_face(image, face.landmarks, size=LOOKS_SIZE, scale=1.0)
    vector = cv2.GaussianBlur(crop, (3, 3), 0).astype(np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)


def _dominant(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return max(tracks, key=lambda track: float(np.sqrt(track.areas[track.scores > 0]).sum()))


def _largest(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return max(tracks, key=lambda track: float(np.median(track.areas)))


def _single(tracks: Sequence[FaceTrack]) -> FaceTrack:
    dominant = _dominant(tracks)
    count = sum(track.num_detections >= MINOR_SHARE * dominant.num_detections for track in tracks)
    if count > 1:
        raise UnusableVideoError("multiple_faces", f"{count} faces were found where the policy 'single' allows one")
    return dominant


POLICIES: dict[str, Callable[[Sequence[FaceTrack]], FaceTrack]] = {
    "dominant": _dominant,
    "single": _single,
    "largest": _largest,
}


class _Linker:
    """Assigns the detections of each frame to the tracks that they continue, or to new ones."""

    def __init__(self, max_gap_s: float) -> None:
        self.tracks: list[_Growing] = []
        self._max_gap_s = max_gap_s
        self._thumbnail: Floats | None = None
        self._looked_s = -np.inf

    def look(self, index: int, time_s: float, image: Image, faces: list[Face]) -> None:
        thumbnail = _thumbnail(image)
        is_cut = self._thumbnail is not None and float(np.abs(thumbnail - self._thumbnail).mean()) > CUT_DIFFERENCE
        looks = [appearance(image, face) for face in faces]
        alive = [track for track in self.tracks if time_s - track.last_s <= self._max_gap_s]
        strict = [is_cut or track.last_s < self._looked_s for track in alive]
        continued = _assign(alive, strict, faces, looks, is_cut)
        for column, face in enumerate(faces):
            if column in continued:
                continued[column].add(index, time_s, face, looks[column])
            else:
                self.tracks.append(_Growing([index], [face], looks[column], time_s))
        self._thumbnail, self._looked_s = thumbnail, time_s


def _assign(
    tracks: list[_Growing], strict: list[bool], faces: list[Face], looks: list[Floats], is_cut: bool
) -> dict[int, _Growing]:
    """Return the track that each face continues, by the face's index; faces that start a new track are left out."""
    if not tracks or not faces:
        return {}
    boxes = np.array([face.box for face in faces], np.float32)
    affinity = np.zeros((len(tracks), len(faces)))
    for row, (track, is_strict) in enumerate(zip(tracks, strict, strict=True)):
        shared = overlap(track.faces[-1].box, boxes)
        alike = np.stack(looks) @ track.looks
        least_shared = MIN_OVERLAP_AFTER_CUT if is_strict else MIN_OVERLAP
        least_alike = MIN_LIKENESS_AFTER_CUT if is_strict else MIN_LIKENESS
        same = (shared >= least_shared) & (alike >= least_alike)
        if is_cut:
            same |= alike >= MIN_LIKENESS_ELSEWHERE
        affinity[row] = np.where(same, shared + alike, 0.0)
    pairs = zip(*linear_sum_assignment(-affinity), strict=True)
    return {int(column): tracks[row] for row, column in pairs if affinity[row, column] > 0}


def _thumbnail(image: Image) -> Floats:
    return np.asarray(shrink(image, (32, 32)).mean(axis=2) / 255, np.float32)


def _finished(track: _Growing, times: Seconds, smoothing_s: float, every: int) -> FaceTrack:
    start, stop = track.indices[0], track.indices[-1] + 1
    own_times = times[start:stop]
    known = np.array(track.indices) - start
    boxes = _interpolated(own_times, known, np.array([face.box for face in track.faces]))
    landmarks = _interpolated(own_times, known, np.array([face.landmarks.ravel() for face in track.faces]))
    scores = np.zeros(stop - start, np.float32)
    scores[known] = [face.score for face in track.faces]
    for before, after in itertools.pairwise(known):
        if after - before <= every:
            scores[before + 1 : after] = min(scores[before], scores[after])
    smooth = np.concatenate([smoothed(own_times[part], landmarks[part], smoothing_s) for part in steady_parts(boxes)])
    return FaceTrack(own_times, boxes, landmarks.reshape(-1, 5, 2), scores, smooth.reshape(-1, 5, 2))


def _interpolated(times: Seconds, known: npt.NDArray[np.int64], values: Floats) -> Floats:
    columns = [np.interp(times, times[known], column) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float32)


def steady_parts(boxes: Floats) -> list[slice]:
    """Split a track's (N, 4) boxes into runs without a jump from one frame to the next."""
    jumps = [n for n in range(1, len(boxes)) if overlap(boxes[n - 1], boxes[n, None])[0] < MIN_STEADY_OVERLAP]
    return [slice(*ends) for ends in itertools.pairwise([0, *jumps, len(boxes)])]


def smoothed(times: Seconds, values: Floats, sigma_s: float) -> Floats:
    """Smooth (N, D) values with Gaussian weights in time, renormalised at the ends."""
    if sigma_s <= 0 or len(times) < 2:
        return values.copy()
    total, weight = values.astype(np.float64), np.ones(len(times))
    for offset in range(1, len(times)):
        apart = times[offset:] - times[:-offset]
        if apart.min() > 3 * sigma_s:
            break
        factor = np.exp(-0.5 * (apart / sigma_s) ** 2)
        total[offset:] += factor[:, None] * values[:-offset]
        total[:-offset] += factor[:, None] * values[offset:]
        weight[offset:] += factor
        weight[:-offset] += factor
    return np.asarray(total / weight[:, None], np.float32)
