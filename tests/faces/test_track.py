"""Tracks through gaps, cuts, crossings and jitter, with a face detector that is told what is there."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from veridical import puppets
from veridical.errors import UsageError
from veridical.faces import (
    POLICIES,
    CenterFaceDetector,
    Face,
    FaceTrack,
    appearance,
    select_track,
    smoothed,
    template,
    track_faces,
)
from veridical.faces.track import AFTER_GAP, MIN_LIKENESS
from veridical.media import UnusableVideoError, video_frames

TWIN = 100
"""People of this number and above look rather like person 1."""


class Told:
    """Finds the faces that the test gives for each frame; frames are known by the number in their first pixel."""

    def __init__(self, faces: dict[int, list[Face]]) -> None:
        self.faces = faces
        self.asked: list[int] = []

    def detect(self, image: np.ndarray) -> list[Face]:
        self.asked.append(int(image[0, 0, 0]))
        return self.faces.get(int(image[0, 0, 0]), [])


def face_at(x: float, y: float = 60, side: float = 40, score: float = 0.9) -> Face:
    landmarks = (template(100, 1.3) / 100 * side + [x - side / 2, y - side / 2]).astype(np.float32)
    return Face(np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32), landmarks, score)


def person(seed: int) -> np.ndarray:
    """A 40 x 40 texture that stands for what a person looks like."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return coarse.repeat(5, axis=0).repeat(5, axis=1)


def twin(seed: int) -> np.ndarray:
    """A person who resembles person 1: more than strangers do, less than person 1 from one frame to the next."""
    return (0.6 * person(1) + 0.4 * person(seed)).astype(np.uint8)


def scene(number: int, people: list[tuple[int, float]], background: int = 100, width: int = 240) -> np.ndarray:
    image = np.full((120, width, 3), background, np.uint8)
    for seed, x in people:
        left = round(x) - 20
        image[40:80, left : left + 40] = twin(seed) if seed >= TWIN else person(seed)
    image[0, 0] = number
    return image


def film(people: dict[int, list[tuple[int, float]]], count: int, step_s: float = 0.2, background=lambda n: 100):
    frames = [(n * step_s, scene(n, people.get(n, []), background(n))) for n in range(count)]
    return frames, Told({n: [face_at(x) for _, x in there] for n, there in people.items()})


def test_a_still_face_is_one_track() -> None:
    frames, told = film({n: [(1, 60)] for n in range(10)}, 10)
    (track,) = track_faces(frames, told)
    assert track.times == pytest.approx(np.arange(10) * 0.2)
    assert track.num_detections == 10
    assert (track.scores == np.float32(0.9)).all()
    assert track.areas == pytest.approx(np.full(10, 1600))
    np.testing.assert_allclose(track.landmarks[3], face_at(60).landmarks, atol=1e-4)


def test_a_gap_is_interpolated_with_score_0() -> None:
    frames, told = film({n: [(1, 60 + 2 * n)] for n in (0, 1, 2, 6, 7)}, 10)
    (track,) = track_faces(frames, told)
    assert len(track.times) == 8
    assert track.scores.tolist() == [np.float32(0.9)] * 3 + [0] * 3 + [np.float32(0.9)] * 2
    np.testing.assert_allclose(track.boxes[:, 0], 40 + 2 * np.arange(8), atol=1e-4)
    np.testing.assert_allclose(track.landmarks[4], face_at(68).landmarks, atol=1e-4)


@pytest.mark.parametrize(("other", "lengths"), [(1, [22]), (TWIN, [2, 2])])
def test_after_a_long_gap_only_the_same_looks_continue_a_track(other: int, lengths: list[int]) -> None:
    frames, told = film({n: [(1 if n < 2 else other, 60)] for n in (0, 1, 20, 21)}, 25)
    assert [len(track.times) for track in track_faces(frames, told)] == lengths


def test_two_people_side_by_side_stay_two() -> None:
    frames, told = film({n: [(1, 60), (2, 160)] if n % 2 else [(2, 160), (1, 60)] for n in range(10)}, 10)
    tracks = track_faces(frames, told)
    assert sorted(round(float(track.boxes[:, [0, 2]].mean())) for track in tracks) == [60, 160]
    for track in tracks:
        assert np.ptp(track.boxes[:, 0]) == 0


def test_people_who_cross_are_not_mixed_up() -> None:
    """The second passes before the first, who is hidden for three frames and known again afterwards."""
    there = {n: [(1, 60 + 12 * n), (2, 180 - 12 * n)] for n in range(11)}
    frames, told = film(there, 11, step_s=0.04)
    for n in (4, 5, 6):
        told.faces[n] = told.faces[n][1:]
    tracks = track_faces(frames, told)
    middles = [track.boxes[:, [0, 2]].mean(axis=1).tolist() for track in tracks]
    assert middles == [[60 + 12 * n for n in range(11)], [180 - 12 * n for n in range(11)]]


def test_a_twin_is_alike_but_not_the_same() -> None:
    one, other, stranger = (appearance(scene(0, [(seed, 60)]), face_at(60)) for seed in (1, TWIN, 2))
    assert MIN_LIKENESS < float(one @ other) < AFTER_GAP[0]
    assert float(one @ stranger) < MIN_LIKENESS


def test_of_two_tracks_within_reach_looks_decide() -> None:
    """The face at 82 lies nearer to where the twin was, but is person 1."""
    frames, told = film({0: [(1, 60), (TWIN, 100)], 1: [(1, 82)]}, 2)
    first, second = track_faces(frames, told)
    assert (len(first.times), len(second.times)) == (2, 1)


def nod(face: Face, degrees: float = 40) -> Face:
    """The face with its landmarks turned, so that its aligned crop looks like another's."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    centre = face.landmarks.mean(axis=0)
    return Face(face.box, ((face.landmarks - centre) @ turn.T + centre).astype(np.float32), face.score)


def test_a_quick_nod_starts_no_new_person() -> None:
    frames, told = film({n: [(1, 60)] for n in range(10)}, 10)
    told.faces[5] = [nod(face_at(60))]
    looks = [appearance(frames[n][1], told.faces[n][0]) for n in (4, 5)]
    assert float(looks[0] @ looks[1]) < MIN_LIKENESS
    assert [track.num_detections for track in track_faces(frames, told)] == [10]


def test_a_nod_beside_another_face_is_decided_by_looks() -> None:
    """Where a second face is so near that either may be meant, a face that looks different is nobody's."""
    frames, told = film({n: [(1, 60)] for n in range(4)}, 4)
    told.faces[1].append(face_at(84))
    told.faces[2] = [nod(face_at(64))]
    assert len(track_faces(frames, told)) == 3


def shaken(number: int) -> np.ndarray:
    """A picture full of texture, moved by some pixels."""
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    image = np.roll(image, 3 * number, axis=1)
    image[40:80, 40 + 3 * number : 80 + 3 * number] = person(1)
    image[0, 0] = number
    return image


def test_a_moving_camera_is_no_cut() -> None:
    told = Told({n: [nod(face_at(60 + 3 * n), 25 * (n % 2))] for n in range(10)})
    assert [track.num_detections for track in track_faces([(0.2 * n, shaken(n)) for n in range(10)], told)] == [10]


@pytest.mark.parametrize("other", [2, TWIN])
def test_another_person_in_the_same_place_after_a_cut_is_another_track(other: int) -> None:
    frames, told = film(
        {n: [(1 if n < 5 else other, 60)] for n in range(10)}, 10, background=lambda n: 100 if n < 5 else 180
    )
    assert [len(track.times) for track in track_faces(frames, told)] == [5, 5]


@pytest.mark.parametrize(("other", "lengths"), [(1, [10]), (TWIN, [5, 5]), (2, [5, 5])])
def test_after_a_cut_a_person_is_known_by_looks_wherever_they_are(other: int, lengths: list[int]) -> None:
    there = {n: [(1, 60) if n < 5 else (other, 180)] for n in range(10)}
    frames, told = film(there, 10, background=lambda n: 100 if n < 5 else 180)
    tracks = track_faces(frames, told)
    assert [len(track.times) for track in tracks] == lengths
    still, told = film(there, 10)
    assert [len(track.times) for track in track_faces(still, told)] == [5, 5]


def test_nothing_is_averaged_over_a_jump() -> None:
    there = {n: [(1, 60 if n < 5 else 180)] for n in range(10)}
    frames, told = film(there, 10, step_s=0.04, background=lambda n: 100 if n < 5 else 180)
    (track,) = track_faces(frames, told)
    np.testing.assert_allclose(track.smoothed_landmarks, track.landmarks, atol=1e-3)


def test_the_same_person_after_a_cut_goes_on() -> None:
    frames, told = film(
        {n: [(1, 60 if n < 5 else 64)] for n in range(10)}, 10, background=lambda n: 100 if n < 5 else 180
    )
    assert [len(track.times) for track in track_faces(frames, told)] == [10]


@pytest.mark.parametrize("other", [2, TWIN])
def test_another_person_after_a_gap_is_another_track(other: int) -> None:
    frames, told = film({n: [(1 if n < 4 else other, 60)] for n in (0, 1, 2, 3, 6, 7, 8)}, 10)
    assert [track.num_detections for track in track_faces(frames, told)] == [4, 3]


def test_every_nth_frame_is_searched() -> None:
    frames, told = film({n: [(1, 60 + n)] for n in range(10)}, 10)
    (track,) = track_faces(frames, told, every=3)
    assert told.asked == [0, 3, 6, 9]
    assert len(track.times) == 10
    assert track.num_detections == 10
    np.testing.assert_allclose(track.boxes[:, 0], 40 + np.arange(10), atol=1e-4)


def test_the_last_frame_is_searched_and_misses_stay_misses() -> None:
    frames, told = film({n: [(1, 60)] for n in range(12) if n != 6}, 12)
    told.faces[3] = [face_at(60, score=0.6)]
    (track,) = track_faces(frames, told, every=3)
    assert told.asked == [0, 3, 6, 9, 11]
    expected = [0.9, 0.6, 0.6, 0.6, 0, 0, 0, 0, 0, 0.9, 0.9, 0.9]
    np.testing.assert_allclose(track.scores, np.array(expected, np.float32))


def test_frames_are_not_kept() -> None:
    _, told = film({n: [(1, 60)] for n in range(50)}, 0)
    alive: list[weakref.ref] = []

    def frames() -> Iterator[tuple[float, np.ndarray]]:
        for number in range(50):
            image = scene(number, [(1, 60)])
            alive.append(weakref.ref(image))
            assert sum(ref() is not None for ref in alive) <= 3
            yield number * 0.04, image
            del image

    (track,) = track_faces(frames(), told)
    assert len(track.times) == 50


def test_no_frames_and_no_faces_are_no_tracks() -> None:
    assert track_faces([], Told({})) == []
    assert track_faces(film({}, 5)[0], Told({})) == []


def test_bad_use_is_refused() -> None:
    with pytest.raises(UsageError, match="every"):
        track_faces([], Told({}), every=0)
    frames, told = film({}, 2)
    with pytest.raises(UsageError, match="increasing"):
        track_faces([*frames, frames[0]], told)


def test_smoothing_takes_jitter_and_keeps_movement() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(200) * 0.04
    clean = np.stack([np.sin(times), 100 + 20 * times], axis=1).astype(np.float32)
    noisy = clean + rng.normal(0, 0.5, clean.shape).astype(np.float32)
    smooth = smoothed(times, noisy, 0.05)
    assert np.abs(smooth - clean).mean() < 0.6 * np.abs(noisy - clean).mean()
    np.testing.assert_allclose(smoothed(times, clean, 0.05)[5:-5], clean[5:-5], atol=0.01)
    at_5_fps = np.arange(20) * 0.2
    np.testing.assert_allclose(smoothed(at_5_fps, noisy[:20], 0.05), noisy[:20], atol=1e-6)
    np.testing.assert_array_equal(smoothed(times, noisy, 0), noisy)


def test_smoothing_against_a_brute_force() -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.09, 40))
    values = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    apart = np.abs(times[:, None] - times[None])
    factor = np.exp(-0.5 * (apart / 0.05) ** 2)
    expected = (factor / factor.sum(axis=1, keepdims=True)) @ values
    np.testing.assert_allclose(smoothed(times, values, 0.05), expected, atol=0.02)


def track_of(count: int, side: float) -> FaceTrack:
    faces = [face_at(60, side=side)] * count
    landmarks = np.stack([face.landmarks for face in faces])
    scores = np.full(count, 0.9, np.float32)
    return FaceTrack(np.arange(count) / 5, np.stack([f.box for f in faces]), landmarks, scores, landmarks)


def test_policies_choose_as_they_say() -> None:
    long_small, short_big, noise = track_of(40, 50), track_of(10, 90), track_of(2, 40)
    tracks = [noise, short_big, long_small]
    assert select_track(tracks) is long_small
    assert select_track(tracks, "largest") is short_big
    assert select_track([noise, long_small], "single") is long_small
    for order in itertools.permutations(tracks):
        assert select_track(order, "dominant") is long_small


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_face_every_policy_says_so(policy) -> None:
    with pytest.raises(UnusableVideoError) as caught:
        select_track([], policy)
    assert caught.value.status == "no_face"


def test_single_refuses_two_people_and_counts_them() -> None:
    with pytest.raises(UnusableVideoError, match="2 faces") as caught:
        select_track([track_of(40, 50), track_of(30, 50)], "single")
    assert caught.value.status == "multiple_faces"


def test_an_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="dominant"):
        select_track([track_of(3, 50)], "dominent")  # type: ignore[arg-type]


def test_two_real_people_are_two_whole_tracks(real_clips) -> None:
    frames = ((f.time_s, f.image) for f in video_frames(real_clips / "usgov" / "obama_speech.mp4", fps=5))
    tracks = track_faces(frames, CenterFaceDetector())
    assert [track.num_detections for track in tracks] == [44, 44]
    speaker = select_track(tracks)
    assert speaker.boxes[:, 0].min() > 140, "the speaker stands on the right"
    with pytest.raises(UnusableVideoError, match="2 faces"):
        select_track(tracks, "single")


def test_a_cut_between_real_people_in_one_studio_is_seen(real_clips) -> None:
    paths = [sorted(real_clips.glob(f"grid*/{speaker}/*.mpg"))[0] for speaker in ("s30", "s4")]
    images = [[frame.image[:288, :360] for frame in video_frames(path, fps=5)] for path in paths]
    images[1] = [frame.image[::2, ::2] for frame in video_frames(paths[1], fps=5)]
    joined = [(0.2 * n, np.ascontiguousarray(image)) for n, image in enumerate(images[0] + images[1])]
    tracks = track_faces(joined, CenterFaceDetector())
    assert [round(float(track.times[0]) / 0.2) for track in tracks] == [0, len(images[0])]


@pytest.mark.slow
def test_puppets_are_followed_through_cuts() -> None:
    """The framing jumps in the middle: closer, and to the other side."""
    tracks = []
    for number in range(8):
        person = puppets.sample_person("cuts", number, list(puppets.FAMILIES)[number % len(puppets.FAMILIES)], 1)
        clip = puppets.render_puppet(puppets.Renderer(person), number, 2.0, puppets.Scene(cut=True))
        frames = ((index / 25, clip.frames[index]) for index in range(0, 50, 5))
        tracks.append(track_faces(frames, CenterFaceDetector()))
    whole = [len(clip) == 1 and clip[0].num_detections == 10 for clip in tracks]
    assert sum(whole) >= 7
