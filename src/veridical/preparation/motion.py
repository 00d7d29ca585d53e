"""Mouth crops and flow statistics, from a second decoding of the windows that are kept, at 25 frames a second.

Frames are those on display at k/25 seconds of the same clock as the window's faces and audio; a video of another rate repeats
or leaves out frames. Between two detections a face is where a straight line between them says; landmarks that place the mouth
are smoothed over some .1 s besides, so that its crops do not tremble.

Flow is Farneback's ("Two-Frame Motion Estimation Based on Polynomial Expansion", 2003) between the aligned crop of a sampled
frame and the same view of the frame 1/25 s later. The same view, not a second alignment: noise of the landmarks would look
like movement. So the movement of the whole head is in it. A repeated frame has no flow, nor has the last of a video.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from veridical import faces, media
from veridical.clips import FLOW_REGIONS, MOUTH_FPS, MOUTH_SIZE, StoreSettings, encode_grey
from veridical.faces import TEMPLATE_SIZE, Matrix, similarity, smoothed, steady_parts, template, warp

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MOUTH_SCALE = 0.5
"""Side of the mouth's view relative to ArcFace's: nose base to chin, about twice the mouth's width."""
MOUTH_SMOOTHING_S = 0.1
FLOW_SIZE = 128
"""Side of the view in which flow is measured, in pixels."""
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Motion:
    """Of one window."""

    mouths: tuple[bytes, ...] | None
    """M JPEG files of (96, 96) grey; None when not asked for."""
    flow: Floats | None
    """(T, F); None when not asked for."""


def window_motion(
    path: Path, settings: StoreSettings, track: faces.FaceTrack, starts: Sequence[int], quarter_turns: int = 0
) -> Generator[Motion]:
    """Yield the motion of windows in order of time, holding little more than one window at once.

    Args:
        path: The video.
        settings: Of the clips.
        track: The face to look at, in pixels of the frame.
        starts: Number of the first sampled frame of each window, rising.
        quarter_turns: By which the video is turned before anything else.
    """
    if not starts or not (settings.mouths or settings.flow):
        yield from (Motion(None, None) for _ in starts)
        return
    reader = _Reader(settings, track, starts)
    pending = deque(starts)
    for number, frame in _frames(path, _grid(starts[0], settings), reader.last_of(starts[-1]), quarter_turns):
        reader.look(number, frame)
        while pending and reader.last_of(pending[0]) <= number:
            yield reader.take(pending.popleft())


def _grid(sample: int, settings: StoreSettings) -> int:
    """Return the number, at 25 a second, of the frame on display when a sampled frame is."""
    return math.floor(sample / settings.fps * MOUTH_FPS + ROUNDING)


def _frames(path: Path, first: int, last: int, quarter_turns: int) -> Iterator[tuple[int, Frame]]:
    """Yield the frames from `first` to `last` at 25 a second; the last that there is stands for those after the end."""
    number, image = first - 1, None
    stop_s = (last + 0.5) / MOUTH_FPS
    frames = media.video_frames(
        path, fps=MOUTH_FPS, start_s=first / MOUTH_FPS, stop_s=stop_s, quarter_turns=quarter_turns
    )
    for number, frame in enumerate(frames, start=first):
        image = frame.image
        yield number, image
    assert image is not None, f"{path}: no frame from {first} on"
    yield from ((missing, image) for missing in range(number + 1, last + 1))


class _Reader:
    """Reads frames in order and keeps what the windows not yet taken need of them."""

    def __init__(self, settings: StoreSettings, track: faces.FaceTrack, starts: Sequence[int]) -> None:
        self._settings, self._track = settings, track
        self._mouths: dict[int, bytes] = {}
        self._flows: dict[int, Floats] = {}
        self._views: dict[int, Frame] = {}
        samples = {start + offset for start in starts for offset in range(settings.num_frames)} if settings.flow else ()
        self._samples_at: dict[int, list[int]] = {}
        for sample in sorted(samples):
            self._samples_at.setdefault(_grid(sample, settings), []).append(sample)
        self._mouth_numbers = {number for start in starts for number in self._mouths_of(start)}
        self._places = mouth_places(track, max(self._mouth_numbers, default=0))

    def last_of(self, start: int) -> int:
        """Return the last frame that a window needs."""
        last_mouth = _grid(start, self._settings) + self._settings.num_mouths - 1
        last_flow = _grid(start + self._settings.num_frames - 1, self._settings) + 1
        return max(last_mouth, last_flow if self._settings.flow else 0)

    def look(self, number: int, frame: Frame) -> None:
        """Take what is needed of the next frame."""
        if number in self._mouth_numbers:
            mouth = _grey_view(frame, _mouth_view(self._places[number]), MOUTH_SIZE)
            self._mouths[number] = encode_grey(mouth[None], self._settings.jpeg_quality)[0]
        for sample in self._samples_at.get(number - 1, ()):
            moved = self._flow_view(sample, frame)
            self._flows[sample] = flow_statistics(self._views.pop(sample), moved, self._settings.crop_scale)
        for sample in self._samples_at.get(number, ()):
            self._views[sample] = self._flow_view(sample, frame)

    def take(self, start: int) -> Motion:
        """Return the motion of a window, and forget what only it and those before it needed."""
        samples = range(start, start + self._settings.num_frames)
        motion = Motion(
            tuple(self._mouths[number] for number in self._mouths_of(start)) if self._settings.mouths else None,
            np.stack([self._flows[sample] for sample in samples]) if self._settings.flow else None,
        )
        first = _grid(start, self._settings)
        self._mouths = {number: file for number, file in self._mouths.items() if number > first}
        self._flows = {sample: flow for sample, flow in self._flows.items() if sample > start}
        return motion

    def _mouths_of(self, start: int) -> range:
        first = _grid(start, self._settings)
        return range(first, first + self._settings.num_mouths) if self._settings.mouths else range(0)

    def _flow_view(self, sample: int, frame: Frame) -> Frame:
        landmarks = self._track.smoothed_landmarks[self._track.nearest(sample / self._settings.fps)]
        target = template(FLOW_SIZE, self._settings.crop_scale)
        return _grey_view(frame, similarity(landmarks.astype(np.float64), target), FLOW_SIZE)


def mouth_places(track: faces.FaceTrack, last: int) -> Floats:
    """Return (last + 1, 5, 2) landmarks at 25 frames a second, smoothed in time but not over a jump of the face."""
    times = np.arange(last + 1) / MOUTH_FPS
    parts = steady_parts(track.boxes)
    ends = [float(track.times[part.start - 1 : part.start + 1].mean()) for part in parts[1:]]
    of_part = np.searchsorted(ends, times, side="right")
    places = [_smooth_places(track, part, times[of_part == number]) for number, part in enumerate(parts)]
    return np.concatenate(places).reshape(-1, 5, 2)


def _smooth_places(track: faces.FaceTrack, part: slice, times: npt.NDArray[np.float64]) -> Floats:
    """Return (N, 10) smoothed landmarks at N times near one part of a track; at its ends the face is taken to move on."""
    points = track.landmarks[part].reshape(-1, 10)
    dense = np.stack([np.interp(times, track.times[part], column) for column in points.T], axis=1).astype(np.float32)
    if not len(dense):
        return dense
    margin = math.ceil(3 * MOUTH_SMOOTHING_S * MOUTH_FPS)
    dense = np.pad(dense, ((margin, margin), (0, 0)), "reflect", reflect_type="odd")
    places = smoothed(np.arange(len(dense)) / MOUTH_FPS, dense, MOUTH_SMOOTHING_S)
    return places[margin : len(dense) - margin]


def _mouth_view(landmarks: Floats) -> Matrix:
    """Return the transform that brings the middle between the mouth's corners to the middle of the mouth crop."""
    matrix = similarity(landmarks.astype(np.float64), template(MOUTH_SIZE, MOUTH_SCALE))
    matrix[:, 2] = (MOUTH_SIZE - 1) / 2 - matrix[:, :2] @ landmarks[3:].mean(axis=0)
    return matrix


def _grey_view(frame: Frame, matrix: Matrix, size: int) -> Frame:
    """Return (size, size) grey, the part of a (H, W, 3) frame that a transform shows."""
    return np.asarray(cv2.cvtColor(warp(frame, matrix, size), cv2.COLOR_RGB2GRAY), np.uint8)


def flow_statistics(before: Frame, after: Frame, crop_scale: float) -> Floats:
    """Return (F,) figures of the movement between two views of a face, as `clips.FLOW_STATISTICS` names them.

    Args:
        before: (S, S) grey, aligned with `crop_scale`.
        after: (S, S) grey, the same view 1/25 s later.
        crop_scale: Of the alignment; says where in the view eyes and mouth are.
    """
    flow = cv2.calcOpticalFlowFarneback(
        before, after, np.zeros((*before.shape, 2), np.float32), 0.5, 3, 15, 3, 5, 1.2, 0
    )
    percent = np.asarray(flow, np.float32) * (100 / len(before))
    length = np.hypot(percent[..., 0], percent[..., 1])
    slopes = [np.gradient(np.asarray(flow, np.float32)[..., axis]) for axis in range(2)]
    gradient = np.sqrt(sum(slope**2 for pair in slopes for slope in pair))
    figures: list[float] = []
    for inside in _regions(len(before), crop_scale):
        lengths = length[inside]
        figures += [*percent[inside].mean(axis=0), lengths.mean(), lengths.std(), np.percentile(lengths, 95)]
        figures.append(gradient[inside].mean())
    return np.array(figures, np.float32)


@lru_cache(maxsize=8)
def _regions(size: int, crop_scale: float) -> tuple[npt.NDArray[np.bool_], ...]:
    """Return (S, S) masks in the order of `FLOW_REGIONS`, from places on ArcFace's view of 112 pixels."""
    y, x = (((np.mgrid[:size, :size] + 0.5) / size - 0.5) * crop_scale + 0.5) * TEMPLATE_SIZE
    face = ((x - 56) / 38) ** 2 + ((y - 66) / 52) ** 2 < 1
    masks = {
        "face": face,
        "eyes": (abs(x - 56) < 34) & (y > 34) & (y < 62),
        "mouth": (abs(x - 56) < 27) & (y > 80) & (y < 112),
        "surround": ~face,
    }
    return tuple(masks[name] for name in FLOW_REGIONS)
