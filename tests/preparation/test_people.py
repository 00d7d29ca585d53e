"""Whose face is followed where there are several, and sound that lies beside the video."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io.wavfile
from tests.preparation.making import FPS, SIDE, SMALL, MarkerTools, write_marked
from tests.preparation.test_extract import beeps

from veridical import media
from veridical.artefacts import Manifest, Video
from veridical.clips import ClipStore, StoreSettings
from veridical.errors import UsageError
from veridical.faces import CenterFaceDetector, FaceTrack, select_marked_track
from veridical.media import UnusableVideoError
from veridical.preparation import Source, Tools, extract_clips, prepare
from veridical.preparation.extract import plan_clips

BY_MASK = SMALL.model_copy(update={"face_policy": "mask"})
LEFT, RIGHT = (8, 30, 48, 70), (50, 30, 90, 70)
"""Boxes of the two faces that `MarkerDetector` finds."""


def write_mask(path: Path, box: tuple[int, int, int, int] | None, *, seconds: float = 2.0, scale: int = 1) -> Path:
    """A black video with a white patch."""
    picture = np.zeros((SIDE * scale, SIDE * scale, 3), np.uint8)
    if box is not None:
        x0, y0, x1, y1 = (scale * value for value in box)
        picture[y0 + 8 * scale : y1 - 4 * scale, x0 + 8 * scale : x1 - 8 * scale] = 255
    media.write_video(path, [picture] * round(seconds * FPS), fps=FPS, preset="ultrafast")
    return path


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("box", [LEFT, RIGHT])
def test_the_mask_says_who(tmp_path, box, scale):
    path = write_marked(tmp_path / "v.mp4", 50, faces=lambda _: "two")
    source = Source(path, mask_path=write_mask(tmp_path / "mask.mp4", box, scale=scale))
    for clip in extract_clips(source, "v", BY_MASK, MarkerTools(BY_MASK)).clips:
        np.testing.assert_allclose(clip.boxes, np.tile(box, (5, 1)), atol=0.1)
    assert extract_clips(path, "v", BY_MASK, MarkerTools(BY_MASK)).clips[0].boxes[0, 0] == pytest.approx(8, abs=0.1)


def test_a_mask_that_marks_nobody(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 50, faces=lambda _: "two")
    for box in (None, (0, 0, 28, 24)):
        source = Source(path, mask_path=write_mask(tmp_path / "mask.mp4", box))
        with pytest.raises(UnusableVideoError, match="the mask marks none of the 2 faces") as info:
            extract_clips(source, "v", BY_MASK, MarkerTools(BY_MASK))
        assert info.value.status == "no_face"
    with pytest.raises(UnusableVideoError, match="no such file") as info:
        extract_clips(Source(path, mask_path=tmp_path / "gone.mp4"), "v", BY_MASK, MarkerTools(BY_MASK))
    assert info.value.status == "unreadable"


def test_a_small_face_inside_the_box_of_another_is_found_by_the_mask():
    def track(x0, y0, x1, y1):
        landmarks = np.zeros((3, 5, 2), np.float32)
        return FaceTrack(
            np.arange(3) / 5,
            np.tile(np.float32([x0, y0, x1, y1]), (3, 1)),
            landmarks,
            np.ones(3, np.float32),
            landmarks,
        )

    tracks = [track(0, 0, 100, 100), track(30, 30, 50, 50)]
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[32:48, 32:48] = 200
    masks = [(number / 5, picture) for number in range(3)]
    assert select_marked_track(tracks, masks, (160, 120)) is tracks[1]
    picture[5:95, 5:95] = 200
    assert select_marked_track(tracks, masks, (160, 120)) is tracks[0]
    with pytest.raises(UnusableVideoError, match="no face was found"):
        select_marked_track([], masks, (160, 120))


def with_sound(path: Path, samples: np.ndarray, rate_hz: int = 44_100) -> Path:
    """A wav file beside a video."""
    wav = path.with_suffix(".wav")
    time_s = np.arange(round(len(samples) / 16_000 * rate_hz)) / rate_hz
    values = np.interp(time_s, np.arange(len(samples)) / 16_000, samples)
    scipy.io.wavfile.write(wav, rate_hz, (32767 * values).astype(np.int16))
    return wav


def test_sound_beside_a_video_is_its_sound(tmp_path):
    within = write_marked(tmp_path / "within.mp4", 60, samples=beeps(2.4))
    silent = write_marked(tmp_path / "silent.mp4", 60)
    wav = with_sound(silent, beeps(2.4))
    tools = MarkerTools(SMALL)
    one, other = (extract_clips(source, "v", SMALL, tools) for source in (within, Source(silent, wav)))
    assert other.has_audio
    assert len(other.clips) == 2
    for a, b in zip(one.clips, other.clips, strict=True):
        loud = [np.flatnonzero(np.abs(clip.samples.astype(float)) > 1000)[[0, -1]] for clip in (a, b)]
        np.testing.assert_allclose(loud[0], loud[1], atol=40)
    assert not extract_clips(silent, "v", SMALL, tools).has_audio


@pytest.mark.parametrize("offset_s", [0.0, 0.52])
def test_sound_beside_a_video_starts_with_its_first_frame(tmp_path, offset_s):
    """Whatever the container says its first frame's time is."""
    import av

    silent = write_marked(tmp_path / "silent.mp4", 60)
    moved = tmp_path / "moved.mkv"
    with av.open(str(silent)) as old, av.open(str(moved), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                shift = round(offset_s / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                new.mux(packet)
    clips = extract_clips(Source(moved, with_sound(silent, beeps(2.4))), "v", SMALL, MarkerTools(SMALL)).clips
    assert [np.flatnonzero(np.abs(clip.samples.astype(float)) > 1000)[0] < 100 for clip in clips] == [True, True]


def test_sound_that_cannot_be_read_is_the_videos_fault(tmp_path):
    silent = write_marked(tmp_path / "silent.mp4", 30)
    (tmp_path / "noise.wav").write_bytes(b"no sound here")
    for wav in (tmp_path / "gone.wav", tmp_path / "noise.wav", silent):
        with pytest.raises(UnusableVideoError) as info:
            extract_clips(Source(silent, wav), "v", SMALL, MarkerTools(SMALL))
        assert info.value.status == "unreadable"


def test_prepare_takes_sound_and_mask_from_the_manifest(tmp_path):
    path = write_marked(tmp_path / "v.mp4", 50, faces=lambda _: "two")
    mask = write_mask(tmp_path / "mask.mp4", RIGHT)
    wav = with_sound(path, beeps(2.0))
    beside = {"audio_path": str(wav), "mask": str(mask)}
    manifest = Manifest.from_videos([Video("toy", "v", str(path), attributes=beside), Video("toy", "w", str(path))])
    summary = prepare(manifest, tmp_path / "store", BY_MASK, workers=0, make_tools=MarkerTools)
    assert summary.num_with_sound_beside == 1
    store = ClipStore.open(tmp_path / "store")
    index, ledger = store.index(), store.ledger()
    assert list(index["has_audio"]) == [True, True, False, False]
    assert list(ledger["has_audio"]) == [True, False]
    assert list(ledger["reason"]) == ["sound from a file beside the video", "no mask: the dominant face was followed"]
    assert [round(float(clip.boxes[0, 0])) for clip in store.take([0, 2])] == [50, 8]
    again = prepare(manifest, tmp_path / "store", BY_MASK, workers=0, make_tools=MarkerTools)
    assert again.num_prepared == 0
    with_sound(path, 0.5 * beeps(2.0))
    assert prepare(manifest, tmp_path / "store", BY_MASK, workers=0, make_tools=MarkerTools).num_prepared == 1


def two_people(real_clips: Path, path: Path) -> list[float]:
    """Two GRID speakers side by side, the right one smaller but there all the time; returns where the faces' middles are."""
    clips = [sorted((real_clips / "grid").glob("*/*.mpg"))[number] for number in (0, 100)]
    left, right = ([frame.image for frame in media.video_frames(clip)] for clip in clips)
    pictures = []
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        small = cv2.resize(other, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        small = cv2.copyMakeBorder(small, 0, len(one) - len(small), 0, 0, cv2.BORDER_REPLICATE)
        shown = one if number < 40 else np.full_like(one, 90)
        pictures.append(np.hstack([shown, small])[:, : (one.shape[1] + small.shape[1]) // 2 * 2])
    media.write_video(path, pictures, fps=25, preset="ultrafast")
    detector = CenterFaceDetector()
    middles = []
    for image, start in ((left[0], 0), (pictures[0][:, left[0].shape[1] :], left[0].shape[1])):
        middles.append(float(detector.detect(np.ascontiguousarray(image))[0].box[[0, 2]].mean()) + start)
    return middles


def test_policies_on_two_real_people(real_clips, tmp_path):
    left, right = two_people(real_clips, tmp_path / "two.mp4")
    mask = tmp_path / "mask.mp4"
    pictures = [np.zeros((288, 648, 3), np.uint8) for _ in range(75)]
    for picture in pictures:
        cv2.circle(picture, (round(left), 150), 60, (255, 255, 255), -1)
    media.write_video(mask, pictures, fps=25, preset="ultrafast")
    expected = {"dominant": right, "largest": left, "mask": left}
    for policy, middle in expected.items():
        settings = StoreSettings(face_policy=policy)
        clips = extract_clips(Source(tmp_path / "two.mp4", mask_path=mask), "v", settings, Tools(settings)).clips
        found = [float(clip.boxes[:, [0, 2]].mean()) for clip in clips]
        np.testing.assert_allclose(found, middle, atol=20)
        assert len(clips) == (3 if policy == "dominant" else 1)
    settings = StoreSettings(face_policy="single")
    with pytest.raises(UnusableVideoError, match="2 faces were found"):
        extract_clips(tmp_path / "two.mp4", "v", settings, Tools(settings))


def test_two_people_before_and_after_a_cut_are_told_apart(real_clips, tmp_path):
    """The cut lies within the second window, which is nobody's; one person whose clip is cut stays one."""
    clips = [sorted((real_clips / "grid").glob(f"{speaker}/*.mpg"))[0] for speaker in ("s3", "s23")]
    one, other = ([frame.image for frame in media.video_frames(clip)] for clip in clips)
    media.write_video(tmp_path / "two.mp4", [*one[:38], *other[:37]], fps=25, preset="ultrafast")
    media.write_video(tmp_path / "one.mp4", [*one[:20], *one[35:]], fps=25, preset="ultrafast")
    settings = StoreSettings()
    plan = plan_clips(Source(tmp_path / "two.mp4"), "v", settings, Tools(settings))
    plan.crops.close()
    assert [person.starts for person in sorted(plan.people, key=lambda person: person.starts)] == [(0,), (10,)]
    assert plan.dropped == {"the face changes from one person to another, or could not be followed": 1}
    clips = extract_clips(tmp_path / "one.mp4", "v", settings, Tools(settings)).clips
    assert [(clip.start_s, clip.person) for clip in clips] == [(0, 1), (1, 1)]


def test_unknown_policies_are_refused():
    from veridical.settings import parse_settings

    with pytest.raises(UsageError, match="face_policy"):
        parse_settings(StoreSettings, {"face_policy": "masks"}, "--set")
