"""What every forgery promises, tested over the dict."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from veridical.forgery import FORGERIES, Footage, Forged

NAMES = sorted(FORGERIES)


@pytest.fixture(scope="session")
def made(target, other_person, same_person, forge_with):
    """Forge once per (name, severity, seed) and keep the result."""
    kept: dict[tuple[str, float, int], Forged] = {}

    def make(name: str, severity: float = 0.5, seed: int = 0, again: bool = False) -> Forged:
        key = (name, severity, seed)
        if again or key not in kept:
            kept[key] = forge_with(name, target, other_person, same_person, severity, seed)
        return kept[key]

    return make


def frame_change(forged: Forged, target: Footage) -> float:
    return float(np.abs(forged.frames.astype(np.int16) - target.frames).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_keeps_shape_type_and_range(name, severity, made, target):
    forged = made(name, severity)
    assert forged.frames.shape == target.frames.shape
    assert forged.frames.dtype == np.uint8
    assert forged.mask.shape == target.frames.shape[:3]
    assert forged.mask.dtype == np.uint8
    assert set(np.unique(forged.mask)) <= {0, 1}
    assert forged.samples.shape == target.samples.shape
    assert forged.samples.dtype == np.float32
    assert np.isfinite(forged.samples).all()
    assert np.abs(forged.samples).max() <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_changes_what_it_says_and_nothing_else(name, severity, made, target):
    forgery, forged = FORGERIES[name], made(name, severity)
    outside = forged.mask == 0
    assert np.array_equal(forged.frames[outside], target.frames[outside])
    assert outside.any()
    if forgery.visual:
        touched = (forged.frames != target.frames).any(-1)
        assert touched.any(axis=(1, 2)).mean() > 0.2, "forges frames, not just one"
        assert touched[forged.mask == 1].mean() > 0.2, "the mask is not far larger than what is changed"
    else:
        assert not forged.mask.any()
    changes_audio = forgery.audio or name in ("desync", "lip_dub")
    assert (not np.array_equal(forged.samples, target.samples)) == changes_audio


@pytest.mark.parametrize("name", NAMES)
def test_leaves_its_input_alone(name, target, other_person, same_person, forge_with):
    people = target, other_person, same_person
    arrays = [array for footage in people for array in (footage.frames, footage.landmarks, footage.samples)]
    before = [array.copy() for array in arrays]
    forge_with(name, *people, severity=1.0, seed=3)
    assert len(before) == 9
    assert all(np.array_equal(old, new) for old, new in zip(before, arrays, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_is_a_pure_function_of_the_stream(name, made):
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    first, again = made(name), made(name, again=True)
    after = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2]), "no global generator is used"
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.samples, again.samples)
    assert first.fake_segments == again.fake_segments


@pytest.mark.parametrize("name", ["self_blend", "voice_exchanged", "voice_vocoded", "face_swap_partial"])
def test_another_stream_gives_another_forgery(name, made):
    results = {(made(name, seed=seed).frames.tobytes(), made(name, seed=seed).samples.tobytes()) for seed in range(3)}
    assert len(results) > 1


@pytest.mark.parametrize("name", NAMES)
def test_labels_agree_with_what_was_forged(name, made):
    forgery, forged = FORGERIES[name], made(name)
    assert forged.label == 1
    assert forged.visual_label == int(forgery.visual)
    assert forged.audio_label == int(forgery.audio)


@pytest.mark.parametrize("name", NAMES)
def test_segments_lie_in_the_video_and_hold_all_that_is_forged(name, made, target):
    forged = made(name)
    spliced = name == "speech_spliced"
    assert bool(forged.fake_segments) == (name.endswith("_partial") or spliced)
    time_s = np.arange(len(target)) / target.fps
    for segment in forged.fake_segments:
        assert 0 <= segment.start_s < segment.end_s <= target.duration_s + 1e-6
    visual = [segment for segment in forged.fake_segments if segment.modality == "visual"]
    if visual:
        inside = (time_s >= visual[0].start_s - 1e-6) & (time_s < visual[0].end_s - 1e-6)
        assert inside.any()
        assert not inside.all()
        assert not forged.mask[~inside].any()
    audible = [segment for segment in forged.fake_segments if segment.modality == "audio"]
    if audible:
        sample_s = np.arange(len(target.samples)) / 16_000
        inside = np.any(
            [(sample_s >= part.start_s - 1e-6) & (sample_s < part.end_s + 1e-6) for part in audible], axis=0
        )
        assert np.array_equal(forged.samples[~inside], target.samples[~inside])


@pytest.mark.parametrize("name", sorted(name for name, forgery in FORGERIES.items() if forgery.visual))
def test_works_without_audio_unless_it_needs_it(name, footage_of, forge_with):
    silent = footage_of(0, num_frames=20, audio=False), footage_of(1, audio=False), footage_of(0, 1, audio=False)
    if FORGERIES[name].needs_audio:
        with pytest.raises(ValueError, match="with audio"):
            forge_with(name, *silent)
        return
    forged = forge_with(name, *silent)
    assert forged.samples is None
    assert forged.audio_label is None


@pytest.mark.parametrize("name", sorted(name for name, forgery in FORGERIES.items() if forgery.donor != "none"))
def test_a_missing_donor_is_an_error(name, target):
    with pytest.raises(ValueError, match="donor"):
        FORGERIES[name].function(target, None, 0.5, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["self_blend", "neural_mouth"])
def test_more_severity_changes_more_of_the_frames(name, made, target):
    gentle, strong = (np.mean([frame_change(made(name, s, seed), target) for seed in range(4)]) for s in (0.0, 1.0))
    assert strong > gentle


@pytest.mark.parametrize("name", ["speech_spliced", "voice_vocoded", "voice_converted"])
def test_more_severity_changes_more_of_the_audio(name, made, target):
    def spectral(severity: float) -> float:
        from veridical.forgery.spectra import spectrum

        own = np.log(np.abs(spectrum(target.samples)) + 1e-3)
        return float(
            np.mean(
                [
                    np.abs(np.log(np.abs(spectrum(made(name, severity, seed).samples)) + 1e-3) - own).mean()
                    for seed in range(3)
                ]
            )
        )

    assert spectral(1.0) > spectral(0.0)


@pytest.mark.parametrize("name", sorted(name for name, forgery in FORGERIES.items() if forgery.visual))
def test_a_face_at_the_edge_of_the_frame_is_no_problem(name, footage_of, forge_with):
    def cropped(footage: Footage) -> Footage:
        return Footage(footage.frames[:, 30:, 50:].copy(), footage.fps, footage.landmarks - [50, 30], footage.samples)

    target = cropped(footage_of(0, num_frames=20))
    forged = forge_with(name, target, footage_of(1, num_frames=20), footage_of(0, 1, num_frames=20), severity=0.7)
    outside = forged.mask == 0
    assert np.array_equal(forged.frames[outside], target.frames[outside])
    assert not np.array_equal(forged.frames, target.frames)


@pytest.mark.parametrize("name", NAMES)
def test_a_still_face_is_no_problem(name, target, other_person, same_person, forge_with):
    def still(footage: Footage) -> Footage:
        frames, points = footage.frames[:1].repeat(20, 0), footage.landmarks[:1].repeat(20, 0)
        return Footage(frames, footage.fps, points, footage.samples[: 20 * 640])

    forged = forge_with(name, still(target), still(other_person), still(same_person))
    assert np.isfinite(forged.samples).all()
    assert forged.frames.shape == still(target).frames.shape
