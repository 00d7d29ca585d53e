"""Predictions of files: which files, one result each, aggregated by the model's rule, and what the probabilities rest on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.inference.making import make_clip, tiny_detector

from veridical.errors import UsageError
from veridical.inference import (
    Detector,
    Prediction,
    Unpredicted,
    Worth,
    describe_calibration,
    find_videos,
    predict_files,
)
from veridical.media import write_video
from veridical.metrics import Aggregation
from veridical.preparation import Extraction


def test_a_file_name_that_is_no_text_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("veridical.progress.say", said.append)
    (tmp_path / "good.mp4").touch()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert find_videos([tmp_path]) == [tmp_path / "good.mp4"]
    assert len(said) == 1
    assert "1 × file name is not UTF-8 text" in said[0]


def test_folders_are_searched_and_each_video_is_listed_once(tmp_path: Path) -> None:
    for name in ("b.MP4", "below/a.mov", "below/notes.txt", ".hidden.mp4", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_videos([tmp_path]) == [tmp_path / "b.MP4", tmp_path / "below/a.mov"]
    assert find_videos([tmp_path / "below/a.mov", tmp_path]) == [tmp_path / "below/a.mov", tmp_path / "b.MP4"]
    assert find_videos([tmp_path / "below/notes.txt"]) == [tmp_path / "below/notes.txt"], (
        "a file that is named is tried"
    )
    with pytest.raises(UsageError, match="empty: is a folder without videos"):
        find_videos([tmp_path / "empty"])
    with pytest.raises(UsageError, match=r"no such video file: .*c\.mp4, .*d\.mp4"):
        find_videos([tmp_path / "c.mp4", tmp_path, tmp_path / "d.mp4"])


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four clips instead of those of any video, two of them without audio."""
    made = [make_clip("v", second, "speech" if second < 2 else "none") for second in range(4)]
    extraction = Extraction("v", made, num_dropped_windows=1, has_audio=True, duration_s=5.0)
    monkeypatch.setattr("veridical.inference.detector.extract_clips", lambda *_: extraction)


@pytest.mark.usefixtures("clips")
@pytest.mark.parametrize("rule", ["mean", "max", "top-k", "median"])
def test_a_video_is_aggregated_by_the_rule_of_the_model(rule: str) -> None:
    detector = tiny_detector(aggregation=Aggregation(rule=rule, top_k=2))
    prediction = detector.predict("v.mp4")
    logits = np.array([clip.logit for clip in prediction.clips])
    by_hand = {
        "mean": logits.mean(),
        "max": logits.max(),
        "top-k": np.sort(logits)[2:].mean(),
        "median": np.median(logits),
    }
    assert len(set(by_hand.values())) == 4, "the rules differ on these clips"
    assert prediction.logit == pytest.approx(by_hand[rule])
    assert prediction.p_fake == pytest.approx(1 / (1 + np.exp(-by_hand[rule] / 2.0)))
    assert [clip.audio_logit is None for clip in prediction.clips] == [False, False, True, True]
    heard = [clip.audio_logit for clip in prediction.clips[:2]]
    assert prediction.audio_logit == pytest.approx({"max": max(heard)}.get(rule, np.mean(heard)))


@pytest.mark.usefixtures("clips")
def test_json_holds_the_scores_of_every_window() -> None:
    detector = tiny_detector()
    row = json.loads(json.dumps(detector.predict("v.mp4").as_json()))
    assert (row["path"], row["status"], row["num_dropped_windows"]) == ("v.mp4", "ok", 1)
    assert [clip["start_s"] for clip in row["clips"]] == [0, 1, 2, 3]
    assert row["clips"][3]["audio_logit"] is None
    assert set(row) == {
        "path",
        "status",
        "logit",
        "p_fake",
        "video_logit",
        "audio_logit",
        "clips",
        "num_dropped_windows",
        "worth",
        "seen",
        "people",
        "remarks",
    }
    assert [(person["person"], person["num_clips"]) for person in row["people"]] == [(1, 4)]


def test_people_are_told_apart_and_the_video_has_the_highest_score(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [replace(make_clip("v", second, "speech"), person=1 + second % 2) for second in range(4)]
    extraction = Extraction("v", made, num_dropped_windows=0, has_audio=True, duration_s=4.0)
    monkeypatch.setattr("veridical.inference.detector.extract_clips", lambda *_: extraction)
    prediction = tiny_detector().predict("v.mp4")
    logits = [clip.logit for clip in prediction.clips]
    own = [np.mean(logits[0::2]), np.mean(logits[1::2])]
    assert [person.logit for person in prediction.people] == pytest.approx(own)
    assert prediction.logit == pytest.approx(max(own)) != pytest.approx(np.mean(logits))
    assert prediction.p_fake == prediction.people[int(np.argmax(own))].p_fake
    assert [clip["person"] for clip in prediction.as_json()["clips"]] == [1, 2, 1, 2]


@pytest.mark.usefixtures("clips")
def test_a_detector_no_better_than_chance_gives_no_verdict() -> None:
    chance = Worth(auc=0.58, low=0.31, high=0.82, num_videos=16, num_groups=4)
    detector = tiny_detector(worth=chance)
    prediction = detector.predict("v.mp4")
    assert prediction.p_fake is None
    assert {clip.p_fake for clip in prediction.clips} == {None}
    row = json.loads(json.dumps(prediction.as_json()))
    assert (row["worth"]["auc"], row["worth"]["above_chance"]) == (0.58, False)
    line = "No verdicts: the detector cannot be told from chance (validation AUC 0.58 (95 % 0.31 to 0.82; 16 videos of 4 pe"
    assert describe_calibration(detector).startswith(line)
    able = tiny_detector(worth=Worth(auc=0.9, low=0.8, high=0.95, num_videos=60, num_groups=20))
    assert able.predict("v.mp4").p_fake is not None
    assert "worth: validation AUC 0.90 (95 % 0.80 to 0.95; 60 videos" in describe_calibration(able)
    assert tiny_detector(worth=Worth(auc=1.0, num_videos=2, num_groups=1)).is_chance, "one group is no evidence"


def test_a_file_without_a_prediction_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey, broken, good = (tmp_path / name for name in ("grey.mp4", "broken.mp4", "good.mp4"))
    write_video(grey, [np.full((96, 128, 3), 128, np.uint8)] * 50, fps=25)
    broken.write_bytes(b"no video")
    prediction = Prediction(good, 1.0, 0.6, 1.0, None, (), 0)
    plain = Detector.predict
    monkeypatch.setattr(Detector, "predict", lambda self, path: prediction if path == good else plain(self, path))
    results = predict_files(tiny_detector(), [grey, broken, good])
    assert [type(result) for result in results] == [Unpredicted, Unpredicted, Prediction]
    assert [result.as_json()["status"] for result in results] == ["no_face", "unreadable", "ok"]
    assert results[0].as_json() == {"path": str(grey), "status": "no_face", "reason": results[0].reason}
    assert "face" in results[0].reason


def test_what_the_probabilities_rest_on() -> None:
    line = describe_calibration(tiny_detector(operating_points={"eer": 0.4}))
    assert "calibrated on 9 validation videos" in line
    assert "equal error rates at 0.55" in line, "sigmoid(0.4 / temperature 2)"
    assert describe_calibration(tiny_detector(calibration=None)) == "The model is not calibrated: no probabilities."
