"""Face tracking: detections linked by position and appearance, gaps interpolated, jitter smoothed; and the choice of a track.

Only detections are kept, never frames. A detection continues a track if their boxes overlap and the aligned faces look alike, or,
where no other face is near, the movement from frame to frame explains how the face changed. After a short gap it must look more
alike; after a cut or a long gap it may be anywhere, and looks alone decide, so strictly that two people are not joined.
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
from veridical.faces.detect import Face, FaceDetector, overlap
from veridical.faces.shots import Between, SeenFrame, colours, shared_colours, shot_goes_on
from veridical.media import UnusableVideoError

Seconds = npt.NDArray[np.float64]
Policy = Literal["dominant", "single", "largest"]

MIN_OVERLAP = 0.15
MIN_OVERLAP_AFTER_GAP = 0.3
NEAR = 0.05
"""Overlap from which another face is so near that a face that looks different may be the other's."""
MIN_LIKENESS = 0.4
"""Correlation of aligned faces. On GRID: never below .87 at .2 s apart, .57 (median) and .85 (95 %) between two people."""
AFTER_GAP = (0.85, 0.85)
"""Correlation and shared colours of a face that was missing for a short time; 16 of 33 878 pairs of GRID speakers reach both."""
ELSEWHERE = ((0.9, 0.86), (0.96, 0.0))
"""Correlation and shared colours, one pair of which makes a face the same person's, wherever it is. On GRID, none of 33 878 pairs
of frames of two people reaches either, and half of the pairs from two clips of one person do."""
MIN_STEADY_OVERLAP = 0.5
"""Boxes of one track that overlap less from frame to frame are a jump, across which nothing is smoothed."""
SMOOTHING_S = 0.05
"""Standard deviation of the temporal smoothing of landmarks."""
MINOR_SHARE = 0.1
"""A track with fewer detections than this share of the dominant track's is noise, not another person."""
MAX_DOUBTS = 100
"""Steps of one video whose frames in between are looked at; further steps in doubt count as cuts."""
LOOKS_SIZE = 32
COLOURS_SIZE, COLOURS_SCALE = 64, 2.2
"""Of the view whose colours describe a person: face, hair, and what is around them."""
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


@dataclass(frozen=True, eq=False)
class _Looks:
    """What a face looks like in one frame."""

    pattern: Floats
    """As `appearance` gives it."""
    colours: Floats
    """Histogram of the face and its surroundings, which sums to 1."""

    @staticmethod
    def of(image: Image, face: Face) -> _Looks:
        view, _ = align_face(image, face.landmarks, size=COLOURS_SIZE, scale=COLOURS_SCALE)
        return _Looks(appearance(image, face), colours(view))

    def reach(self, other: _Looks, likeness: float, shared: float) -> bool:
        """Return whether two faces look alike by these thresholds."""
        alike = float(self.pattern @ other.pattern) >= likeness
        return alike and shared_colours(self.colours, other.colours) >= shared


@dataclass(eq=False)
class _Growing:
    """A track while it is being built."""

    indices: list[int]
    faces: list[Face]
    looks: _Looks
    last_s: float

    def add(self, index: int, time_s: float, face: Face, looks: _Looks) -> None:
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
    between: Between | None = None,
) -> list[FaceTrack]:
    """Detect the faces of a video and link them into tracks, one per person as far as can be told, earliest first.

    Args:
        frames: (time in seconds, (H, W, 3) RGB frame), times increasing; consumed one at a time and not kept.
        detector: Finds the faces of one frame.
        every: Detect in every n-th frame and the last one only, and interpolate in between.
        max_gap_s: A face that was missing for longer continues its track only if it looks the same, as after a cut.
        smoothing_s: Standard deviation of the Gaussian in time for `smoothed_landmarks`; 0 for none.
        between: Gives the video's frames, of the same size, between two times: they tell a cut from a quick movement. Without
            it what is in doubt is a cut.

    Raises:
        UsageError: if `every` is below 1 or the times do not increase.
    """
    if every < 1:
        raise UsageError(f"every: expected 1 or more, got {every}")
    times: list[float] = []
    linker = _Linker(max_gap_s, between)
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
    return POLICIES[policy](by_prominence(tracks))


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


def by_prominence(tracks: Sequence[FaceTrack]) -> list[FaceTrack]:
    """Return the tracks ordered by how long they are seen, large faces counting more, the dominant one first.

    Raises:
        UnusableVideoError: `no_face` if there is no track.
    """
    if not tracks:
        raise UnusableVideoError("no_face", "no face was found in any frame")
    return sorted(tracks, key=lambda track: -float(np.sqrt(track.areas[track.scores > 0]).sum()))


def _dominant(tracks: Sequence[FaceTrack]) -> FaceTrack:
    return tracks[0]


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
"""What chooses among tracks that are ordered by prominence."""


class _Linker:
    """Assigns the detections of each frame to the tracks that they continue, or to new ones."""

    def __init__(self, max_gap_s: float, between: Between | None) -> None:
        self.tracks: list[_Growing] = []
        self._max_gap_s, self._between = max_gap_s, between
        self._seen: SeenFrame | None = None
        self._looked_s = self._cut_s = -np.inf
        self._doubts = 0

    def look(self, index: int, time_s: float, image: Image, faces: list[Face]) -> None:
        seen = SeenFrame.of(image)
        looks = [_Looks.of(image, face) for face in faces]
        if self._seen is not None and not self._seen.is_still(seen) and not self._goes_on(seen, time_s, faces):
            self._cut_s = time_s
        continued = self._in_place(seen, time_s, faces, looks)
        continued |= self._elsewhere(faces, looks, continued)
        for column, face in enumerate(faces):
            if column in continued:
                continued[column].add(index, time_s, face, looks[column])
            else:
                self.tracks.append(_Growing([index], [face], looks[column], time_s))
        self._seen, self._looked_s = seen, time_s

    def _in_place(self, seen: SeenFrame, time_s: float, faces: list[Face], looks: list[_Looks]) -> dict[int, _Growing]:
        """Return the tracks of the shot that faces continue where they are, by the face's index."""
        tracks = [
            track for track in self.tracks if self._cut_s <= track.last_s and time_s - track.last_s <= self._max_gap_s
        ]
        if not tracks or not faces:
            return {}
        boxes = np.array([face.box for face in faces], np.float32)
        shared = np.stack([overlap(track.faces[-1].box, boxes) for track in tracks])
        alike = np.stack([track.looks.pattern for track in tracks]) @ np.stack([one.pattern for one in looks]).T
        same = np.zeros(shared.shape, np.bool_)
        for row, column in zip(*np.nonzero(shared >= MIN_OVERLAP), strict=True):
            if tracks[row].last_s < self._looked_s:
                is_near = shared[row, column] >= MIN_OVERLAP_AFTER_GAP
                same[row, column] = is_near and tracks[row].looks.reach(looks[column], *AFTER_GAP)
            elif alike[row, column] >= MIN_LIKENESS:
                same[row, column] = True
            else:
                is_alone = (shared[row] > NEAR).sum() == (shared[:, column] > NEAR).sum() == 1
                pair = [tracks[row].faces[-1], faces[column]]
                same[row, column] = is_alone and self._goes_on(seen, time_s, pair)
        return _assigned(np.where(same, 1 + shared + alike, 0.0), tracks)

    def _elsewhere(self, faces: list[Face], looks: list[_Looks], continued: dict[int, _Growing]) -> dict[int, _Growing]:
        """Return the tracks that were out of sight, or before a cut, and that further faces continue by their looks alone."""
        left = [column for column in range(len(faces)) if column not in continued]
        taken = {id(track) for track in continued.values()}
        away = max(self._looked_s, self._cut_s)
        tracks = [track for track in self.tracks if track.last_s < away and id(track) not in taken] if left else []
        alike = np.zeros((len(tracks), len(left)))
        for row, track in enumerate(tracks):
            for place, column in enumerate(left):
                if any(track.looks.reach(looks[column], *least) for least in ELSEWHERE):
                    alike[row, place] = track.looks.pattern @ looks[column].pattern
        return {left[place]: track for place, track in _assigned(alike, tracks).items()}

    def _goes_on(self, seen: SeenFrame, time_s: float, faces: list[Face]) -> bool:
        """Return whether the shot goes on from the frame before, judged around these faces."""
        assert self._seen is not None
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        return shot_goes_on(self._seen, seen, boxes, lambda: self._frames_up_to(time_s))

    def _frames_up_to(self, time_s: float) -> Iterable[Image]:
        """Return the frames between the one before and this one; none when that was asked too often."""
        self._doubts += 1
        return () if self._between is None or self._doubts > MAX_DOUBTS else self._between(self._looked_s, time_s)


def _assigned(affinity: npt.NDArray[np.float64], tracks: Sequence[_Growing]) -> dict[int, _Growing]:
    """Return the track of each column that has one, from the pairs with the largest sum; 0 is no pair."""
    pairs = zip(*linear_sum_assignment(-affinity), strict=True)
    return {int(column): tracks[row] for row, column in pairs if affinity[row, column] > 0}


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
