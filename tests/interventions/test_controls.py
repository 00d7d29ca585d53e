"""Controls and degradations: each changes its cue and nothing else; names are read into objects once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.inference.making import make_clip, make_store

from veridical.cli.options import Interventions
from veridical.clips import Clip, ClipStore
from veridical.errors import UsageError
from veridical.inference import load_scorer, score_store
from veridical.interventions import INTERVENTIONS, find_intervention, parse_intervention, parse_interventions


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    sounds = {"a": "speech", "bb": "speech", "ccc": "speech", "dddd": "none"}
    return make_store(tmp_path_factory.mktemp("s"), sounds, splits=("val", "val", "test", "test"), clips=2)


ORDERED = """
def first_and_last(clip):
    return float(clip.frames[0].mean() - clip.frames[-1].mean())
def loudness(clip):
    return 0.0 if clip.samples is None else float(abs(clip.samples).mean())
def onset(clip):
    return 0.0 if clip.samples is None else float(clip.samples[0])
"""


def test_controls_destroy_their_cue_and_nothing_else(store: ClipStore, tmp_path: Path) -> None:
    (tmp_path / "ordered.py").write_text(ORDERED)

    def scored(name: str, *controls: str) -> dict[str, np.ndarray]:
        scorer, applied = load_scorer(f"{tmp_path / 'ordered.py'}:{name}"), parse_interventions(controls)
        table = score_store(scorer, store, store.manifest(), splits=("val",), interventions=applied).frame()
        return {str(condition): part["logit"].to_numpy() for condition, part in table.groupby("condition")}

    order = scored("first_and_last", "reverse", "freeze", "shuffle", "silence", "drop_sound", "shift_sound:0.2")
    assert order["control:reverse"] == pytest.approx(-order["joint"])
    assert (order["control:freeze"] == 0).all()
    assert (order["control:shuffle"] != order["joint"]).any()
    for kept in ("silence", "drop_sound", "shift_sound:0.2"):
        assert (order[f"control:{kept}"] == order["joint"]).all()
    loud = scored("loudness", "silence", "drop_sound", "swap_sound", "reverse", "shift_sound:0.5")
    assert (loud["control:silence"] == 0).all()
    assert (loud["control:drop_sound"] == 0).all()
    assert (loud["control:swap_sound"] == np.roll(loud["joint"], 2)).all(), "the audio of another video"
    assert (loud["control:reverse"] == loud["joint"]).all()
    assert loud["control:shift_sound:0.5"] == pytest.approx(loud["joint"])
    assert (scored("onset", "shift_sound:0.5")["control:shift_sound:0.5"] != scored("onset")["joint"]).all()
    for shift in ("shift_sound:5", "shift_sound:-1"):
        with pytest.raises(UsageError, match="choose a smaller shift"):
            scored("onset", shift)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blur", "unknown intervention 'blur'"),
        ("codec", "unknown intervention 'codec'"),
        ("shift_sound", "expected shift_sound:SECONDS, for example shift_sound:0.2"),
        ("shift_sound:far", "expected shift_sound:SECONDS"),
        ("shift_sound:0", "expected shift_sound:SECONDS"),
        ("shift_sound:nan", "expected shift_sound:SECONDS"),
        ("shuffle:2", "shuffle takes no strength; write shuffle"),
    ],
)
def test_names_that_are_not_understood_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_intervention(name)


def test_names_conditions_and_cues() -> None:
    controls = [applied.condition for applied in parse_interventions(["all", "shuffle", "shift_sound:0.20"])]
    assert controls == [
        "control:shuffle", "control:reverse", "control:freeze", "control:drop_sound", "control:silence",
        "control:swap_sound", "control:shift_sound:0.2", "control:shift_sound:0.5",
    ]  # fmt: skip
    for condition in (*controls, "degrade:h264:40"):
        assert parse_intervention(condition).condition == condition
        item = find_intervention(condition)
        assert item is not None
        assert item.name in condition
    assert find_intervention("control:h264:40") is None, "it is no control"
    for foreign in ("joint", "video_head", "attack:fgsm:2"):
        assert find_intervention(foreign) is None
    assert all(name == item.name for name, item in INTERVENTIONS.items())
    cues = {item.cue for item in INTERVENTIONS.values() if item.kind == "control"}
    assert cues == {"frame order", "audio", "synchrony"}


def test_the_command_line_names_all_that_act_on_clips() -> None:
    (help_text,) = [item.help for item in get_args(Interventions) if hasattr(item, "help")]
    named = [item.usage for item in INTERVENTIONS.values() if item.on_clip is not None]
    assert len(named) > 7
    assert all(usage in help_text for usage in named)


def test_mouths_and_flow_follow_the_frames() -> None:
    mouths = np.broadcast_to(np.arange(25, dtype=np.uint8)[:, None, None], (25, 96, 96))
    clip = replace(make_clip("a", 1, "speech"), mouths=mouths, flow=np.ones((5, 24), np.float32))

    def times(name: str) -> tuple[Clip, list[int]]:
        changed = parse_intervention(name).apply(clip)
        assert changed.mouths is not None
        return changed, changed.mouths[:, 0, 0].tolist()

    assert times("reverse")[1] == list(range(24, -1, -1))
    still, still_times = times("freeze")
    assert len(set(still_times)) == 1
    assert still.flow is not None
    assert not still.flow.any()
    assert sorted(times("shuffle")[1]) == list(range(25)) != times("shuffle")[1]


def test_h264_loses_more_at_a_higher_crf() -> None:
    y, x = np.mgrid[:96, :96]
    frames = np.stack([np.stack([x + y + 4 * t, 2 * x, 255 - y], 2) % 256 for t in range(5)]).astype(np.uint8)
    clip = make_clip("a", 0, "speech")
    clip = replace(clip, frames=frames, mouths=np.repeat(frames[..., 0], 5, axis=0))
    errors = {}
    for crf in (10, 23, 40):
        changed = parse_intervention(f"h264:{crf}").apply(clip)
        assert changed.frames.shape == frames.shape
        assert changed.mouths is not None
        assert changed.mouths.shape == (25, 96, 96)
        assert changed.samples is clip.samples
        errors[crf] = float(np.abs(changed.frames.astype(int) - frames).mean())
    assert 0 < errors[10] < errors[23] < errors[40]
