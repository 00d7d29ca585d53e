"""Every shortcut changes what it says, nothing else, and in one class only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from veridical.artefacts import Manifest, Video
from veridical.errors import UsageError
from veridical.interventions import (
    INTERVENTIONS,
    SHORTCUTS,
    WORLDS,
    Recording,
    WorldSettings,
    plant,
    plant_in_manifest,
    plant_in_recording,
)
from veridical.media import audio_samples, probe, video_frames, write_video
from veridical.randomness import stream
from veridical.settings import parse_settings

RECORDING_SHORTCUTS = {name: item.on_recording for name, item in INTERVENTIONS.items() if item.on_recording}
MANIFEST_SHORTCUTS = [name for name, item in INTERVENTIONS.items() if item.on_manifest]


def _recording() -> Recording:
    rng = stream(0, "recording")
    frames = cv2.GaussianBlur(
        rng.integers(40, 200, (50, 96, 128, 3)).astype(np.uint8).reshape(50 * 96, 128, 3), (0, 0), 2
    )
    samples = (0.1 * rng.standard_normal(32_000)).astype(np.float32)
    return Recording(frames.reshape(50, 96, 128, 3), samples)


def _facts(recording: Recording) -> dict[str, object]:
    """What an audit could measure of a recording, each under the name of the shortcut that should move it."""
    samples, frames = recording.samples, recording.frames
    silent = None if samples is None else int(np.argmax(np.abs(samples) > 5e-4))
    return {
        "audio_presence": samples is not None,
        "leading_silence": None if silent is None else silent > 1000,
        "codec": recording.codec,
        "bitrate": recording.crf,
        "pixel_format": recording.pixel_format,
        "frame_rate": recording.fps,
        "resolution": frames.shape[1:3],
        "duration": round(recording.duration_s, 1),
        "brightness": round(float(frames.mean()) / 10),
        "loudness": None if samples is None else round(10 * np.log10(np.mean(samples**2)) / 3),
    }


@pytest.mark.parametrize("name", RECORDING_SHORTCUTS)
def test_contract(name: str) -> None:
    recording = _recording()
    before = recording.frames.copy(), None if recording.samples is None else recording.samples.copy()
    changed = RECORDING_SHORTCUTS[name](recording, stream(1, name))
    again = RECORDING_SHORTCUTS[name](recording, stream(1, name))
    assert np.array_equal(recording.frames, before[0]), "the input must not change"
    assert np.array_equal(recording.samples, before[1])
    assert np.array_equal(changed.frames, again.frames), "the same stream gives the same result"
    same_frames = np.array_equal(changed.frames, recording.frames)
    same_samples = changed.samples is not None and np.array_equal(changed.samples, recording.samples)
    same_rest = (changed.fps, changed.crf, changed.codec, changed.pixel_format) == (25.0, 18, "libx264", "yuv420p")
    assert not (same_frames and same_samples and same_rest), "it must change something"


@pytest.mark.parametrize("name", sorted(set(_facts(_recording())) & set(RECORDING_SHORTCUTS)))
def test_changes_what_it_says_and_no_other_fact(name: str) -> None:
    recording = _recording()
    before, after = _facts(recording), _facts(RECORDING_SHORTCUTS[name](recording, stream(1, name)))
    follows = {
        "audio_presence": {"leading_silence", "loudness"},
        "leading_silence": {"loudness"},
        "duration": {"loudness"},
    }
    moved = {key for key in before if before[key] != after[key]}
    assert name in moved
    assert moved <= {name} | follows.get(name, set())


def test_frames_that_are_marked_enlarged_or_hidden() -> None:
    recording = _recording()
    marked = plant_in_recording(recording, ["watermark"], 0, "v")
    assert marked.frames.mean() > recording.frames.mean() + 1
    same = (marked.frames == recording.frames).all(axis=(0, 3)).mean()
    assert 0.6 < same < 0.95
    enlarged = plant_in_recording(recording, ["crop_scale"], 0, "v")
    assert enlarged.frames.shape == recording.frames.shape
    lost = plant_in_recording(recording, ["lost_faces"], 0, "v")
    hidden = (lost.frames == 128).all(axis=(1, 2, 3))
    assert 0.15 <= hidden.mean() <= 0.25
    assert np.array_equal(lost.frames[~hidden], recording.frames[~hidden])


def test_time_stays_true_when_the_rate_changes() -> None:
    recording = _recording()
    frames = np.repeat(np.arange(50, dtype=np.uint8)[:, None, None, None], 3, axis=3) * np.ones((1, 8, 8, 1), np.uint8)
    faster = RECORDING_SHORTCUTS["frame_rate"](replace(recording, frames=frames), stream(0))
    assert faster.duration_s == pytest.approx(2.0)
    for index in (0, 29, 59):
        assert abs(faster.frames[index, 0, 0, 0] / 25 - index / 30) < 0.041


def test_silent_videos_stay_silent() -> None:
    mute = replace(_recording(), samples=None)
    for name in RECORDING_SHORTCUTS:
        assert RECORDING_SHORTCUTS[name](mute, stream(0)).samples is None


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="unknown shortcut 'watermrk'; did you mean 'watermark'"):
        parse_settings(WorldSettings, {"shortcuts": ["watermrk"]}, "world.yaml")


def test_worlds_cover_every_shortcut() -> None:
    assert WORLDS["clean"].shortcuts == ()
    assert {name for world in WORLDS.values() for name in world.shortcuts} == set(SHORTCUTS)
    assert set(SHORTCUTS) == {*RECORDING_SHORTCUTS, *MANIFEST_SHORTCUTS}
    assert set(SHORTCUTS).isdisjoint(name for name, item in INTERVENTIONS.items() if item.kind != "shortcut")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("world")
    videos = []
    recording = _recording()
    for index in range(4):
        path = folder / f"{index}.mp4"
        write_video(path, recording.frames[:25], fps=25, samples=recording.samples[:16_000], preset="superfast")
        videos.append(Video("w", f"w/{index}", str(path), label=index % 2, audio_label=0, has_audio=True))
    return Manifest.from_videos(videos)


def test_plant_touches_one_class_and_writes_both_alike(corpus: Manifest, tmp_path: Path) -> None:
    world = WorldSettings(shortcuts=("audio_presence", "resolution"))
    planted = plant(corpus, tmp_path, world)
    assert [video.video_id for video in planted.videos()] == ["w/0", "w/1", "w/2", "w/3"]
    for before, after in zip(corpus.videos(), planted.videos(), strict=True):
        assert after.path != before.path
        facts = probe(Path(after.path))
        assert facts.has_audio == after.has_audio == (after.label == 0)
        assert after.audio_label == (0 if after.label == 0 else None)
        assert (facts.width, facts.height) == ((128, 96) if after.label == 0 else (96, 72))
        assert len(list(video_frames(Path(after.path)))) == 25


def test_a_clean_world_keeps_frames_and_audio(corpus: Manifest, tmp_path: Path) -> None:
    planted = plant(corpus, tmp_path, WORLDS["clean"])
    assert len(planted) == 4
    for before, after in zip(corpus.videos(), planted.videos(), strict=True):
        frames = [np.stack([frame.image for frame in video_frames(Path(video.path))]) for video in (before, after)]
        assert np.abs(frames[0].astype(int) - frames[1]).mean() < 3
        sounds = [audio_samples(Path(video.path)) for video in (before, after)]
        assert sounds[0] is not None
        assert sounds[1] is not None
        assert np.corrcoef(sounds[0][:15_000], sounds[1][:15_000])[0, 1] > 0.95


def test_a_share_and_the_other_class(corpus: Manifest, tmp_path: Path) -> None:
    reals = plant(corpus, tmp_path, WorldSettings(shortcuts=("audio_presence",), label=0))
    assert [video.has_audio for video in reals.videos()] == [False, True, False, True]
    many = Manifest.from_videos(Video("w", f"w/{index}", "x.mp4", label=1) for index in range(300))
    share = WorldSettings(shortcuts=("audio_presence",), share=0.3)
    assert 0.2 < np.mean([share.changes(video, 0) for video in many.videos()]) < 0.4


def test_planting_in_the_folder_of_another_world_is_refused(corpus: Manifest, tmp_path: Path) -> None:
    plant(corpus, tmp_path, WORLDS["clean"])
    with pytest.raises(UsageError, match="made with other settings"):
        plant(corpus, tmp_path, WORLDS["brightness"])


def test_planting_in_a_class_that_is_not_there_is_refused(corpus: Manifest, tmp_path: Path) -> None:
    reals = Manifest.from_videos(video for video in corpus.videos() if video.label == 0)
    with pytest.raises(UsageError, match="no video has label 1"):
        plant(reals, tmp_path, WORLDS["brightness"])


def _split_manifest() -> Manifest:
    videos = []
    for person in range(6):
        for k in range(4):
            split = ("train", "train", "train", "val", "test", "test")[person]
            generator = (None, None, "swap", "dub")[k]
            row = Video("w", f"w/{person}/{k}", f"{person}-{k}.mp4", label=int(k > 1), identities=(f"p{person}",))
            videos.append(replace(row, split=split, generator=generator))
    return Manifest.from_videos(videos)


def test_duplicates_are_in_two_splits() -> None:
    manifest = plant_in_manifest(_split_manifest(), ["duplicates"])
    by_path: dict[str, set[str | None]] = {}
    for video in manifest.videos():
        by_path.setdefault(video.path, set()).add(video.split)
    assert sum(splits == {"train", "test"} for splits in by_path.values()) == 4
    assert len(manifest) == 24 + 4


def test_identities_are_on_both_sides() -> None:
    def shared(manifest: Manifest) -> int:
        sides: dict[str, set[str | None]] = {}
        for video in manifest.videos():
            sides.setdefault(video.identities[0], set()).add(video.split)
        return sum({"train", "test"} <= split for split in sides.values())

    clean = _split_manifest()
    assert shared(clean) == 0
    assert shared(plant_in_manifest(clean, ["identity_overlap"])) == 3


def test_a_generator_is_missing_from_training_only() -> None:
    manifest = plant_in_manifest(_split_manifest(), ["missing_generator"])
    generators = {
        split: {v.generator for v in manifest.videos() if v.split == split} - {None} for split in ("train", "test")
    }
    assert len(generators["train"]) == 1
    assert generators["test"] == {"swap", "dub"}


@pytest.mark.parametrize("name", MANIFEST_SHORTCUTS)
def test_manifest_shortcuts_need_a_split(name: str) -> None:
    with pytest.raises(UsageError, match="train split"):
        plant_in_manifest(Manifest.from_videos([Video("w", "w/0", "x.mp4", label=1)]), [name])
