from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.artefacts import LABELS, FakeSegment, Manifest, Video
from veridical.clips import label_clips
from veridical.clips.labels import MIN_OVERLAP_S


def _clips(*videos: Video, seconds: int = 4, window_s: float = 1.0) -> pd.DataFrame:
    names = [(video.video_id, float(second)) for video in videos for second in range(seconds)]
    index = pd.DataFrame(names, columns=["video_id", "start_s"]).assign(row=range(len(names)))
    return label_clips(index, Manifest.from_videos(videos), window_s, ("generator",))


def _video(name: str, label: int | None, visual: int | None, audio: int | None, *segments: FakeSegment) -> Video:
    return Video("toy", name, f"{name}.mp4", label, visual, audio, "splice", fake_segments=segments)


def _column(clips: pd.DataFrame, name: str) -> list[int | None]:
    return [None if value is pd.NA else int(value) for value in clips[name]]


def test_a_fake_without_segments_is_forged_throughout_and_a_real_one_nowhere() -> None:
    clips = _clips(_video("fake", 1, 1, 0), _video("real", 0, 0, 0), _video("unknown", None, None, None), seconds=2)
    assert _column(clips, "label") == [1, 1, 0, 0, None, None]
    assert _column(clips, "visual_label") == [1, 1, 0, 0, None, None]
    assert set(clips["generator"]) == {"splice"}


def test_only_windows_that_hold_enough_of_a_segment_are_forged() -> None:
    clips = _clips(_video("partial", 1, 1, 0, FakeSegment(0.9, 2.5, "visual")))
    assert _column(clips, "visual_label") == [None, 1, 1, 0]
    assert _column(clips, "label") == [None, 1, 1, 0]
    assert _column(clips, "audio_label") == [0, 0, 0, 0]
    assert _column(clips, "video_label") == [1, 1, 1, 1]


def test_modalities_are_labelled_apart_and_either_makes_the_clip_a_fake() -> None:
    segments = (FakeSegment(0.0, 1.0, "visual"), FakeSegment(2.0, 2.4, "audio"))
    clips = _clips(_video("both", 1, 1, 1, *segments))
    assert _column(clips, "visual_label") == [1, 0, 0, 0]
    assert _column(clips, "audio_label") == [0, 0, 1, 0]
    assert _column(clips, "label") == [1, 0, 1, 0]


def test_a_forged_modality_without_segments_of_its_own_is_forged_throughout() -> None:
    clips = _clips(_video("dub", 1, 1, 1, FakeSegment(1.0, 2.0, "visual")))
    assert _column(clips, "audio_label") == [1, 1, 1, 1]
    assert _column(clips, "visual_label") == [0, 1, 0, 0]
    assert _column(clips, "label") == [1, 1, 1, 1]


def test_a_desynchronised_stretch_keeps_genuine_modalities() -> None:
    clips = _clips(_video("late", 1, 0, 0, FakeSegment(1.0, 2.0, "audio")))
    assert _column(clips, "label") == [0, 1, 0, 0]
    assert _column(clips, "audio_label") == [0, 0, 0, 0]


def test_an_unknown_modality_stays_unknown() -> None:
    clips = _clips(_video("hidden", 1, None, None, FakeSegment(1.0, 2.0, "visual")))
    assert _column(clips, "visual_label") == [None] * 4
    assert _column(clips, "label") == [0, 1, 0, 0]


def test_videos_that_the_manifest_does_not_know_are_left_out() -> None:
    index = pd.DataFrame({"video_id": ["known", "stranger"], "start_s": [0.0, 0.0], "row": [0, 1]})
    clips = label_clips(index, Manifest.from_videos([_video("known", 0, 0, 0)]), 1.0)
    assert clips["video_id"].tolist() == ["known"]


@given(
    st.lists(st.tuples(st.integers(0, 39), st.integers(1, 15)), min_size=1, max_size=4),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_labels_agree_with_counting_tenths(pieces: list[tuple[int, int]], window_s: float) -> None:
    """Segments on a grid of 0.1 s that may overlap each other, against a count of the covered tenths."""
    covered = np.zeros(80, dtype=bool)
    segments = [FakeSegment(start / 10, (start + length) / 10, "visual") for start, length in pieces]
    for start, length in pieces:
        covered[start : start + length] = True
    clips = _clips(_video("partial", 1, 1, 0, *segments), seconds=4, window_s=window_s)
    assert len(clips) == 4
    for start_s, label in zip(clips["start_s"], _column(clips, "visual_label"), strict=True):
        tenths = int(covered[round(start_s * 10) : round((start_s + window_s) * 10)].sum())
        assert label == (1 if tenths >= round(MIN_OVERLAP_S * 10) else None if tenths else 0)


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_nullable_integers(name: str) -> None:
    clips = _clips(_video("partial", 1, 1, 1, FakeSegment(0.9, 2.5, "visual")))
    assert str(clips[name].dtype) == "Int8"
