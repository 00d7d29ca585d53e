"""What goes on around the talker: each switch does what it says and leaves the rest alone."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.errors import UsageError
from veridical.puppets import PuppetClip, Renderer, Scene, SceneSettings, render_puppet, sample_identity
from veridical.puppets.scene import music, sample_scene
from veridical.settings import parse_settings

SECONDS = 1.2


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(sample_identity(2, "a"))


@pytest.fixture(scope="module")
def plain(renderer: Renderer) -> PuppetClip:
    return render_puppet(renderer, 1, SECONDS)


def _changed(clip: PuppetClip, plain: PuppetClip) -> np.ndarray:
    """(N, H, W) True where a pixel differs clearly."""
    return np.abs(clip.frames.astype(int) - plain.frames).max(axis=3) > 12


def test_occlusion_covers_part_of_the_face_for_part_of_the_time(renderer: Renderer, plain: PuppetClip) -> None:
    clip = render_puppet(renderer, 1, SECONDS, Scene(occlusion=True))
    covered = _changed(clip, plain).mean(axis=(1, 2))
    assert covered.max() > 0.02
    assert (covered < 0.001).any()
    assert np.array_equal(clip.samples, plain.samples)
    middle = int(np.argmax(covered))
    x0, y0 = clip.truth.lips_outer[middle].min(axis=0).astype(int) - 15
    x1, y1 = clip.truth.lips_outer[middle].max(axis=0).astype(int) + 15
    assert _changed(clip, plain)[middle, y0:y1, x0:x1].mean() > 0.1


def test_second_person_is_behind_and_beside(renderer: Renderer, plain: PuppetClip) -> None:
    clip = render_puppet(renderer, 1, SECONDS, Scene(second_person=True))
    changed = _changed(clip, plain)
    assert 0.03 < changed.mean() < 0.4
    x0, y0 = clip.truth.five[0].min(axis=0).astype(int)
    x1, y1 = clip.truth.five[0].max(axis=0).astype(int)
    assert changed[0, y0:y1, x0:x1].mean() < 0.01


def test_pause_silences_the_voice_and_shuts_the_mouth(renderer: Renderer) -> None:
    clip = render_puppet(renderer, 1, 3.0, Scene(pause=True))
    pause = max(clip.phonemes, key=lambda item: (item.symbol == "_:") * (item.end_s - item.start_s))
    assert pause.end_s - pause.start_s == pytest.approx(1.0, abs=0.02)
    assert clip.samples is not None
    quiet = clip.samples[int((pause.start_s + 0.4) * 16_000) : int(min(pause.end_s - 0.05, 3.0) * 16_000)]
    assert np.sqrt(np.mean(quiet**2)) < 0.15 * np.sqrt(np.mean(clip.samples**2))
    opening = clip.truth.mouth_opening
    inside = slice(int((pause.start_s + 0.3) * 25), int(min(pause.end_s - 0.2, 3.0) * 25))
    assert opening[inside].max() < 0.25 * opening.max()


def test_music_is_below_the_speech(renderer: Renderer, plain: PuppetClip) -> None:
    clip = render_puppet(renderer, 1, SECONDS, Scene(music=True))
    assert clip.samples is not None
    assert plain.samples is not None
    added = clip.samples - plain.samples
    level_db = 10 * np.log10(np.mean(added**2) / np.mean(plain.samples**2))
    assert -19 < level_db < -8
    assert np.array_equal(clip.frames, plain.frames)


def test_a_cut_changes_the_second_half_and_its_truth(renderer: Renderer, plain: PuppetClip) -> None:
    clip = render_puppet(renderer, 1, SECONDS, Scene(cut=True))
    assert np.array_equal(clip.frames[:15], plain.frames[:15])
    assert _changed(clip, plain)[15:].mean() > 0.1
    sizes = np.linalg.norm(clip.truth.five[:, 1] - clip.truth.five[:, 0], axis=1)
    assert sizes[15] > 1.05 * sizes[14]
    assert np.array_equal(clip.truth.mouth_opening, plain.truth.mouth_opening)


def test_without_audio_the_frames_stay_the_same(renderer: Renderer, plain: PuppetClip) -> None:
    clip = render_puppet(renderer, 1, SECONDS, Scene(has_audio=False))
    assert clip.samples is None
    assert np.array_equal(clip.frames, plain.frames)


def test_shares_are_met() -> None:
    settings = SceneSettings(music=0.5, no_sound=0.2)
    scenes = [sample_scene(settings, seed) for seed in range(300)]
    assert 0.4 < np.mean([scene.music for scene in scenes]) < 0.6
    assert 0.1 < np.mean([not scene.has_audio for scene in scenes]) < 0.3
    assert not any(scene.occlusion or scene.cut for scene in scenes)
    assert sample_scene(SceneSettings(), 5) == Scene()


def test_music_is_deterministic_and_varies() -> None:
    assert np.array_equal(music(8000, 1), music(8000, 1))
    assert not np.array_equal(music(8000, 1), music(8000, 2))
    assert np.sqrt(np.mean(music(16_000, 1) ** 2)) == pytest.approx(1, abs=1e-3)


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(UsageError, match="music"):
        parse_settings(SceneSettings, {"music": 1.5}, "scenes")
