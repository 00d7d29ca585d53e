"""Rendering: determinism, the ground truth of landmarks, and that the frames move as the ground truth does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from veridical.errors import UsageError
from veridical.puppets import FAMILIES, FPS, PuppetClip, Renderer, render_clip, render_puppet, sample_identity
from veridical.puppets.features import EyePose, lid_edges
from veridical.puppets.motion import perform
from veridical.puppets.speech import say


@pytest.fixture(scope="module", params=FAMILIES)
def clip(request: pytest.FixtureRequest) -> PuppetClip:
    return render_puppet(Renderer(sample_identity(4, request.param)), 7, 2.0)


def test_same_seed_same_pixels_and_samples() -> None:
    person = sample_identity(1, "a")
    frames, samples = render_clip(person, 5, 0.4)
    again, samples_again = render_clip(sample_identity(1, "a"), 5, 0.4)
    assert np.array_equal(frames, again)
    assert np.array_equal(samples, samples_again)
    other, samples_other = render_clip(person, 6, 0.4)
    assert not np.array_equal(frames, other)
    assert not np.array_equal(samples, samples_other)


def test_shapes_and_ranges(clip: PuppetClip) -> None:
    assert clip.frames.shape[0] == 50
    assert clip.frames.shape[3] == 3
    assert clip.frames.dtype == np.uint8
    assert all(side % 2 == 0 for side in clip.frames.shape[1:3])
    assert clip.samples.shape == (32_000,)
    assert clip.samples.dtype == np.float32
    assert 25 < clip.frames.mean() < 210
    assert clip.frames.std() > 15


def test_identities_differ_in_what_is_seen() -> None:
    images = [render_clip(sample_identity(seed, "a"), 0, 0.04)[0][0].astype(int) for seed in range(6)]
    for index, image in enumerate(images):
        for other in images[index + 1 :]:
            assert np.abs(image - other).mean() > 8


def test_attributes_cover_many_kinds_of_people() -> None:
    people = [sample_identity(seed, "a").attributes for seed in range(60)]
    for name, kinds in {"hair": 7, "glasses": 4, "skin": 3, "age": 3, "voice": 2, "beard": 2, "accent": 3}.items():
        assert len({person[name] for person in people}) >= kinds, name


def test_families_look_different() -> None:
    first, second = (sample_identity(3, family) for family in FAMILIES)
    assert first.studio.noise < second.studio.noise
    assert (first.studio.width, first.studio.height) != (second.studio.width, second.studio.height)
    assert first.shape != second.shape


def test_landmarks_are_inside_the_frame_and_in_order(clip: PuppetClip) -> None:
    height, width = clip.frames.shape[1:3]
    five = clip.truth.five
    assert five.shape == (50, 5, 2)
    assert (five > 0).all()
    assert (five[..., 0] < width).all()
    assert (five[..., 1] < height).all()
    assert (five[:, 0, 0] < five[:, 1, 0]).all()
    assert (five[:, 3, 0] < five[:, 4, 0]).all()
    assert (five[:, 2, 1] < five[:, 3:, 1].min(axis=1)).all()
    face_width = np.ptp(clip.truth.outline[..., 0], axis=1)
    assert (face_width >= 110).all(), "faces must be large enough for a forged mouth to be seen"


def test_the_mouth_moves_in_the_frames_as_in_the_ground_truth(clip: PuppetClip) -> None:
    change, opening_change = [], []
    for index in range(49):
        x0, y0 = clip.truth.lips_outer[index].min(axis=0).astype(int) - 4
        x1, y1 = clip.truth.lips_outer[index].max(axis=0).astype(int) + 4
        crops = [clip.frames[k, y0:y1, x0:x1].astype(float) for k in (index, index + 1)]
        change.append(np.abs(crops[1] - crops[0]).mean())
        opening_change.append(abs(clip.truth.mouth_opening[index + 1] - clip.truth.mouth_opening[index]))
    assert np.corrcoef(change, opening_change)[0, 1] > 0.35


def test_an_open_mouth_is_dark_inside() -> None:
    darkest_when_open = []
    for seed in range(3):
        clip = render_puppet(Renderer(sample_identity(seed, "a")), 3, 1.2)
        widest, shut = int(np.argmax(clip.truth.mouth_opening)), int(np.argmin(clip.truth.mouth_opening))
        darkest = []
        for index in (widest, shut):
            inner = clip.truth.lips_inner[index]
            x, (y0, y1) = round(float(inner[5, 0])), np.sort(np.round(inner[[5, 16], 1]).astype(int))
            darkest.append(clip.frames[index, y0 : y1 + 1, x - 2 : x + 3].min())
        darkest_when_open.append(int(darkest[0]))
        assert darkest[0] < darkest[1], "a closed mouth is lighter"
    assert len(darkest_when_open) == 3
    assert max(darkest_when_open) < 60


def test_blinks_hide_the_eyeball() -> None:
    shape = sample_identity(1, "a").shape
    across = np.linspace(-1, 1, 9, dtype=np.float32)
    shut, wide = (lid_edges(shape, EyePose(lid, (0.0, 0.0), 0.0, 0.0), across, 1) for lid in (0.0, 1.0))
    assert np.allclose(shut[0], shut[1])
    assert wide[1][4] - wide[0][4] > 0.09
    assert np.allclose(wide[0][[0, 8]], wide[1][[0, 8]]), "lids meet in the corners"


def test_mouth_follows_the_loudness_of_the_speech() -> None:
    """Averaged over people; with the audio of another clip the correlation vanishes."""
    talks = []
    for seed in range(10):
        person = sample_identity(seed, FAMILIES[seed % 2])
        speech = say(person.voice, 4.0, seed)
        mouth = perform(speech.phonemes, 100, FPS, person.temperament, seed).mouth
        power = (speech.samples.reshape(100, -1) ** 2).mean(axis=1)
        talks.append((gaussian_filter1d(np.sqrt(power), 1.0)[8:], mouth.jaw[8:]))
    own = np.mean([np.corrcoef(loudness, jaw)[0, 1] for loudness, jaw in talks])
    foreign = np.mean([np.corrcoef(talks[k - 1][0], talks[k][1])[0, 1] for k in range(len(talks))])
    assert own > 0.4
    assert abs(foreign) < 0.2


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown rendering family 'c'"):
        sample_identity(0, "c")
    with pytest.raises(UsageError, match="at least one frame"):
        render_clip(sample_identity(0, "a"), 0, 0.0)
