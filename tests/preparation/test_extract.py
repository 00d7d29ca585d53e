"""A clip's pictures and sound are those of its second, and windows are kept, mended or dropped by the rules."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.preparation.making import FPS, SIDE, SMALL, MarkerDetector, MarkerTools, manifest_of, number_of, write_marked

from veridical import faces, media
from veridical.clips import ClipStore, StoreSettings, decode_frames, verify
from veridical.faces import template
from veridical.media import UnusableVideoError
from veridical.preparation import Extraction, crops, extract, extract_clips, prepare
from veridical.randomness import stream


def run(path: Path, settings: StoreSettings = SMALL) -> Extraction:
    return extract_clips(path, "v", settings, MarkerTools(settings))


def beeps(seconds: float) -> np.ndarray:
    """A beep in the first tenth of each second, louder each time."""
    time_s = np.arange(round(seconds * 16000)) / 16000
    level = 0.1 * (1 + np.floor(time_s)) * (time_s % 1 < 0.1)
    return (level * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def test_pictures_and_sound_are_of_the_same_second(tmp_path):
    extraction = run(write_marked(tmp_path / "v.mp4", 85, samples=beeps(3.4)))
    assert [clip.start_s for clip in extraction.clips] == [0, 1, 2]
    assert extraction.duration_s == pytest.approx(3.4, abs=0.01)
    for second, clip in enumerate(extraction.clips):
        numbers = [number_of(frame) for frame in clip.frames]
        np.testing.assert_allclose(numbers, FPS * second + 5 * np.arange(5), atol=0.6)
        level = np.sqrt((clip.samples.astype(float).reshape(10, -1) ** 2).mean(axis=1)) / 32768
        assert level[0] == pytest.approx(0.1 * (1 + second) / np.sqrt(2), rel=0.1)
        assert level[1:].max() < 0.05 * level[0] + 0.002
        assert len(clip.samples) == 16000
        assert len(clip.speech) == 50


@pytest.mark.parametrize(("num_frames", "whole"), [(25, 1), (26, 1), (49, 1), (50, 2), (51, 2), (74, 2), (75, 3)])
def test_only_whole_windows(tmp_path, num_frames, whole):
    assert len(run(write_marked(tmp_path / "v.mp4", num_frames)).clips) == whole


@pytest.mark.parametrize("num_frames", [1, 5, 20, 24])
def test_too_short(tmp_path, num_frames):
    path = write_marked(tmp_path / "v.mp4", num_frames)
    with pytest.raises(UnusableVideoError, match=f"lasts {num_frames / FPS:.2f} s, a window needs 1 s") as info:
        run(path)
    assert info.value.status == "too_short"


def test_one_missing_face_is_interpolated_two_drop_the_window(tmp_path):
    missing = {2, 6, 8, 19}
    path = write_marked(tmp_path / "v.mp4", 100, faces=lambda t: "none" if round(t * FPS) // 5 in missing else "one")
    extraction = run(path)
    assert [clip.start_s for clip in extraction.clips] == [0, 2, 3]
    assert extraction.num_dropped_windows == 1
    assert [list(np.flatnonzero(clip.detector_score == 0)) for clip in extraction.clips] == [[2], [], [4]]
    np.testing.assert_allclose(number_of(extraction.clips[0].frames[2]), 10, atol=0.6)
    assert np.ptp(extraction.clips[0].landmarks, axis=0).max() < 0.5


def test_no_window_with_enough_faces(tmp_path):
    never = write_marked(tmp_path / "never.mp4", 50, faces=lambda _: "none")
    with pytest.raises(UnusableVideoError) as info:
        run(never)
    assert info.value.status == "no_face"
    seldom = write_marked(tmp_path / "seldom.mp4", 50, faces=lambda t: "one" if t % 1 < 0.39 else "none")
    with pytest.raises(UnusableVideoError, match="no window of 2 has a face in 4 of its frames") as info:
        run(seldom)
    assert info.value.status == "no_face"


def test_face_policy(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 25, faces=lambda _: "two")
    both = run(path).clips
    assert [(clip.start_s, clip.person, round(float(clip.boxes[0, 0]))) for clip in both] == [(0, 1, 8), (0, 2, 50)]
    (first,) = run(path, SMALL.model_copy(update={"face_policy": "dominant"})).clips
    assert first.person == 1
    np.testing.assert_array_equal(first.frames, both[0].frames)
    with pytest.raises(UnusableVideoError) as info:
        run(path, SMALL.model_copy(update={"face_policy": "single"}))
    assert info.value.status == "multiple_faces"


def test_each_person_has_their_own_windows_and_the_reason_says_what_is_lost(tmp_path):
    """A second person is there in the second and third second; in the fourth there is nobody."""
    path = write_marked(tmp_path / "v.mp4", 100, faces=lambda t: "one" if t < 1 else "two" if t < 3 else "none")
    clips = run(path).clips
    assert [(clip.start_s, clip.person) for clip in clips] == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2)]
    prepare(manifest_of(path), tmp_path / "store", SMALL, workers=0, make_tools=MarkerTools)
    store = ClipStore.open(tmp_path / "store")
    assert store.index()[["start_s", "person"]].to_numpy().tolist() == [[c.start_s, c.person] for c in clips]
    assert [clip.person for clip in store.take(store.index()["row"].to_numpy())] == [1, 1, 2, 1, 2]
    assert verify(store) == []
    row = store.ledger().iloc[0]
    assert (row["num_clips"], row["num_dropped_windows"]) == (5, 1)
    assert row["reason"] == "2 people told apart; 1 windows dropped: too few faces detected"


def test_limits(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 50)
    for values in ({"max_duration_s": 1.5}, {"max_megapixels": 0.005}):
        with pytest.raises(UnusableVideoError, match="the limit is") as info:
            run(path, SMALL.model_copy(update=values))
        assert info.value.status == "over_limit"


def test_sound_that_ends_early(tmp_path):
    clips = run(write_marked(tmp_path / "v.mp4", 75, samples=beeps(1.95))).clips
    assert [clip.samples is not None for clip in clips] == [True, True, False]
    assert not clips[1].samples[-300:].any()
    silent = run(write_marked(tmp_path / "silent.mp4", 25))
    assert silent.clips[0].samples is None
    assert not silent.has_audio


@pytest.mark.parametrize("fps", [5, 12.5])
def test_pictures_that_were_not_kept_are_decoded_again_with_the_same_result(tmp_path, monkeypatch, fps):
    settings = SMALL.model_copy(update={"fps": fps, "window_s": 0.8, "hop_s": 0.8, "max_missing_faces": 2})
    seldom = {4, 7, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 80}
    path = write_marked(
        tmp_path / "v.mp4", 110, faces=lambda t: "none" if round(t * FPS) in seldom else "one", samples=beeps(4.4)
    )
    decoded = []
    real = media.video_frames
    monkeypatch.setattr(
        media, "video_frames", lambda *a, **k: decoded.append(k.get("start_s", 0) * ("fps" in k)) or real(*a, **k)
    )
    kept = run(path, settings)
    assert max(decoded) == 0
    assert any((clip.detector_score == 0).any() for clip in kept.clips)
    monkeypatch.setattr(crops, "FRAME_BYTES", 96 * 96 * 3)
    again = run(path, settings)
    assert max(decoded) > 0
    assert [clip.start_s for clip in again.clips] == [clip.start_s for clip in kept.clips]
    assert len(kept.clips) == {5: 5, 12.5: 4}[fps]
    for one, other in zip(again.clips, kept.clips, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        expected = FPS * one.start_s + FPS / fps * np.arange(len(one.frames))
        np.testing.assert_allclose(
            [number_of(frame) for frame in one.frames], np.floor(expected + 1e-6) % 100, atol=0.6
        )


def test_large_pictures_are_searched_smaller_and_cut_at_full_size(tmp_path):
    pictures = [frame.image for frame in media.video_frames(write_marked(tmp_path / "v.mp4", 25))]
    large = [cv2.resize(picture, None, fx=9, fy=9, interpolation=cv2.INTER_CUBIC) for picture in pictures]
    media.write_video(tmp_path / "large.mp4", large, fps=FPS, crf=4, preset="ultrafast", pixel_format="yuv444p")
    settings = SMALL.model_copy(update={"detection_size": 96})
    small, big = run(tmp_path / "v.mp4", settings).clips[0], run(tmp_path / "large.mp4", settings).clips[0]
    np.testing.assert_allclose(big.boxes, (small.boxes + 0.5) * 9 - 0.5, atol=0.01)
    np.testing.assert_allclose(big.landmarks, small.landmarks, atol=0.01)
    assert np.abs(big.frames.astype(int) - small.frames.astype(int)).mean() < 4


def test_only_the_part_around_a_face_is_cut():
    rng = stream(0, "picture")
    picture = cv2.GaussianBlur(rng.integers(0, 256, (600, 800, 3)).astype(np.uint8), (0, 0), 6)
    for side, corner in ((100, (300, 200)), (500, (150, 60)), (90, (-40, 500)), (90, (2000, 2000))):
        points = (template(side, 1.3) + corner + rng.normal(0, side / 30, (5, 2))).astype(np.float32)
        crop = crops.cut_crop(picture, points, SMALL)
        whole, matrix = faces.align_face(picture, points, size=64, scale=1.3)
        np.testing.assert_allclose(crop.matrix, matrix, atol=1e-5)
        error = np.abs(decode_frames([crop.jpeg])[0].astype(int) - whole.astype(int))
        assert error.mean() < 2.5, side


@pytest.mark.parametrize(("every", "budget"), [(2, None), (3, 96 * 96 * 3)])
def test_faces_searched_in_every_nth_picture(tmp_path, monkeypatch, every, budget):
    """Pictures are those of their time whether searched or not; a face missed in a search is missing until the next one."""
    settings = SMALL.model_copy(update={"fps": 25.0, "max_missing_faces": 6, "detect_every": every})
    path = write_marked(tmp_path / "v.mp4", 50, faces=lambda t: "none" if round(t * FPS) == 6 * every else "one")
    searched = []
    real = MarkerDetector.detect
    monkeypatch.setattr(MarkerDetector, "detect", lambda self, image: searched.append(1) or real(self, image))
    if budget:
        monkeypatch.setattr(crops, "FRAME_BYTES", budget)
    clips = run(path, settings).clips
    assert len(searched) == len({*range(0, 50, every), 49})
    assert [clip.start_s for clip in clips] == [0, 1]
    for clip in clips:
        numbers = [number_of(frame) for frame in clip.frames]
        np.testing.assert_allclose(numbers, FPS * clip.start_s + np.arange(25), atol=0.6)
    missing = np.flatnonzero(clips[0].detector_score == 0)
    assert list(missing) == [number for number in range(5 * every + 1, 7 * every) if number < 25]
    assert (clips[1].detector_score > 0).all()


def test_a_second_decoding_that_gives_less_is_the_videos_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(crops, "FRAME_BYTES", 0)
    monkeypatch.setattr(extract, "_numbered", lambda *_: iter([(0, np.zeros((SIDE, SIDE, 3), np.uint8))]))
    with pytest.raises(UnusableVideoError, match=r"gave no frame at 0\.04 s when it was decoded a second time"):
        run(write_marked(tmp_path / "v.mp4", 30), SMALL.model_copy(update={"fps": 25.0}))


def test_overlapping_windows(tmp_path):
    settings = SMALL.model_copy(update={"hop_s": 0.4})
    clips = run(write_marked(tmp_path / "v.mp4", 50), settings).clips
    assert [clip.start_s for clip in clips] == pytest.approx([0, 0.4, 0.8])
    np.testing.assert_allclose([number_of(frame) for frame in clips[2].frames], 20 + 5 * np.arange(5), atol=0.6)


def test_a_file_and_a_store_give_the_same_clips(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 60, samples=beeps(2.4))
    prepare(manifest_of(path), tmp_path / "store", SMALL, workers=0, make_tools=MarkerTools)
    store = ClipStore.open(tmp_path / "store")
    extraction = extract_clips(path, "v", SMALL, MarkerTools(SMALL))
    kept = store.take(store.index()["row"].to_numpy())
    assert len(kept) == len(extraction.clips) == 2
    for one, other in zip(kept, extraction.clips, strict=True):
        for name in ("frames", "boxes", "landmarks", "detector_score", "samples", "speech"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_real_people(real_clips):
    settings = StoreSettings()
    tools = None
    paths = sorted((real_clips / "grid").glob("*/*.mpg"))[::60]
    assert paths
    for path in paths:
        extraction = extract_clips(path, path.stem, settings, tools)
        assert [clip.start_s for clip in extraction.clips] == [0, 1, 2]
        eyes_and_mouth = extraction.clips[1].landmarks[:, [0, 1, 3, 4]].mean(axis=1)
        np.testing.assert_allclose(eyes_and_mouth, [[128, 155]] * 5, atol=8)
        assert extraction.clips[1].speech.mean() > 0.5
        assert media.probe(path).has_audio


def test_windows_whose_sound_may_not_belong_to_their_frames_are_dropped_and_counted(tmp_path, monkeypatch):
    path = write_marked(tmp_path / "v.mp4", 100, samples=beeps(4))
    monkeypatch.setattr(media, "parts_in_doubt", lambda _: [(2.5, 4.0)])
    extraction = run(path)
    assert [clip.start_s for clip in extraction.clips] == [0, 1]
    assert extraction.num_dropped_windows == 2
    assert extraction.remarks == (
        "2 windows dropped: timestamps jump in one stream only, so audio may not belong to video",
    )
    silent = write_marked(tmp_path / "silent.mp4", 100)
    assert len(run(silent).clips) == 4, "without sound there is nothing to be out of step"
    monkeypatch.setattr(media, "parts_in_doubt", lambda _: [(0.5, 4.0)])
    with pytest.raises(UnusableVideoError, match="timestamps jump in one stream only") as info:
        run(path)
    assert info.value.status == "unreadable"


def test_a_file_cut_short_is_judged_for_what_plays(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 100, samples=beeps(4))
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    size = int.from_bytes(data[index : index + 4], "big")
    moved = _with_index_first(data, index, size)
    path.write_bytes(moved[: len(moved) * 3 // 4])
    extraction = run(path)
    assert [clip.start_s for clip in extraction.clips] == [0, 1]
    for second, clip in enumerate(extraction.clips):
        np.testing.assert_allclose(
            [number_of(frame) for frame in clip.frames], 25 * second + 5 * np.arange(5), atol=0.6
        )
        assert np.abs(clip.samples[:1600]).max() > 1000
    assert any(remark.startswith("is cut short") for remark in extraction.remarks)


def _with_index_first(data: bytes, index: int, size: int) -> bytes:
    """Move the index of an MP4 before its data, as players on the web want it; its chunk offsets grow by its size."""
    moov = bytearray(data[index : index + size])
    start = data.index(b"mdat") - 4
    place = moov.find(b"stco")
    while place >= 0:
        for entry in range(int.from_bytes(moov[place + 8 : place + 12], "big")):
            at = place + 12 + 4 * entry
            moov[at : at + 4] = (int.from_bytes(moov[at : at + 4], "big") + size).to_bytes(4, "big")
        place = moov.find(b"stco", place + 4)
    return data[:start] + bytes(moov) + data[start:index] + data[index + size :]


def test_a_size_that_changes_in_mid_stream_loses_no_window(tmp_path):
    parts = []
    for number, factor in enumerate((1, 2)):
        images = [frame.image for frame in media.video_frames(write_marked(tmp_path / "v.mp4", 100))]
        shown = [np.kron(image, np.ones((factor, factor, 1), np.uint8)) for image in images[50 * number :][:50]]
        media.write_video(tmp_path / f"{number}.mp4", shown, fps=FPS, crf=4, pixel_format="yuv444p")
        parts.append(_as_transport_stream(tmp_path / f"{number}.mp4", first_s=10 + 2.0 * number))
    (tmp_path / "v.ts").write_bytes(b"".join(parts))
    extraction = run(tmp_path / "v.ts")
    assert [clip.start_s for clip in extraction.clips] == [0, 1, 2, 3]
    assert extraction.num_dropped_windows == 0
    assert extraction.remarks == ("frames change their size (96x96, 192x192): all are shown in that of the first",)
    for second, clip in enumerate(extraction.clips):
        numbers = 25 * second + 5 * np.arange(5)
        np.testing.assert_allclose([number_of(frame) for frame in clip.frames], numbers, atol=1.2)


def _as_transport_stream(path: Path, first_s: float) -> bytes:
    """Return a file's packets in a transport stream that begins at a time."""
    with av.open(str(path)) as source, av.open(str(path.with_suffix(".ts")), "w") as target:
        (stream,) = source.streams.video
        track = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                shift = round(first_s / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, track
                target.mux_one(packet)
    return path.with_suffix(".ts").read_bytes()
