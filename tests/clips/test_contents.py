"""Mouth crops, flow statistics and dense landmarks: kept where the settings ask for them, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.clips.making import SMALL, make_clip, make_manifest, make_store

from veridical.clips import CONTENTS, FLOW_STATISTICS, ClipStore, ClipWriter, LedgerEntry, StoreSettings, verify
from veridical.clips.augment import Augmentation
from veridical.clips.encoding import clip_schema, content_digest, encode_clips
from veridical.clips.inputs import InputSettings, clip_inputs, view_inputs
from veridical.errors import UsageError

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
    for inputs in (clip_inputs(clips, asked), view_inputs(clips, asked, Augmentation(), 0, 0)):
        assert inputs.mouths.shape == (2, 25, 96, 96)
        assert inputs.mouths.dtype == torch.uint8
        assert inputs.flow.shape == (2, 5, len(FLOW_STATISTICS))
        assert inputs.flow.dtype == torch.float32
        np.testing.assert_array_equal(inputs.flow[1].numpy(), clips[1].flow)
    with pytest.raises(UsageError, match=r"takes in mouths.*--set mouths=true"):
        clip_inputs(store.take([0], ()), asked)


def test_wrong_shapes_are_refused():
    clip = make_clip("a", 0.0, settings=ALL)
    fields = {name: getattr(clip, name) for name in clip.__dataclass_fields__}
    for name, value in (("mouths", clip.mouths[:, :90]), ("flow", clip.flow[:4]), ("dense_landmarks", clip.landmarks)):
        with pytest.raises(ValueError, match=name):
            type(clip)(**(fields | {name: value}))
    with pytest.raises(ValueError, match="25 mouth crops"):
        encode_clips([type(clip)(**(fields | {"mouths": clip.mouths[:24]}))], ALL)
