"""From a file to clips: the only way, for preparing stores and for predicting a single video alike.

Faces are detected in frames sampled by time and tracked to the end; then the people to keep are chosen, and their windows
worth keeping are put together. Frames are not kept: the aligned faces are cut and encoded as they are detected (`crops.py`).

Windows begin at multiples of `hop_s` from the start of the video. A window is whole when the video lasts to its end, and is
kept when not more than `max_missing_faces` of its T frames lack a detected face; a missing face is interpolated. It is dropped
where the file does not say which sound belongs to which frame.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veridical import faces, media
from veridical.clips import (
    NUM_DENSE_LANDMARKS,
    SAMPLE_RATE_HZ,
    SPEECH_STEP_S,
    Clip,
    EncodedClip,
    StoreSettings,
    decode_frames,
)
from veridical.media import UnusableVideoError
from veridical.preparation.crops import Crop, CropKeeper
from veridical.preparation.motion import Motion, window_motion
from veridical.preparation.tools import Tools
from veridical.preparation.turning import are_lying, upright_turn

MIN_SOUND_SHARE = 0.9
"""Share of a window that must have audio for the window to have any; what is missing at its end is silence."""
MAX_SHORTFALL_S = 1.0
"""A video that ends this much earlier than declared gets a remark."""
OUT_OF_STEP = "timestamps jump in one stream only, so audio may not belong to video"
END_TOLERANCE = 0.5
"""Tolerance, as a share of a frame's duration: a video that ends this much before a window's end still fills it."""

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """The files of one video."""

    path: Path
    audio_path: Path | None = None
    """Sound in a file beside the video, taken instead of the video's own; it begins with the first frame."""
    mask_path: Path | None = None
    """Video that is bright where the frames are forged; for the policy `mask`."""


@dataclass(frozen=True, eq=False)
class Sound:
    """The audio of a whole video."""

    samples: npt.NDArray[np.int16]
    """(S,) mono, 16 kHz, from the first frame on."""
    speech: npt.NDArray[np.bool_]
    """A value per 20 ms."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a video and the windows to keep."""

    number: int
    """From 1, the most prominent first."""
    track: faces.FaceTrack
    starts: tuple[int, ...]
    """Number of the first sampled frame of each window kept."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Which windows of a video to put together, of whose face."""

    source: Source
    video_id: str
    settings: StoreSettings
    duration_s: float
    """To the end of the last frame."""
    declared_s: float
    """What the container declares."""
    people: tuple[Person, ...]
    dropped: dict[str, int]
    """Complete windows that are nobody's, by the reason for it."""
    sound: Sound | None
    crops: CropKeeper
    landmarker: faces.DenseLandmarker | None
    """Where the settings ask for dense landmarks."""
    media_remarks: tuple[str, ...] = ()
    """What is remarkable about the file."""
    quarter_turns: int = 0
    """By which the film is turned, anticlockwise, because it lies on its side or stands on its head."""

    @property
    def has_audio(self) -> bool:
        """Whether the file has an audio track that decodes."""
        return self.sound is not None

    @property
    def num_clips(self) -> int:
        """Windows kept, of all people."""
        return sum(len(person.starts) for person in self.people)

    @property
    def num_dropped_windows(self) -> int:
        """Complete windows that are nobody's."""
        return sum(self.dropped.values())


@dataclass(frozen=True, eq=False)
class Extraction:
    """The clips of one video."""

    video_id: str
    clips: list[Clip]
    """In order of time, then of people; frames exactly as a store gives them back (they went through JPEG)."""
    num_dropped_windows: int
    """Complete windows that were not kept."""
    has_audio: bool
    duration_s: float
    remarks: tuple[str, ...] = ()
    """What a person should know about the file."""


def extract_clips(
    source: Source | Path, video_id: str, settings: StoreSettings, tools: Tools | None = None
) -> Extraction:
    """Return all clips of a video file, equal to those that a store with these settings holds.

    Args:
        source: The video, or the video with files beside it.
        video_id: Name given to the clips.
        settings: What a clip is.
        tools: Detectors to use again; made from the settings when None.

    Raises:
        UnusableVideoError: with the ledger's status and the reason, when there is no clip in it.
    """
    source = source if isinstance(source, Source) else Source(Path(source))
    plan = plan_clips(source, video_id, settings, tools or Tools(settings))
    clips = [clip.decode() for clip in cut_clips(plan)]
    return Extraction(video_id, clips, plan.num_dropped_windows, plan.has_audio, plan.duration_s, tuple(remarks(plan)))


def plan_clips(source: Source, video_id: str, settings: StoreSettings, tools: Tools) -> Plan:
    """Look through a video and decide which windows to put together; `cut_clips` does it.

    Raises:
        UnusableVideoError: with the ledger's status and the reason, when there is no window to keep.
    """
    path = source.path
    facts = media.probe(path)
    _check_limits(facts, settings)
    sound = _read_sound(source, tools) if facts.has_audio or source.audio_path else None
    looked = _look_through(path, settings, tools)
    try:
        whole = _whole_windows(looked.end_s, 1 / facts.fps, looked.crops.num_frames, settings)
        tracks = _chosen(looked, source, facts, settings)
        in_doubt = media.parts_in_doubt(path) if sound is not None and source.audio_path is None else []
        in_step = [start for start in whole if not _is_within(start, in_doubt, settings)]
        people = _people(tracks, in_step, settings)
        dropped = _dropped(in_step, looked.tracks, people, settings)
        if len(in_step) < len(whole):
            dropped[OUT_OF_STEP] = len(whole) - len(in_step)
    except BaseException:
        looked.crops.close()
        raise
    return Plan(
        source=source,
        video_id=video_id,
        settings=settings,
        duration_s=looked.end_s,
        declared_s=facts.duration_s,
        people=people,
        dropped=dropped,
        sound=sound,
        crops=looked.crops,
        landmarker=tools.landmarker,
        media_remarks=(*facts.remarks, *_size_change(looked.stored_sizes)),
        quarter_turns=looked.quarter_turns,
    )


@dataclass(frozen=True, eq=False)
class _Looked:
    """What one look through a video gives."""

    tracks: list[faces.FaceTrack]
    """In pixels of the frame."""
    crops: CropKeeper
    end_s: float
    quarter_turns: int
    stored_sizes: list[tuple[int, int]]
    """Of the frames, in the order in which they occur."""


def _look_through(path: Path, settings: StoreSettings, tools: Tools) -> _Looked:
    """Find and follow the faces of a video; a second time, turned, where the film lies on its side or stands on its head."""
    looked = _look(path, settings, tools, 0)
    turn = upright_turn(path, tools.detector_for_video) if are_lying(looked.tracks) else 0
    if not turn:
        return looked
    looked.crops.close()
    return _look(path, settings, tools, turn)


def _look(path: Path, settings: StoreSettings, tools: Tools, quarter_turns: int) -> _Looked:
    crops = CropKeeper(tools.detector_for_video(), settings)
    try:
        frames = media.video_frames(path, fps=settings.fps, quarter_turns=quarter_turns)
        between = partial(_between, path, crops, quarter_turns)
        tracks = faces.track_faces(_views(frames, settings, crops), crops, every=settings.detect_every, between=between)
    except BaseException:
        crops.close()
        raise
    return _Looked(
        [crops.track_in_frame(track) for track in tracks],
        crops,
        frames.end_s or 0.0,
        quarter_turns,
        frames.stored_sizes,
    )


def _size_change(sizes: list[tuple[int, int]]) -> Iterator[str]:
    if len(sizes) > 1:
        named = ", ".join(f"{width}x{height}" for width, height in sizes[:3])
        yield f"frames change their size ({named}{', …' if len(sizes) > 3 else ''}): all are shown in that of the first"


def remarks(plan: Plan) -> Iterator[str]:
    """Yield what a person should know about a video that gives clips."""
    yield from plan.media_remarks
    if plan.quarter_turns:
        yield f"judged turned by {90 * plan.quarter_turns} degrees anticlockwise: its faces lie on their side or upside down"
    if len(plan.people) > 1:
        yield f"{len(plan.people)} people told apart"
    for reason, count in plan.dropped.items():
        yield f"{count} windows dropped: {reason}"
    if plan.declared_s > plan.duration_s + MAX_SHORTFALL_S:
        yield f"ends after {plan.duration_s:.1f} s of {plan.declared_s:.1f} s declared"


def cut_clips(plan: Plan) -> Iterator[EncodedClip]:
    """Yield the clips of a plan in order of time, then of people, holding few at once; the plan's crops are used up."""
    with closing(plan.crops):
        yield from heapq.merge(
            *(_cut_person(plan, person) for person in plan.people), key=lambda clip: (clip.start_s, clip.person)
        )


def _cut_person(plan: Plan, person: Person) -> Iterator[EncodedClip]:
    """Yield the clips of one person in order of time."""
    pending = deque(person.starts)
    num_frames, where = plan.settings.num_frames, (plan.source.path, plan.settings)
    cut: dict[int, Crop] = {}
    with closing(window_motion(*where, person.track, person.starts, plan.quarter_turns)) as motion:
        for number, crop in _crops(plan, person):
            cut[number] = crop
            while pending and pending[0] + num_frames - 1 <= number:
                start = pending.popleft()
                yield _clip(plan, person, start, [cut[start + offset] for offset in range(num_frames)], next(motion))
            for old in [old for old in cut if not pending or old < pending[0]]:
                del cut[old]


def _crops(plan: Plan, person: Person) -> Iterator[tuple[int, Crop]]:
    """Yield the crops of all windows in order; frames that are needed and were not kept are decoded again."""
    settings, track = plan.settings, person.track
    wanted = sorted({number for start in person.starts for number in range(start, start + settings.num_frames)})
    landmarks = {number: track.smoothed_landmarks[track.nearest(number / settings.fps)] for number in wanted}
    missing = [number for number in wanted if not plan.crops.has(number, landmarks[number])]
    again = _numbered(plan, missing[0], missing[-1]) if missing else iter(())
    needed = set(missing)
    for number in wanted:
        frame = next((frame for other, frame in again if other == number), None) if number in needed else None
        if frame is None and number in needed:
            reason = f"gave no frame at {number / settings.fps:g} s when it was decoded a second time"
            raise UnusableVideoError("unreadable", reason, plan.source.path)
        yield number, plan.crops.crop(number, landmarks[number], frame)


def _numbered(plan: Plan, first: int, last: int) -> Iterator[tuple[int, Frame]]:
    fps = plan.settings.fps
    frames = media.video_frames(
        plan.source.path,
        fps=fps,
        start_s=first / fps,
        stop_s=(last + 0.5) / fps,
        quarter_turns=plan.quarter_turns,
    )
    for number, frame in enumerate(frames, start=first):
        yield number, frame.image


def _chosen(looked: _Looked, source: Source, facts: media.MediaFacts, settings: StoreSettings) -> list[faces.FaceTrack]:
    """Return the people to follow, the most prominent first."""
    policy, tracks, turns = settings.face_policy, looked.tracks, looked.quarter_turns
    if policy == "everyone":
        return faces.by_prominence(tracks)
    if policy != "mask" or source.mask_path is None:
        return [faces.select_track(tracks, "dominant" if policy == "mask" else policy)]
    frames = media.video_frames(source.mask_path, fps=settings.fps, quarter_turns=turns)
    masks = ((frame.time_s, frame.image) for frame in frames)
    size = (facts.height, facts.width) if turns % 2 else (facts.width, facts.height)
    return [faces.select_marked_track(tracks, masks, size)]


def _people(tracks: list[faces.FaceTrack], whole: list[int], settings: StoreSettings) -> tuple[Person, ...]:
    """Return the people seen for a window, with the windows in which their faces were detected often enough.

    Raises:
        UnusableVideoError: `unreadable` when there is no window; `no_face` when there is none with a face.
    """
    if not whole:
        reason = "its timestamps jump in one stream only: it is not known which sound belongs to which frame"
        raise UnusableVideoError("unreadable", reason)
    people: list[Person] = []
    for track in tracks:
        starts = tuple(start for start in whole if _num_missing(track, start, settings) <= settings.max_missing_faces)
        if starts:
            people.append(Person(len(people) + 1, track, starts))
    if not people:
        least = settings.num_frames - settings.max_missing_faces
        raise UnusableVideoError("no_face", f"no window of {len(whole)} has a face in {least} of its frames")
    return tuple(people)


def _dropped(
    whole: list[int], tracks: list[faces.FaceTrack], people: Sequence[Person], settings: StoreSettings
) -> dict[str, int]:
    """Return how many windows are dropped for which reason."""
    kept = {start for person in people for start in person.starts}
    counts: Counter[str] = Counter()
    for start in sorted(set(whole) - kept):
        frames = range(start, start + settings.num_frames)
        missing = sum(not any(_is_detected(track, number, settings.fps) for track in tracks) for number in frames)
        followed = any(_num_missing(track, start, settings) <= settings.max_missing_faces for track in tracks)
        if missing > settings.max_missing_faces:
            counts["too few faces detected"] += 1
        elif followed:
            counts[f"other people only (face_policy {settings.face_policy})"] += 1
        else:
            counts["the face changes from one person to another, or could not be followed"] += 1
    return dict(counts)


def _check_limits(facts: media.MediaFacts, settings: StoreSettings) -> None:
    if facts.duration_s > settings.max_duration_s:
        raise UnusableVideoError(
            "over_limit",
            f"lasts {facts.duration_s:.0f} s, the limit is {settings.max_duration_s:.0f} s (max_duration_s)",
        )
    if facts.width * facts.height > settings.max_megapixels * 1e6:
        raise UnusableVideoError(
            "over_limit",
            f"frames of {facts.width}x{facts.height}, the limit is {settings.max_megapixels:g} megapixels (max_megapixels)",
        )


def _read_sound(source: Source, tools: Tools) -> Sound | None:
    samples = media.audio_samples(
        source.audio_path or source.path, rate_hz=SAMPLE_RATE_HZ, beside=source.audio_path is not None
    )
    if samples is None or not len(samples):
        if source.audio_path is not None:
            raise UnusableVideoError("unreadable", f"the audio file beside it has no audio: {source.audio_path}")
        return None
    speech = tools.speech.mask(samples)
    samples *= media.FULL_SCALE
    np.clip(np.round(samples, out=samples), -32768, 32767, out=samples)
    return Sound(samples.astype(np.int16), speech)


def _views(
    frames: Iterator[media.VideoFrame], settings: StoreSettings, crops: CropKeeper
) -> Iterator[tuple[float, Frame]]:
    for frame in frames:
        if frame.time_s > settings.max_duration_s:
            raise UnusableVideoError(
                "over_limit", f"lasts longer than {settings.max_duration_s:.0f} s (max_duration_s)"
            )
        yield frame.time_s, crops.view(frame.image)


def _between(path: Path, crops: CropKeeper, quarter_turns: int, after_s: float, before_s: float) -> Iterator[Frame]:
    """Yield the frames between two times as they are searched for faces."""
    for frame in media.video_frames(path, start_s=after_s, stop_s=before_s, quarter_turns=quarter_turns):
        if frame.time_s > after_s:
            yield crops.smaller(frame.image)


def _whole_windows(end_s: float, frame_s: float, num_frames: int, settings: StoreSettings) -> list[int]:
    """Return the first sampled frame of each window that the video lasts to the end of.

    Raises:
        UnusableVideoError: `too_short`, when there is no such window.
    """
    step = round(settings.hop_s * settings.fps)
    filled = min(num_frames, math.floor((end_s + END_TOLERANCE * frame_s) * settings.fps))
    starts = list(range(0, filled - settings.num_frames + 1, step))
    if not starts:
        raise UnusableVideoError("too_short", f"lasts {end_s:.2f} s, a window needs {settings.window_s:g} s")
    return starts


def _is_within(start: int, parts: list[tuple[float, float]], settings: StoreSettings) -> bool:
    """Return whether a window reaches into one of some parts of the video."""
    start_s = start / settings.fps
    return any(start_s < until_s and from_s < start_s + settings.window_s for from_s, until_s in parts)


def _num_missing(track: faces.FaceTrack, start: int, settings: StoreSettings) -> int:
    """Return in how many frames of a window the face was not detected."""
    numbers = range(start, start + settings.num_frames)
    return sum(not _is_detected(track, number, settings.fps) for number in numbers)


def _is_detected(track: faces.FaceTrack, number: int, fps: float) -> bool:
    return _is_inside(track, number, fps) and bool(track.scores[track.nearest(number / fps)] > 0)


def _is_inside(track: faces.FaceTrack, number: int, fps: float) -> bool:
    return 0 <= number - round(float(track.times[0]) * fps) < len(track.times)


def _clip(plan: Plan, person: Person, start: int, crops: list[Crop], motion: Motion) -> EncodedClip:
    settings, track = plan.settings, person.track
    numbers = range(start, start + settings.num_frames)
    places = [track.nearest(number / settings.fps) for number in numbers]
    tracked = np.array([_is_inside(track, number, settings.fps) for number in numbers])
    samples, speech = _sound_between(plan.sound, start / settings.fps, settings)
    shown = list(zip(crops, places, strict=True))
    landmarks = [faces.transform_points(crop.matrix, track.landmarks[place]) for crop, place in shown]
    dense = (
        [_dense_landmarks(plan.landmarker, crop, track, place) for crop, place in shown] if plan.landmarker else None
    )
    return EncodedClip(
        video_id=plan.video_id,
        start_s=start / settings.fps,
        faces=tuple(crop.jpeg for crop in crops),
        boxes=track.boxes[places].astype(np.float32),
        landmarks=np.stack(landmarks).astype(np.float32),
        detector_score=np.where(tracked, track.scores[places], 0.0).astype(np.float32),
        samples=samples,
        speech=speech,
        mouths=motion.mouths,
        flow=motion.flow,
        dense_landmarks=None if dense is None else np.stack(dense),
        person=person.number,
    )


def _dense_landmarks(landmarker: faces.DenseLandmarker, crop: Crop, track: faces.FaceTrack, place: int) -> Floats:
    """Return the (468, 2) landmarks in pixels of the crop, detected in the crop as it is stored; NaN when no face is seen."""
    corners = track.boxes[place].reshape(2, 2)
    centre = faces.transform_points(crop.matrix, corners.mean(axis=0))
    half = 0.5 * float(np.hypot(*crop.matrix[:, 0])) * (corners[1] - corners[0])
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    face = faces.Face(box, faces.transform_points(crop.matrix, track.landmarks[place]), float(track.scores[place]))
    points = landmarker.landmarks(decode_frames([crop.jpeg])[0], face)
    return np.full((NUM_DENSE_LANDMARKS, 2), np.nan, np.float32) if points is None else points


def _sound_between(
    sound: Sound | None, start_s: float, settings: StoreSettings
) -> tuple[npt.NDArray[np.int16] | None, npt.NDArray[np.bool_] | None]:
    """Return the audio of a window, silence where it ends early; None where too much of it is missing."""
    if sound is None:
        return None, None
    first, step = round(start_s * SAMPLE_RATE_HZ), round(start_s / SPEECH_STEP_S)
    part = sound.samples[first : first + settings.num_samples]
    if len(part) < MIN_SOUND_SHARE * settings.num_samples:
        return None, None
    samples = np.zeros(settings.num_samples, dtype=np.int16)
    samples[: len(part)] = part
    speech = np.zeros(settings.num_speech_steps, dtype=np.bool_)
    mask = sound.speech[step : step + settings.num_speech_steps]
    speech[: len(mask)] = mask
    return samples, speech
