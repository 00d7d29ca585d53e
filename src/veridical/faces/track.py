"""Following faces through a video: detections linked by place and appearance, gaps filled, jitter smoothed.

Only detections are kept, never pictures. A detection continues a track when their boxes overlap and the aligned faces
look alike; after a scene cut or a gap both must hold more strictly, so that another person in the same place starts a
new track.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from veridical.errors import UsageError, unknown_name
from veridical.faces.align import align_face
from veridical.faces.detect import Face, overlap, shrink
from veridical.media import UnusableVideoError

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Seconds = npt.NDArray[np.float64]
Policy = Literal["dominant", "single", "largest"]

MIN_OVERLAP = 0.15
MIN_OVERLAP_AFTER_CUT = 0.3
MIN_LIKENESS = 0.4
MIN_LIKENESS_AFTER_CUT = 0.85
"""Correlation of aligned faces; on GRID .2 s apart never under .94, between two people .56 (median) and .81 (95 %)."""
MIN_LIKENESS_ELSEWHERE = 0.93
"""After a cut, a face that looks so much alike is the same person wherever it is; on GRID .2 % of the pairs of pictures of two
people reach it, and half of the pairs from two clips of one person."""
MIN_STEADY_OVERLAP = 0.5
"""Boxes of one track in successive frames that overlap less show a jump, over which nothing is averaged."""
CUT_DIFFERENCE = 0.04
"""Mean absolute difference of 32 x 32 grey thumbnails (0 to 1) above which two pictures may be of two scenes; on GRID
at most .013 inside a clip, at least .042 between two people in the same studio."""
SMOOTHING_S = 0.05
MINOR_SHARE = 0.1
"""A track with fewer detections than this share of the dominant one's is not another person, but noise."""
LOOKS_SIZE = 32


class Detector(Protocol):
    """Whatever finds faces in one picture."""

    def detect(self, image: Picture) -> list[Face]:
        """Return the faces of a (H, W, 3) RGB picture."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face over N successive frames, from its first to its last detection; pixels of the picture."""

    times: Seconds
    """(N,) seconds, rising."""
    boxes: Floats
    """(N, 4) x0, y0, x1, y1; linear between detections where the face was not found."""
    landmarks: Floats
    """(N, 5, 2) as in `Face`, as detected; linear between detections where the face was not found."""
    scores: Floats
    """(N,) of the detector; 0 where the face was not found; where it was not looked for, the smaller one of those around."""
    smoothed_landmarks: Floats
    """(N, 5, 2) `landmarks` averaged over some 50 ms: for alignment without jitter."""

    @property
    def num_detections(self) -> int:
        """Frames in which the face was found, or would have been by all that is known of the frames around."""
        return int((self.scores > 0).sum())

    def nearest(self, time_s: float) -> int:
        """Return which of the N frames is nearest in time."""
        after = int(np.searchsorted(self.times, time_s))
        if after in (0, len(self.times)):
            return min(after, len(self.times) - 1)
        return after - int(time_s - self.times[after - 1] <= self.times[after] - time_s)

    @property
    def areas(self) -> Floats:
        """(N,) of the boxes, in square pixels."""
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
    frames: Iterable[tuple[float, Picture]],
    detector: Detector,
    *,
    every: int = 1,
    max_gap_s: float = 2.0,
    smoothing_s: float = SMOOTHING_S,
) -> list[FaceTrack]:
    """Find the faces of a video and link them to tracks, the earliest first.

    Args:
        frames: (time in seconds, (H, W, 3) RGB picture), times rising; taken one at a time and not kept.
        detector: Finds faces in one picture.
        every: Look for faces in every n-th frame and in the last one only; in the others places are interpolated.
        max_gap_s: A face that was away longer than this starts a new track.
        smoothing_s: Standard deviation of the Gaussian in time for `smoothed_landmarks`; 0 for none.

    Raises:
        UsageError: when `every` is below 1 or the times do not rise.
    """
    if every < 1:
        raise UsageError(f"every: expected 1 or more, got {every}")
    times: list[float] = []
    linker = _Linker(max_gap_s)
    index, image = -1, None
    for index, (time_s, image) in enumerate(frames):
        if times and time_s <= times[-1]:
            raise UsageError(f"frames: expected rising times, got {time_s} after {times[-1]}")
        times.append(float(time_s))
        if index % every == 0:
            linker.look(index, float(time_s), image, detector.detect(image))
    if index % every and image is not None:
        linker.look(index, times[-1], image, detector.detect(image))
    return [_finished(track, np.array(times), smoothing_s, every) for track in linker.tracks]


def select_track(tracks: Sequence[FaceTrack], policy: Policy = "dominant") -> FaceTrack:
    """Return the track of the person that a video is about.

    Args:
        tracks: All tracks of the video.
        policy: `dominant`: the one seen longest, large faces counting more (sum of box sides over detections).
            `largest`: the one whose median box is largest. `single`: the dominant one, refused when another track has
            a tenth of its detections or more.

    Raises:
        UnusableVideoError: `no_face` when there is no track; `multiple_faces` under `single`.
        UsageError: for an unknown policy.
    """
    if policy not in POLICIES:
        raise unknown_name("face policy", policy, POLICIES)
    if not tracks:
        raise UnusableVideoError("no_face", "no face was found in any frame")
    return POLICIES[policy](tracks)


def appearance(image: Picture, face: Face) -> Floats:
    """Return what a face looks like: a small aligned crop as a vector of mean 0 and length 1."""
    crop, _ = align_face(image, face.landmarks, size=LOOKS_SIZE, scale=1.0)
    vector = cv2.GaussianBlur(crop, (3, 3), 0).astype(np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)


def _dominant(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return max(tracks, key=lambda track: float(np.sqrt(track.areas[track.scores > 0]).sum()))


def _largest(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return max(tracks, key=lambda track: float(np.median(track.areas)))


def _single(tracks: Sequence[FaceTrack]) -> FaceTrack:
    chosen = _dominant(tracks)
    count = sum(track.num_detections >= MINOR_SHARE * chosen.num_detections for track in tracks)
    if count > 1:
        raise UnusableVideoError("multiple_faces", f"{count} faces were found where the policy 'single' allows one")
    return chosen


POLICIES: dict[str, Callable[[Sequence[FaceTrack]], FaceTrack]] = {
    "dominant": _dominant,
    "single": _single,
    "largest": _largest,
}


class _Linker:
    """Gives the faces of each picture that is looked at to the tracks they continue, or to new ones."""

    def __init__(self, max_gap_s: float) -> None:
        self.tracks: list[_Growing] = []
        self._max_gap_s = max_gap_s
        self._thumbnail: Floats | None = None
        self._looked_s = -np.inf

    def look(self, index: int, time_s: float, image: Picture, faces: list[Face]) -> None:
        thumbnail = _thumbnail(image)
        is_cut = self._thumbnail is not None and float(np.abs(thumbnail - self._thumbnail).mean()) > CUT_DIFFERENCE
        looks = [appearance(image, face) for face in faces]
        alive = [track for track in self.tracks if time_s - track.last_s <= self._max_gap_s]
        strict = [is_cut or track.last_s < self._looked_s for track in alive]
        chosen = _assign(alive, strict, faces, looks, is_cut)
        for column, face in enumerate(faces):
            if column in chosen:
                chosen[column].add(index, time_s, face, looks[column])
            else:
                self.tracks.append(_Growing([index], [face], looks[column], time_s))
        self._thumbnail, self._looked_s = thumbnail, time_s


def _assign(
    tracks: list[_Growing], strict: list[bool], faces: list[Face], looks: list[Floats], is_cut: bool
) -> dict[int, _Growing]:
    """Return the track that each face continues, by the face's position; faces that continue none are left out."""
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


def _thumbnail(image: Picture) -> Floats:
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
    """Return the runs of a track's (N, 4) boxes without a jump from one to the next."""
    jumps = [
        place for place in range(1, len(boxes)) if overlap(boxes[place - 1], boxes[place, None])[0] < MIN_STEADY_OVERLAP
    ]
    return [slice(*ends) for ends in itertools.pairwise([0, *jumps, len(boxes)])]


def smoothed(times: Seconds, values: Floats, sigma_s: float) -> Floats:
    """Return (N, D) values averaged with Gaussian weights in time; the ends use what there is."""
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
