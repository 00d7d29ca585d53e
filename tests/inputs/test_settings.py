"""A store is refused when its clips are not what the model needs; every difference is named, with what to do."""

from __future__ import annotations

import pytest
from tests.clips.making import make_manifest

from veridical.clips import ClipStore, StoreSettings
from veridical.errors import UsageError
from veridical.inputs import InputSettings, check_fit
from veridical.inputs.settings import GIVEN_BY_INPUTS, LEARNED

INPUTS = InputSettings()
OTHER = {
    "fps": 10.0, "window_s": 2.0, "crop_size": 320, "crop_scale": 1.6, "jpeg_quality": 80, "detector": "retinaface",
    "detector_sha256": "bb", "speech_threshold": 0.6, "silence_dbfs": -50.0,
}  # fmt: skip


def store_with(path, **values):
    return ClipStore.create(path, StoreSettings(**values), make_manifest())


WHICH_WINDOWS = {
    "hop_s": 0.4, "face_policy": "largest", "detector_weights": "mine.onnx", "detector_threshold": 0.6,
    "detection_size": 320, "thrifty_detection": False, "detect_every": 2, "max_missing_faces": 2, "mouths": True,
    "flow": True, "dense_landmarks": True, "max_duration_s": 60.0, "max_megapixels": 9.0,
}  # fmt: skip
"""Facts that say which windows are in a store and what else is kept of them: they make no clip another one."""


def test_every_setting_of_a_store_counts_or_does_not():
    assert {*GIVEN_BY_INPUTS, *LEARNED} | set(WHICH_WINDOWS) == set(StoreSettings.model_fields)
    assert not {*GIVEN_BY_INPUTS, *LEARNED} & set(WHICH_WINDOWS)


def test_what_was_learned_from_fits(tmp_path):
    learned_from = StoreSettings(detector="retinaface", detector_sha256="aa")
    values = {**learned_from.model_dump(), **WHICH_WINDOWS}
    store = store_with(tmp_path / "store", **values)
    assert store.settings != learned_from
    for update in ({}, {"mouths": True, "flow": True}):
        inputs = INPUTS.model_copy(update=update)
        check_fit(store, inputs)
        check_fit(store, inputs, learned_from)
        with pytest.raises(UsageError, match=r"\(jpeg_quality: found 95, wanted 80\)"):
            check_fit(store, inputs, learned_from.model_copy(update={"jpeg_quality": 80}))


@pytest.mark.parametrize("name", [*GIVEN_BY_INPUTS, *LEARNED])
def test_every_fact_counts(tmp_path, name):
    same = {"detector": "retinaface"} if name == "detector_sha256" else {}
    learned_from = StoreSettings(**same, **{name: "aa"} if same else {})
    store = store_with(tmp_path / "store", **same, **{name: OTHER[name]})
    with pytest.raises(UsageError, match=rf"\({name}: found \S+, wanted \S+\)") as info:
        check_fit(store, INPUTS, learned_from)
    wanted = getattr(learned_from, name)
    said = f"{wanted:g}" if isinstance(wanted, float) else wanted
    assert f"with `--set {name}={said}`, or use a model that learned from such clips" in str(info.value)
    if name in LEARNED:
        check_fit(store, INPUTS)


@pytest.mark.parametrize("name", ["mouths", "flow"])
def test_contents_that_are_missing(tmp_path, name):
    store = store_with(tmp_path / "store")
    inputs = InputSettings.model_validate({name: True})
    with pytest.raises(
        UsageError, match=rf"{name}: found false, wanted true.*`--set {name}=true`, or change inputs.{name}"
    ):
        check_fit(store, inputs)


def test_all_differences_are_named_at_once(tmp_path):
    store = store_with(tmp_path / "store", **OTHER)
    with pytest.raises(UsageError) as info:
        check_fit(store, INPUTS, StoreSettings())
    assert all(f"{name}: found" in str(info.value) for name in OTHER if name != "detector_sha256")


def test_a_frame_cannot_be_larger_than_its_crop():
    with pytest.raises(ValueError, match="frame_size 300 must not be larger than crop_size 256"):
        InputSettings(frame_size=300)


def test_only_the_contents_that_a_model_takes_in_are_prepared_for_it():
    asked = StoreSettings(mouths=True, flow=True, dense_landmarks=True).with_contents(("flow",))
    assert asked.contents == ("flow",)
