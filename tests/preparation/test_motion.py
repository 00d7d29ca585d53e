"""Mouth crops and flow are of the same second as sound and faces, and say what moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.preparation.making import FPS, SIDE, SMALL, MarkerTools, manifest_of, write_marked

from veridical import media
from veridical.clips import CONTENTS, FLOW_STATISTICS, ClipStore, StoreSettings, verify
from veridical.faces import FaceTrack, template
from veridical.preparation import Tools, extract_clips, motion, prepare
from veridical.randomness import stream

ASKED = SMALL.model_copy(update={"mouths": True, "flow": True})
FLASHES = (7, 31, 50, 68)
"""Frames, at 25 a second, that are bright and beep."""


def write_flashes(path, *, fps=25.0, seconds=3.0):
    """Bright frames with a beep as long as they are on display; the face does not move."""
    pictures, flashing = [], {number / FPS for number in FLASHES}
    for number in range(round(seconds * fps)):
        bright = any(at - 1e-6 <= number / fps < at + 0.04 - 1e-6 for at in flashing)
        pictures.append(np.full((SIDE, SIDE, 3), 220 if bright else 60, np.uint8) + _texture())
    time_s = np.arange(round(seconds * 16000)) / 16000
    loud = sum((time_s >= at) & (time_s < at + 0.04) for at in flashing)
    samples = (0.5 * loud * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    media.write_video(path, pictures, fps=fps, samples=samples, crf=4, preset="ultrafast", pixel_format="yuv444p")
    return path


def _texture():
    return stream(0, "texture").integers(0, 30, (SIDE // 8, SIDE // 8, 1)).repeat(8, 0).repeat(8, 1).astype(np.uint8)


@pytest.mark.parametrize(("fps", "step"), [(5.0, 5), (12.5, 2), (25.0, 1)])
def test_a_flash_is_in_the_mouth_crop_of_its_beep(tmp_path, fps, step):
    settings = ASKED.model_copy(update={"fps": fps, "window_s": 0.8, "hop_s": 0.4})
    clips = extract_clips(write_flashes(tmp_path / "v.mp4"), "v", settings, MarkerTools(settings)).clips
    assert len(clips) == 6
    seen = set()
    for clip in clips:
        first = round(clip.start_s * FPS)
        bright = np.flatnonzero(clip.mouths.mean(axis=(1, 2)) > 150)
        loud = np.abs(clip.samples.astype(float)).reshape(20, -1).mean(axis=1)
        beeping = np.flatnonzero(loud > 0.5 * loud.max()) if loud.max() > 500 else []
        assert list(bright) == list(beeping) == [number - first for number in FLASHES if first <= number < first + 20]
        seen |= {first + int(number) for number in bright}
        np.testing.assert_allclose(clip.mouths[::step].mean(axis=(1, 2)) > 150, clip.frames.mean(axis=(1, 2, 3)) > 150)
    assert seen == set(FLASHES)


@pytest.mark.parametrize("rate", [15.0, 30.0, 50.0])
def test_other_rates_show_the_frame_on_display(tmp_path, rate):
    numbers = np.arange(round(2 * rate))
    pictures = [np.full((SIDE, SIDE, 3), 30 + 2 * number, np.uint8) + _texture() for number in numbers]
    path = tmp_path / "v.mp4"
    media.write_video(path, pictures, fps=rate, crf=1, preset="ultrafast", pixel_format="yuv444p")
    clips = extract_clips(path, "v", ASKED, MarkerTools(ASKED)).clips
    assert len(clips) == 2
    levels = np.concatenate([clip.mouths.mean(axis=(1, 2)) for clip in clips])
    shown = np.floor(np.arange(50) / 25 * rate + 1e-6)
    np.testing.assert_allclose((levels - levels[0]) / 2, shown, atol=0.4)


def test_a_file_and_a_store_give_the_same_and_the_rest_stays_as_it_was(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 60)
    plain = extract_clips(path, "v", SMALL, MarkerTools(SMALL)).clips
    prepare(manifest_of(path), tmp_path / "store", ASKED, workers=0, make_tools=MarkerTools)
    store = ClipStore.open(tmp_path / "store")
    assert verify(store) == []
    kept, direct = store.take([0, 1]), extract_clips(path, "v", ASKED, MarkerTools(ASKED)).clips
    for one, other, without in zip(kept, direct, plain, strict=True):
        np.testing.assert_array_equal(one.mouths, other.mouths)
        np.testing.assert_array_equal(one.flow, other.flow)
        np.testing.assert_array_equal(one.frames, without.frames)
        assert without.mouths is without.flow is None


def test_dropped_windows_and_the_end_of_the_video(tmp_path):
    seldom = {11, 13}
    path = write_marked(tmp_path / "v.mp4", 100, faces=lambda t: "none" if round(t * FPS) // 5 in seldom else "one")
    clips = extract_clips(path, "v", ASKED, MarkerTools(ASKED)).clips
    assert [clip.start_s for clip in clips] == [0, 1, 3]
    for clip in clips:
        steps = np.diff(clip.mouths[:, 40:50, 40:50].astype(float).mean(axis=(1, 2)))
        assert np.all(steps > 0.5)
        assert np.isfinite(clip.flow).all()


def still_track(side=100.0, corner=(60.0, 40.0), shift=(0.0, 0.0)):
    """A face seen in four frames at 5 fps that moves by `shift` pixels from one to the next."""
    landmarks = np.stack([template(side, 1.3) + corner + np.multiply(shift, number) for number in range(4)])
    landmarks = landmarks.astype(np.float32)
    boxes = np.tile(np.array([*corner, corner[0] + side, corner[1] + side], np.float32), (4, 1))
    return FaceTrack(np.arange(4) / 5, boxes, landmarks, np.ones(4, np.float32), landmarks)


def test_the_mouth_is_in_the_middle_while_the_face_moves():
    track = still_track(shift=(15.0, 6.0))
    places = motion.mouth_places(track, 15)
    assert len(places) == 16
    for number, place in enumerate(places):
        corners = template(100, 1.3)[3:] + np.array([60 + 3.0 * number, 40 + 1.2 * number])
        matrix = motion._mouth_view(place)
        middle = matrix[:, :2] @ corners.mean(axis=0) + matrix[:, 2]
        np.testing.assert_allclose(middle, [47.5, 47.5], atol=0.5)
        width = np.linalg.norm(matrix[:, :2] @ (corners[1] - corners[0]))
        assert 48 < width < 52


def test_mouths_do_not_drift_over_a_cut():
    track = still_track(shift=(0.0, 0.0))
    moved = track.boxes.copy(), track.landmarks.copy()
    moved[0][2:] += 200
    moved[1][2:] += 200
    track = FaceTrack(track.times, moved[0], moved[1], track.scores, moved[1])
    places = motion.mouth_places(track, 20)
    np.testing.assert_allclose(places[:7], np.tile(moved[1][:1], (7, 1, 1)), atol=1e-3)
    np.testing.assert_allclose(places[8:], np.tile(moved[1][2:3], (13, 1, 1)), atol=1e-3)
    assert len(places) == 21


def test_flow_says_where_the_face_went():
    rng = stream(0, "flow")
    smooth = cv2.GaussianBlur(rng.normal(size=(128, 128)), (0, 0), 3)
    before = np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    shifted = cv2.warpAffine(before, np.array([[1, 0, 2.56], [0, 1, -1.28]]), (128, 128), borderMode=cv2.BORDER_REFLECT)
    names = list(FLOW_STATISTICS)
    found = dict(zip(names, motion.flow_statistics(before, shifted, 1.3), strict=True))
    for region in ("face", "eyes", "mouth"):
        assert found[f"{region}_mean_x"] == pytest.approx(2, abs=0.15)
        assert found[f"{region}_mean_y"] == pytest.approx(-1, abs=0.15)
        assert found[f"{region}_mean_length"] == pytest.approx(np.sqrt(5), abs=0.15)
        assert found[f"{region}_p95_length"] >= found[f"{region}_mean_length"]
    assert np.abs(motion.flow_statistics(before, before, 1.3)).max() < 0.05
    mouth = before.copy()
    mouth[88:105, 48:80] = shifted[88:105, 48:80]
    found = dict(zip(names, motion.flow_statistics(before, mouth, 1.3), strict=True))
    assert found["mouth_mean_length"] > 5 * found["eyes_mean_length"]
    assert found["mouth_mean_gradient"] > found["eyes_mean_gradient"]


def test_regions_lie_where_the_landmarks_are():
    for scale in (1.0, 1.3, 2.0):
        regions = dict(zip(("face", "eyes", "mouth", "surround"), motion._regions(128, scale), strict=True))
        points = np.round(template(128, scale)).astype(int)
        for region, inside in (("eyes", (0, 1)), ("mouth", (3, 4)), ("face", (0, 1, 2, 3, 4))):
            assert all(regions[region][points[place, 1], points[place, 0]] for place in inside)
        assert not (regions["eyes"] & regions["mouth"]).any()
        assert (regions["face"] ^ regions["surround"]).all()


def test_real_people(real_clips):
    settings = StoreSettings(**dict.fromkeys(CONTENTS, True))
    tools = Tools(settings)
    paths = [*sorted((real_clips / "grid").glob("*/*.mpg"))[::90], real_clips / "usgov" / "obama_speech.mp4"]
    assert len(paths) > 1
    for path in paths:
        clips = extract_clips(path, path.stem, settings, tools).clips
        assert clips, path
        for clip in clips:
            seen = np.isfinite(clip.dense_landmarks).all(axis=(1, 2))
            assert seen.mean() >= 0.8
            lips = clip.dense_landmarks[seen][:, [61, 291]].mean(axis=1)
            assert np.linalg.norm(lips - clip.landmarks[seen, 3:].mean(axis=1), axis=1).max() < 20
            assert clip.mouths.std(axis=(1, 2)).min() > 5
            assert 0 < clip.flow[:, list(FLOW_STATISTICS).index("mouth_mean_length")].max() < 20
