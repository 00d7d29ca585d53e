"""Mouth crops, flow statistics and dense landmarks: kept where the settings ask for them, and only there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.clips.making import SMALL, make_clip, make_manifest, make_store

from veridical.clips import (
    CONTENTS,
    FLOW_STATISTICS,
    ClipStore,
    ClipWriter,
    LedgerEntry,
    StoreSettings,
    clip_schema,
    encode_clips,
    verify,
)
from veridical.clips.encoding import content_digest
from veridical.errors import UsageError
from veridical.inputs import Augmentation, InputSettings, VideoAugmentation, clip_inputs, view_inputs
from veridical.inputs.augment import mirrored
from veridical.preparation.motion import flow_statistics

ALL = SMALL.model_copy(update=dict.fromkeys(CONTENTS, True))
INPUTS = InputSettings(frame_size=32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("contents") / "store", {"a": 2, "b": 1}, ALL)


def test_round_trip(store):
    for clip in store.take([0, 1, 2]):
        expected = make_clip(clip.video_id, clip.start_s, settings=ALL)
        assert np.abs(clip.mouths.astype(int) - expected.mouths).mean() < 1
        assert clip.mouths.shape == (25, 96, 96)
        np.testing.assert_array_equal(clip.flow, expected.flow)
        np.testing.assert_array_equal(clip.dense_landmarks, expected.dense_landmarks)
    assert verify(store) == []


def test_only_what_is_wanted_is_read(store):
    plain, seen = store.take([0], ())[0], store.take([0], ("mouths",))[0]
    assert plain.mouths is plain.flow is plain.dense_landmarks is None
    assert seen.mouths is not None
    assert seen.flow is None


def test_the_default_store_has_no_column_more():
    names = clip_schema(StoreSettings()).names
    assert not set(CONTENTS) & set(names)
    assert clip_schema(ALL).names == [*names, *CONTENTS]


def test_contents_are_part_of_the_digest():
    clip = make_clip("a", 0.0, settings=ALL)
    table = encode_clips([clip], ALL)
    digests = {content_digest(table.drop_columns([name])) for name in CONTENTS} | {content_digest(table)}
    assert len(digests) == 4
    changed = make_clip("a", 0.0, settings=ALL)
    changed.flow[2, 3] += 1
    assert content_digest(encode_clips([changed], ALL)) != content_digest(table)


@pytest.mark.parametrize(("held", "asked"), [(ALL, SMALL), (SMALL, ALL)])
def test_clips_that_hold_other_contents_are_refused(tmp_path, held, asked):
    ClipStore.create(tmp_path / "store", asked, make_manifest("a"))
    with ClipWriter(tmp_path / "store") as writer, pytest.raises(ValueError, match="expected the optional contents"):
        writer.add(LedgerEntry("a", "ok"), [make_clip("a", 0.0, settings=held)])


def test_inputs_hold_what_the_settings_ask_for(store):
    clips = store.take([0, 2])
    plain = clip_inputs(clips, INPUTS)
    assert plain.mouths is plain.flow is None
    asked = INPUTS.model_copy(update={"mouths": True, "flow": True})
    assert asked.contents == ("mouths", "flow")
    upright = Augmentation(video=VideoAugmentation(flip_probability=0))
    for inputs in (clip_inputs(clips, asked), view_inputs(clips, asked, upright, 0, 0)):
        assert inputs.mouths.shape == (2, 25, 96, 96)
        assert inputs.mouths.dtype == torch.uint8
        assert inputs.flow.shape == (2, 5, len(FLOW_STATISTICS))
        assert inputs.flow.dtype == torch.float32
        np.testing.assert_array_equal(inputs.flow[1].numpy(), clips[1].flow)
    with pytest.raises(UsageError, match=r"needs mouths.*--set mouths=true"):
        clip_inputs(store.take([0], ()), asked)


def test_a_mirrored_view_is_the_view_of_mirrored_frames():
    uneven = np.random.default_rng(0).integers(0, 256, (25, 96, 96), dtype=np.uint8)
    clip = replace(make_clip("a", 0.0, settings=ALL), mouths=uneven)
    sign = np.array([-1 if name.endswith("mean_x") else 1 for name in FLOW_STATISTICS], np.float32)
    assert (sign == -1).sum() == 4
    shown = replace(clip, frames=clip.frames[:, :, ::-1], mouths=clip.mouths[:, :, ::-1].copy(), flow=clip.flow * sign)
    asked = INPUTS.model_copy(update={"mouths": True, "flow": True})
    always, never = (Augmentation(video=VideoAugmentation(flip_probability=share)) for share in (1.0, 0.0))
    for view in range(3):
        seen, expected = view_inputs([clip], asked, always, 0, view), view_inputs([shown], asked, never, 0, view)
        plain = view_inputs([clip], asked, never, 0, view)
        for name in ("frames", "samples", "mouths", "flow"):
            assert torch.equal(getattr(seen, name), getattr(expected, name)), name
            assert torch.equal(getattr(seen, name), getattr(plain, name)) == (name == "samples"), name


def test_flow_in_a_mirror_is_the_flow_of_mirrored_frames():
    """Which figures change their sign is a claim about how they are measured."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (160, 160)).astype(np.float32), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    turn = cv2.getRotationMatrix2D((70, 60), 1.5, 1.02)
    turn[:, 2] += (1.2, 0.7)
    before, after = texture.astype(np.uint8), cv2.warpAffine(texture, turn, (160, 160)).astype(np.uint8)
    seen, reflected = (
        flow_statistics(*(np.ascontiguousarray(picture) for picture in pair), 1.3)
        for pair in ((before, after), (before[:, ::-1], after[:, ::-1]))
    )
    clip = replace(make_clip("a", 0.0, settings=ALL), flow=np.tile(seen, (5, 1)))
    moved = dict(zip(FLOW_STATISTICS, seen, strict=True))
    assert abs(moved["face_mean_x"]) > 0.5
    np.testing.assert_allclose(mirrored(clip).flow[0], reflected, atol=0.02)


def test_wrong_shapes_are_refused():
    clip = make_clip("a", 0.0, settings=ALL)
    fields = {name: getattr(clip, name) for name in clip.__dataclass_fields__}
    for name, value in (("mouths", clip.mouths[:, :90]), ("flow", clip.flow[:4]), ("dense_landmarks", clip.landmarks)):
        with pytest.raises(ValueError, match=name):
            type(clip)(**(fields | {name: value}))
    with pytest.raises(ValueError, match="25 mouth crops"):
        encode_clips([type(clip)(**(fields | {"mouths": clip.mouths[:24]}))], ALL)
