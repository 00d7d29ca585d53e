"""The figures of an evaluation against plain scikit-learn on the same videos, and what it refuses to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from tests.evaluation.worlds import World, together

from veridical.artefacts import Manifest, ScoreTable
from veridical.errors import ArtefactError, UsageError
from veridical.evaluation import Evaluation, EvaluationSettings, choose_test_splits, evaluate
from veridical.evaluation.evidence import gather
from veridical.evaluation.selection import ValidationScores
from veridical.evaluation.tables import check_metrics, check_risks
from veridical.metrics import Aggregation

FAST = EvaluationSettings(replicates=100)


def per_video(scores: ScoreTable, condition: str = "joint", how: str = "mean") -> pd.DataFrame:
    """Aggregate with pandas, as an outside reference."""
    frame = scores.frame()
    frame = frame[frame["condition"] == condition]
    facts = frame.groupby("video_id")[["split", "dataset", "generator", "label", "compression"]].first()
    return facts.assign(logit=getattr(frame.groupby("video_id")["logit"], how)())


def reason(result: Evaluation, **wanted: str) -> str:
    rows = result.metrics
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, len(rows)
    assert np.isnan(rows["value"].iloc[0])
    return str(rows["reason"].iloc[0])


def test_figures_are_those_of_scikit_learn_on_the_same_videos() -> None:
    scores, manifest = World(compression_loss={"c23": 0, "c40": 0.1}).build(3)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    test = per_video(scores).query("split == 'test'")
    auc = sklearn.metrics.roc_auc_score
    assert result.value("auc", "A") == pytest.approx(auc(test["label"].astype(int), test["logit"]))
    for how in ("max", "median"):
        other = per_video(scores, how=how).query("split == 'test'")
        assert result.value("auc", "A", aggregation=how) == pytest.approx(
            auc(other["label"].astype(int), other["logit"])
        )
    swap = test[test["generator"].isna() | (test["generator"] == "Swap")]
    assert result.value("auc", "A", slice="generator=Swap") == pytest.approx(
        auc(swap["label"].astype(int), swap["logit"])
    )
    weak = test[test["compression"] == "c40"]
    assert result.value("auc", "A", slice="compression=c40") == pytest.approx(
        auc(weak["label"].astype(int), weak["logit"])
    )
    clips = scores.frame().query("split == 'test' and condition == 'joint'")
    assert result.value("auc", "A", level="clip", aggregation="") == pytest.approx(
        auc(clips["label"].astype(int), clips["logit"])
    )
    called = test["logit"] >= 0
    assert result.value("accuracy", "A", operating_point="0.5", calibration="none") == pytest.approx(
        (called == test["label"].astype(bool)).mean()
    )


def test_top_k_takes_the_highest_clips() -> None:
    frame = pd.DataFrame(
        [
            {"video_id": f"v{video}", "start_s": float(clip), "label": video % 2, "condition": "joint", "logit": logit}
            for video, logits in enumerate([[9, 0, 0, 0], [3, 3, 3, -9], [1, 1, 1, 1], [2, 2]])
            for clip, logit in enumerate(logits)
        ]
    )
    evidence = gather(ScoreTable.from_frame(frame))
    expected = {"top-k": [3.0, 3.0, 1.0, 2.0], "median": [0.0, 3.0, 1.0, 2.0], "max": [9.0, 3.0, 1.0, 2.0]}
    for rule, logits in expected.items():
        assert evidence.video_logits("joint", Aggregation(rule=rule)).tolist() == logits


def test_the_tables_are_valid_and_every_interval_holds_its_value(two_corpora: Evaluation) -> None:
    check_metrics(two_corpora.metrics)
    check_risks(two_corpora.risks)
    rows = two_corpora.metrics.dropna(subset=["value", "low", "high"])
    rows = rows[~rows["metric"].isin(["auc_spread", "ece", "adaptive_ece"])]
    assert len(rows) > 200
    outside = rows[(rows["value"] < rows["low"] - 1e-9) | (rows["value"] > rows["high"] + 1e-9)]
    assert len(outside) <= 0.02 * len(rows), outside[["metric", "slice", "value", "low", "high"]]


def test_what_is_not_evaluable_has_its_reason(two_corpora: Evaluation) -> None:
    facts = {"level": "video", "aggregation": "mean", "metric": "auc", "split": "test", "slice": ""}
    assert reason(two_corpora, dataset="B", condition="video_masked", **facts) == "none of the 160 videos has audio"
    assert "no scores under the condition 'video_head'" in reason(
        two_corpora, dataset="A", condition="video_head", **facts
    )


def test_gap_is_reference_minus_other_with_an_interval_of_both(two_corpora: Evaluation) -> None:
    gap = two_corpora.value("auc_gap", "A->B")
    assert gap == pytest.approx(two_corpora.value("auc", "A") - two_corpora.value("auc", "B"))
    rows = two_corpora.metrics
    width = {
        name: float((row := rows[(rows["dataset"] == name) & (rows["metric"] == metric) & (rows["slice"] == "")
        & (rows["condition"] == "joint") & (rows["aggregation"] == "mean") & (rows["level"] == "video")
        & (rows["split"] == "test")].iloc[0])["high"] - row["low"])
        for name, metric in (("A", "auc"), ("B", "auc"), ("A->B", "auc_gap"))
    }  # fmt: skip
    assert width["A->B"] == pytest.approx(np.hypot(width["A"], width["B"]), rel=0.2)


def test_thresholds_and_temperature_come_from_validation_alone() -> None:
    scores, manifest = World(overconfidence=3).build(0)
    frame = scores.frame()
    shifted = frame.copy()
    test = (shifted["split"] == "test") & (shifted["label"] == 1)
    shifted.loc[test, "logit"] += 5
    first, second = (evaluate(ScoreTable.from_frame(f), manifest=manifest, settings=FAST) for f in (frame, shifted))
    assert first.facts.operating_points == second.facts.operating_points
    assert first.facts.temperatures == second.facts.temperatures
    assert first.value("auc", "A") < second.value("auc", "A")
    with pytest.raises(ValueError, match="validation rows only"):
        ValidationScores("A", np.array([0.0, 1.0]), np.array([0.0, 1.0]), ("test", "val"))


def test_temperature_repairs_planted_overconfidence() -> None:
    scores, manifest = World(auc={"Swap": 0.9}, overconfidence=4, splits={"val": 200, "test": 400}).build(1)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    assert result.facts.temperatures["joint"].temperature == pytest.approx(4, rel=0.25)
    before, after = (result.value("ece", "A", calibration=name) for name in ("none", "temperature"))
    assert after < 0.06 < 0.1 < before


def test_without_a_validation_split_nothing_is_chosen() -> None:
    scores, manifest = World(splits={"test": 60}).build(0)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    facts = {"level": "video", "operating_point": "val_eer", "metric": "accuracy"}
    assert "no scored video with a label in its validation split" in reason(result, **facts)
    assert result.facts.temperatures == {}
    assert result.ready == "not evaluable"


def test_heads_are_compared_with_their_own_label_as_well() -> None:
    scores, manifest = World(forged_sound=("Mouth",)).build(2)
    frame = scores.frame()
    frame["condition"] = frame["condition"].replace({"video_masked": "audio_head", "audio_masked": "video_head"})
    result = evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=FAST)
    against_video = result.value("auc", "A", condition="audio_head")
    against_sound = result.value("auc", "A", condition="audio_head", slice="against=audio_label")
    test = per_video(ScoreTable.from_frame(frame), "audio_head").query("split == 'test'")
    expected = sklearn.metrics.roc_auc_score(test["generator"] == "Mouth", test["logit"])
    assert against_sound == pytest.approx(expected)
    assert against_sound > against_video + 0.05


def test_videos_without_a_score_are_counted_with_their_bounds() -> None:
    scores, manifest = World(unscored_fakes=0.2).build(0)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    item = next(item for item in result.facts.coverage if item.split == "test")
    frame = manifest.frame()
    fakes = frame[(frame["split"] == "test") & (frame["label"] == 1)]
    missing = len(set(fakes["video_id"]) - set(scores.frame()["video_id"]))
    assert missing > 20
    assert (item.num_fake, item.fake_without_score, item.real_without_score) == (len(fakes), missing, 0)
    assert item.auc_if_missing_wrong < result.value("auc", "A") < item.auc_if_missing_right
    share = missing / len(fakes)
    expected = (1 - share) * result.value("auc", "A") + share
    assert item.auc_if_missing_right == pytest.approx(expected, abs=1e-9)


def test_the_worst_videos_are_the_most_wrong_ones() -> None:
    scores, manifest = World().build(0)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    test = per_video(scores).query("split == 'test'")
    wrong = test["logit"].where(test["label"] == 0, -test["logit"]).sort_values(ascending=False)
    assert [item.video_id for item in result.facts.failures] == wrong.index[:10].tolist()
    assert len(result.facts.failures[0].timeline) == 4


def test_the_manifest_overrules_the_table_and_partial_fakes_are_fakes() -> None:
    rows = [
        {"video_id": name, "start_s": float(clip), "label": int(name == "f" and clip == 1), "condition": "joint",
         "logit": float(clip), "dataset": "A"}
        for name in "fr" for clip in range(2)
    ]  # fmt: skip
    videos = gather(ScoreTable.from_frame(pd.DataFrame(rows))).videos.set_index("video_id")
    assert videos["label"].to_dict() == {"f": 1.0, "r": 0.0}


def test_an_evaluation_survives_its_folder(two_corpora: Evaluation, tmp_path: Path) -> None:
    two_corpora.write(tmp_path / "e")
    again = Evaluation.read(tmp_path / "e")
    assert again.value("auc", "A") == pytest.approx(two_corpora.value("auc", "A"), abs=1e-6)
    assert again.ready == two_corpora.ready
    assert len(again.metrics) == len(two_corpora.metrics)
    assert list(again.risks["certain"]) == list(two_corpora.risks["certain"])
    (tmp_path / "e" / "evaluation.json").unlink()
    with pytest.raises(ArtefactError, match="is not an evaluation"):
        Evaluation.read(tmp_path / "e")


def test_same_input_same_output_and_another_seed_differs() -> None:
    scores, manifest = World(splits={"val": 20, "test": 30}).build(0)
    runs = [
        evaluate(scores, manifest=manifest, settings=EvaluationSettings(replicates=100, seed=seed)).metrics
        for seed in (0, 0, 1)
    ]
    pd.testing.assert_frame_equal(runs[0], runs[1])
    drawn = runs[0]["observed"].notna() | (runs[0]["metric"] == "ece_by_chance")
    pd.testing.assert_series_equal(runs[0].loc[~drawn, "value"], runs[2].loc[~drawn, "value"])
    pd.testing.assert_series_equal(runs[0]["observed"], runs[2]["observed"])
    assert (runs[0]["value"].dropna() - runs[2]["value"].dropna()).abs().max() < 0.05
    assert (runs[0]["low"].dropna() != runs[2]["low"].dropna()).any()


def test_looks_at_the_test_set_are_counted_once_for_each_score_table(tmp_path: Path) -> None:
    first, manifest = World(splits={"val": 10, "test": 10}).build(0)
    second, _ = World(splits={"val": 10, "test": 10}).build(1)
    looks = [
        evaluate(scores, manifest=manifest, settings=FAST, looks=tmp_path / "looks.jsonl").facts.looks_at_test
        for scores in (first, first, second)
    ]
    assert looks == [1, 1, 2]
    (tmp_path / "looks.jsonl").write_text("nonsense\n")
    with pytest.raises(ArtefactError, match="is not a count of looks"):
        evaluate(first, manifest=manifest, settings=FAST, looks=tmp_path / "looks.jsonl")


def test_wrong_input_is_refused_with_what_to_do() -> None:
    scores, manifest = World(splits={"val": 5, "test": 5}).build(0)
    _, other = World(dataset="C", splits={"val": 5, "test": 5}).build(0)
    with pytest.raises(UsageError, match="none of the 30 scored videos is in the manifest"):
        evaluate(scores, manifest=other)
    empty = scores.frame().assign(logit=np.nan)
    with pytest.raises(UsageError, match="every logit is null"):
        evaluate(ScoreTable.from_frame(empty), manifest=manifest)
    disagreeing = scores.frame()
    disagreeing.loc[0, "split"] = "train"
    with pytest.raises(ArtefactError, match="disagree on its split"):
        evaluate(ScoreTable.from_frame(disagreeing))


def test_one_class_only_gives_reasons_instead_of_numbers() -> None:
    scores, _ = World(splits={"val": 10, "test": 10}).build(0)
    fakes = scores.frame().query("label == 1")
    result = evaluate(ScoreTable.from_frame(fakes), settings=FAST)
    auc = result.metrics.query("metric == 'auc' and split == 'test'")
    assert auc["value"].isna().all()
    assert auc["reason"].str.contains("one class only: 0 real|no scores under").any()


def test_several_corpora_need_no_order() -> None:
    worlds = (World(splits={"val": 10, "test": 15}), World(dataset="B", splits={"test": 15}))
    scores, manifest = together(*worlds)
    shuffled = ScoreTable(scores.table.take(np.random.default_rng(0).permutation(len(scores))))
    first, second = (evaluate(table, manifest=manifest, settings=FAST) for table in (scores, shuffled))
    pd.testing.assert_frame_equal(first.metrics, second.metrics)
    pd.testing.assert_frame_equal(first.risks, second.risks)


def test_many_videos_of_one_manifest_without_any_score_do_not_break(tmp_path: Path) -> None:
    scores, manifest = World(splits={"val": 10, "test": 15}).build(0)
    extra = World(dataset="Z", splits={"test": 5}).build(0)[1]
    result = evaluate(scores, manifest=Manifest.concat([manifest, extra]), settings=FAST)
    item = next(item for item in result.facts.coverage if item.dataset == "Z")
    assert item.share == 0.0
    assert "no video has a score" in reason(
        result, dataset="Z", metric="auc", level="video", aggregation="mean", condition="joint", slice=""
    )


def test_abstention_keeps_its_promise_at_home_and_precision_in_use_follows_from_the_rates(
    two_corpora: Evaluation,
) -> None:
    for label in ("real", "fake"):
        assert two_corpora.value(f"label_excluded_{label}", "A", operating_point="conformal_0.1") < 0.2
    abstained = two_corpora.value("abstained", "A", operating_point="conformal_0.1")
    assert 0 < abstained < 0.6
    facts = {"operating_point": "val_eer"}
    recall, fpr = (two_corpora.value(name, "A", **facts) for name in ("recall", "fpr"))
    expected = 0.01 * recall / (0.01 * recall + 0.99 * fpr)
    assert two_corpora.value("precision_at_prevalence", "A", **facts) == pytest.approx(expected)


def test_the_test_set_is_the_test_split_else_the_videos_without_a_split() -> None:
    sets = [("a", "test"), ("a", ""), ("a", "val"), ("b", ""), ("b", "train"), ("c", "val")]
    for order in (sets, sets[::-1]):
        assert choose_test_splits(order) == {"a": "test", "b": ""}
