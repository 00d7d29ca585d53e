"""Augmentation: one stream gives one variant, strengths are kept, and what would destroy the cue is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.wavfile
import torch
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as TF

from veridical.clips import FLOW_STATISTICS, Clip
from veridical.errors import UsageError
from veridical.inputs.augment import (
    AudioAugmentation,
    VideoAugmentation,
    augment_audio,
    augment_video,
    background_noise,
    bent,
    bent_voice,
    compressed,
    emphasised,
    mirrored,
    noise_facts,
    other_hue,
)

RATE = 16_000
STILL = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "flip_probability": 0, "blur_probability": 0}
STRONG = VideoAugmentation(rotation_deg=10, perspective=0.2, elastic=1, compression_probability=1)
LOUD = AudioAugmentation(pitch_semitones=2, stretch=(0.95, 1.05), emphasis=0.5)


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(side: int = 128, frames: int = 5) -> np.ndarray:
    """Return smooth frames, all alike, with one bright square off the middle."""
    ramp = np.linspace(40, 160, side)
    still = np.stack([np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 90.0)], -1)
    still[30:50, 30:50] = 240
    return np.repeat(still[None].astype(np.uint8), frames, 0)


def tone(hertz: float = 440.0, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(RATE * seconds)) / RATE)).astype(np.float32)


def write(path: Path, samples: np.ndarray) -> None:
    scipy.io.wavfile.write(path, RATE, (32767 * samples).astype(np.int16))


def peak_hz(samples: np.ndarray) -> float:
    inner = samples[2000:-2000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 1 << 18))
    return float(np.argmax(spectrum) * RATE / (1 << 18))


@pytest.mark.parametrize("settings", [VideoAugmentation(), STRONG])
def test_a_stream_gives_one_variant_and_frames_stay_together(settings: VideoAugmentation) -> None:
    first, again, other = (augment_video(picture(), 112, settings, stream(seed)) for seed in (3, 3, 4))
    assert first.shape == (5, 112, 112, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(np.array_equal(first[0], frame) for frame in first), "one draw for all frames of a clip"


def test_strengths_of_zero_change_nothing_but_the_crop() -> None:
    plain = augment_video(picture(), 128, VideoAugmentation(**STILL), stream())
    assert np.array_equal(plain, picture())
    assert np.array_equal(bent(picture(), VideoAugmentation(), stream()), picture())


@pytest.mark.parametrize("turns", [-0.2, -0.1, -0.01, 0.0, 0.04, 0.1, 0.2])
def test_hue_is_moved_as_torchvision_moves_it(turns: float) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    colours[0, 0], colours[0, 1], colours[0, 2, :, 0] = 0, 255, 255  # black, white, the reds at both ends of the circle
    expected = TF.adjust_hue(torch.from_numpy(colours).permute(0, 3, 1, 2), turns).permute(0, 2, 3, 1).numpy()
    difference = np.abs(other_hue(colours, turns).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


def square_of(frame: np.ndarray) -> np.ndarray:
    return np.argwhere(frame[..., 2] > 200).mean(0)


@pytest.mark.parametrize(
    ("changes", "most"),
    [({"rotation_deg": 10}, 8.5), ({"perspective": 0.2}, 11.0), ({"elastic": 1.0}, 3.5)],
)
def test_points_move_as_far_as_the_strength_says(changes: dict[str, Any], most: float) -> None:
    """The square is 34 pixels from the middle: 10 degrees move it 5.9, a corner by a fifth of half the side 12.8 at most."""
    start = square_of(picture()[0])
    moved = [
        float(np.linalg.norm(square_of(bent(picture(), VideoAugmentation(**changes), stream(seed))[0]) - start))
        for seed in range(30)
    ]
    assert 0.3 < max(moved) <= most
    assert np.std(moved) > 0.05


def test_compression_leaves_what_a_codec_leaves() -> None:
    noisy = np.clip(picture() + stream().normal(0, 12, (5, 128, 128, 3)), 0, 255).astype(np.uint8)
    errors = [float(np.abs(compressed(noisy, quality).astype(int) - noisy).mean()) for quality in (90, 60, 30)]
    assert 0 < errors[0] < errors[1] < errors[2] < 20


@pytest.mark.parametrize("settings", [AudioAugmentation(), LOUD])
def test_sound_keeps_its_length_and_range(settings: AudioAugmentation) -> None:
    speech = tone() * np.hanning(RATE).astype(np.float32)
    first, again, other = (augment_audio(speech, settings, stream(seed)) for seed in (1, 1, 2))
    assert first.shape == speech.shape
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("semitones", [-2.0, -0.5, 1.0, 2.0])
@pytest.mark.parametrize("stretch", [0.95, 1.0, 1.05])
def test_pitch_changes_by_semitones_whatever_the_pace(semitones: float, stretch: float) -> None:
    changed = bent_voice(tone(), semitones, stretch)
    assert changed.shape == (RATE,)
    assert peak_hz(changed) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)
    inner = changed[3000:-3000]
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_stretching_moves_events_away_from_the_middle() -> None:
    clicks = np.zeros(RATE, np.float32)
    for at in (4000, 8000, 12000):
        clicks[at : at + 400] = tone(1000)[:400]
    loud = np.convolve(bent_voice(clicks, 0.0, 1.05) ** 2, np.ones(400), "same")
    found = [int(np.argmax(loud[start : start + 4000])) + start for start in (2000, 6000, 10000)]
    expected = [8000 + (at + 200 - 8000) * 1.05 for at in (4000, 8000, 12000)]
    np.testing.assert_allclose(found, expected, atol=160)


def test_emphasis_raises_high_frequencies_and_keeps_loudness() -> None:
    both = tone(200) + tone(6000)
    raised = emphasised(both, 0.5)
    assert np.mean(raised**2) == pytest.approx(np.mean(both**2), rel=1e-3)
    spectrum = np.abs(np.fft.rfft(raised))
    assert spectrum[6000] > 2 * spectrum[200]


def test_noise_comes_from_the_folder_at_the_ratio_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "hum.wav", tone(1234, 3.0))
    (tmp_path / "notes.txt").write_text("no sound")
    noise = background_noise(RATE, tmp_path, stream())
    assert peak_hz(noise) == pytest.approx(1234, rel=0.002)
    assert np.mean(noise**2) == pytest.approx(1, rel=1e-3)
    settings = AudioAugmentation(shift_s=0, noise_probability=1, noise_snr_db=(20, 20), noise_folder=tmp_path)
    added = augment_audio(tone(300), settings, stream()) - tone(300)
    assert 10 * np.log10(np.mean(tone(300) ** 2) / np.mean(added**2)) == pytest.approx(20, abs=0.1)


def test_noise_files_are_told_from_others_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path / "hum.wav", tone(1234, 1.0))
    before = noise_facts(tmp_path)
    assert [name for name, *_ in before] == ["hum.wav"]
    assert noise_facts(tmp_path) == before
    write(tmp_path / "hum.wav", tone(400, 1.0))
    assert noise_facts(tmp_path) != before
    assert noise_facts(None) == []


def test_noise_files_shorter_than_a_clip_repeat_and_silence_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "short.wav", tone(1000, 0.1))
    assert background_noise(RATE, tmp_path, stream()).shape == (RATE,)
    silent = tmp_path / "silent"
    silent.mkdir()
    write(silent / "nothing.wav", np.zeros(RATE, np.float32))
    assert np.mean(background_noise(RATE, silent, stream()) ** 2) == pytest.approx(1, rel=1e-3)


def test_the_beginning_of_long_noise_files_is_used(tmp_path: Path) -> None:
    write(tmp_path / "long.wav", np.concatenate([tone(500, 30.0), tone(3000, 30.0)]))
    found = {round(peak_hz(background_noise(RATE, tmp_path, stream(seed))), -1) for seed in range(5)}
    assert found == {500}


def test_folders_without_sound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"noise_folder: no sound files in .*valid: \.flac"):
        background_noise(RATE, tmp_path, stream())
    (tmp_path / "broken.wav").write_bytes(b"not a sound")
    with pytest.raises(UsageError, match=r"broken\.wav cannot be used"):
        background_noise(RATE, tmp_path, stream())


@pytest.mark.parametrize(
    "changes",
    [
        {"blur_sigma": (0.1, 5.0)}, {"rotation_deg": 45}, {"jpeg_quality": (5, 90)}, {"hue": 0.5}, {"elastic": 20},
        {"blur_sigma": (2.0, 0.1)}, {"cutout": 0.5},
    ],
)  # fmt: skip
def test_what_destroys_the_visual_cue_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VideoAugmentation(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"pitch_semitones": 4},
        {"stretch": (0.5, 1.5)},
        {"noise_snr_db": (-5.0, 10.0)},
        {"shift_s": 0.5},
        {"spec_augment": True},
    ],
)
def test_what_destroys_the_audible_cue_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AudioAugmentation(**changes)


def test_a_mirror_exchanges_left_and_right_alone() -> None:
    stream_ = stream()
    frames = stream_.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    clip = Clip(
        "a",
        0.0,
        frames,
        np.zeros((2, 4), np.float32),
        np.zeros((2, 5, 2), np.float32),
        np.ones(2, np.float32),
        None,
        None,
        mouths=stream_.integers(0, 256, (10, 96, 96), dtype=np.uint8),
        flow=np.ones((2, len(FLOW_STATISTICS)), np.float32),
    )
    mirror = mirrored(clip)
    assert mirror.mouths is not None
    assert mirror.flow is not None
    assert clip.mouths is not None
    np.testing.assert_array_equal(mirror.frames[:, 3, 0], frames[:, 3, -1])
    np.testing.assert_array_equal(mirror.frames[:, 0, 2], frames[:, 0, -3])
    np.testing.assert_array_equal(mirror.mouths[:, 7, 1], clip.mouths[:, 7, -2])
    sideways = np.array(["mean_x" in name for name in FLOW_STATISTICS])
    assert sideways.any()
    np.testing.assert_array_equal(mirror.flow[0] < 0, sideways)
