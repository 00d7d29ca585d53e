"""Scores of any detector: what must be stated is asked for, never guessed; and the command from end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.worlds import World
from typer.testing import CliRunner

from veridical.artefacts import Manifest, ScoreTable
from veridical.cli.main import build_app
from veridical.errors import UsageError
from veridical.evaluation import ColumnMeaning, EvaluationSettings, evaluate, read_risks, read_scores


@pytest.fixture
def detector(tmp_path: Path) -> tuple[Path, Manifest, pd.DataFrame]:
    """Somebody's csv: one row per video, `realness` in percent, and an id that the manifest knows."""
    scores, manifest = World(splits={"val": 40, "test": 60}).build(0)
    frame = scores.frame().query("condition == 'joint'").groupby("video_id")["logit"].mean().reset_index()
    frame["realness"] = 1 / (1 + np.exp(frame["logit"]))
    path = tmp_path / "theirs.csv"
    frame[["video_id", "realness"]].to_csv(path, index=False)
    manifest.write(tmp_path / "manifest.parquet")
    return path, manifest, frame


def test_a_column_without_a_known_name_has_to_be_explained(detector) -> None:
    path, manifest, frame = detector
    with pytest.raises(UsageError, match=r"which column is the score.*numeric columns: realness"):
        read_scores(path, None, manifest)
    with pytest.raises(UsageError, match="higher for fakes or for reals"):
        read_scores(path, ColumnMeaning("realness"), manifest)
    with pytest.raises(UsageError, match="--score-kind logit, probability, ranking"):
        read_scores(path, ColumnMeaning("realness", "real"), manifest)
    with pytest.raises(UsageError, match="did you mean 'realness'"):
        read_scores(path, ColumnMeaning("realnes", "real", "probability"), manifest)
    found = read_scores(path, ColumnMeaning("realness", "real", "probability"), manifest)
    logits = found.scores.frame().set_index("video_id")["logit"]
    assert logits.to_numpy() == pytest.approx(
        frame.set_index("video_id")["logit"].loc[logits.index].to_numpy(), abs=1e-6
    )
    assert any(f"{len(frame)} of {len(frame)} scored videos are in the manifest" in line for line in found.remarks)


def test_direction_is_taken_at_its_word(detector) -> None:
    path, manifest, _ = detector
    settings = EvaluationSettings(replicates=50)
    right, wrong = (
        evaluate(read_scores(path, ColumnMeaning("realness", side, "probability"), manifest).scores, manifest=manifest,
                 settings=settings)
        for side in ("real", "fake")
    )  # fmt: skip
    assert right.value("auc", "A") > 0.8
    assert right.value("auc", "A") + wrong.value("auc", "A") == pytest.approx(1.0)
    told = [
        sum("below chance: are real and fake swapped" in line for line in item.facts.warnings)
        for item in (right, wrong)
    ]
    assert told == [0, 2], "validation and test"


def test_mismatches_are_counted(detector, tmp_path: Path) -> None:
    _, manifest, frame = detector
    frame = frame[["video_id", "logit"]].copy()
    frame.loc[0, "video_id"] = "somebody-else"
    frame.loc[1, "logit"] = np.nan
    frame.to_csv(tmp_path / "b.csv", index=False)
    found = read_scores(tmp_path / "b.csv", None, manifest)
    assert any("1 of 300 rows hold no finite score" in line for line in found.remarks)
    assert any("298 of 299 scored videos are in the manifest (not: 'somebody-else'" in line for line in found.remarks)
    result = evaluate(found.scores, manifest=manifest, settings=EvaluationSettings(replicates=50))
    assert result.facts.not_in_manifest == 1
    assert sum(item.real_without_score + item.fake_without_score for item in result.facts.coverage) == 2


def test_training_videos_without_a_score_are_no_news(detector) -> None:
    path, _, frame = detector
    _, manifest = World(splits={"val": 40, "test": 60, "train": 500}).build(0)
    bare = Manifest.from_videos(
        replace(video, group=None if video.label else video.group, label=None if number % 5 == 0 else video.label)
        for number, video in enumerate(manifest.videos())
    )
    meaning = ColumnMeaning("realness", "real", "probability")
    found = read_scores(path, meaning, bare)
    assert found.remarks[1:] == ("300 of 300 scored videos are in the manifest",)
    result = evaluate(found.scores, manifest=bare, settings=EvaluationSettings(replicates=50))
    told = " ".join(result.facts.warnings)
    assert "200 videos have no leak group: they were resampled" in told
    assert "60 videos have no label" in told
    some = frame[frame["video_id"].isin(frame["video_id"].iloc[: len(frame) // 2])]
    some[["video_id", "logit"]].to_csv(path.with_name("half.csv"), index=False)
    (line,) = (line for line in read_scores(path.with_name("half.csv"), None, bare).remarks if "no score" in line)
    assert line.startswith("150 of 300 videos to evaluate have no score (")


def test_a_reference_that_is_not_there_is_refused(detector) -> None:
    _, manifest, _ = detector
    scores, _ = World(splits={"val": 10, "test": 10}).build(0)
    with pytest.raises(UsageError, match="unknown data set 'AA'; did you mean 'A'"):
        evaluate(scores, manifest=manifest, settings=EvaluationSettings(replicates=50, reference="AA"))


def test_several_rows_a_video_are_its_clips(tmp_path: Path) -> None:
    path = tmp_path / "frames.csv"
    pd.DataFrame({"video_id": ["a", "a", "b", "b"], "label": [1, 1, 0, 0], "logit": [1.0, 3.0, 0.0, -1.0]}).to_csv(
        path, index=False
    )
    found = read_scores(path)
    assert len(found.scores) == 4
    assert any("2 videos have several rows (2 at most): taken as their clips" in line for line in found.remarks)
    assert not any("duplicates" in line for line in found.remarks)


def test_a_few_repeated_ids_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("video_id,label,logit\na,1,1\nb,0,0\nc,1,2\nd,0,-1\nc,1,-5\n")
    assert any("3 others have one row: are these duplicates? First: 'c'" in line for line in read_scores(path).remarks)


def test_probabilities_that_pass_as_logits_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("video_id,label,logit\na,1,.7\nb,0,.2\n")
    assert any("between 0 and 1: if they are probabilities" in line for line in read_scores(path).remarks)
    path.write_text("video_id,label,logit\na,1,.7\nb,0,-.2\n")
    assert not any("between 0 and 1" in line for line in read_scores(path).remarks)


def test_a_score_table_explains_itself(detector, tmp_path: Path) -> None:
    _, manifest, _ = detector
    scores, _ = World(splits={"val": 4, "test": 4}).build(0)
    scores.write(tmp_path / "scores.parquet")
    with pytest.raises(UsageError, match="the options for a csv do not apply"):
        read_scores(tmp_path / "scores.parquet", ColumnMeaning("p", "real", "logit"), manifest)
    remarks = read_scores(tmp_path / "scores.parquet", ColumnMeaning(), manifest).remarks
    assert any("24 of 24 scored videos are in the manifest" in line for line in remarks), remarks


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty, expected a csv file with a header"),
        ("video_id,logit\n", "holds no rows"),
        ("name,logit\na,1\n", "no column 'video_id'"),
        ("video_id,logit\na,1\n", "labels are needed"),
        ("video_id;logit;label\na;1;1\n", "columns must be separated by commas"),
        (
            "video_id,logit,label\na,1,fake\nb,0,real\n",
            r"x\.csv, row 2: expected 0 \(real\) or 1 \(fake\) in 'label', found 'fake'",
        ),
        ("video_id,logit,label\na,high,1\n", "'logit' holds no finite number \\(first 'high'\\)"),
        ("video_id,p_fake,label\na,1.5,1\n", "should be a probability but ranges from 1.5"),
        (
            "video_id,logit,label,split\na,1,1,tset\n",
            "row 2: expected train, val, test or nothing in 'split', found 'tset'",
        ),
        ("video_id,logit,label\na,1,0\nb,1,2\n", r"row 3: expected 0 \(real\) or 1 \(fake\) in 'label', found '2'"),
        ("video_id,logit,label\na,1,0\n\n,1,1\n", "row 4: expected a video in 'video_id', found ''"),
        ("video_id,logit,label,start_s\na,1,0,0\nb,1,1,late\n", "row 3: expected a number in 'start_s', found 'late'"),
        ("video_id,logit,label,start_s\na,1,0,0\na,1,0,0\n", "row 3: expected one score for each video"),
        ("video_id,logit,label\na,1,0\nb,1\n", "row 3: has 2 cells, the header has 3"),
        ("video_id,logit,label,logit\na,1,0,2\n", "the column 'logit' stands twice in the header"),
        ('video_id,logit,label\na,1,0\n"b,1,1\nc,2,1\n', "row 4: is not valid csv"),
    ],
)
def test_unusable_files_say_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=problem):
        read_scores(path)
    with pytest.raises(UsageError, match="not found"):
        read_scores(tmp_path / "none.csv")


def test_names_are_text(tmp_path: Path) -> None:
    """Ids `01` and `1` are two videos, `NA` and `null` are names, of videos as of generators."""
    path = tmp_path / "scores.csv"
    path.write_text(
        "video_id,label,logit,generator,group\n01,0,1,,1\n1,1,2,NA,01\nNA,1,3,null,1.0\nnull,0,-1,,nan\n1e3,1,.5,007,1\n"
    )
    frame = read_scores(path).scores.frame()
    assert frame["video_id"].tolist() == ["01", "1", "NA", "null", "1e3"]
    assert frame["generator"].fillna("").tolist() == ["", "NA", "null", "", "007"]
    assert frame["group"].tolist() == ["1", "01", "1.0", "nan", "1"]


def test_numbers_may_be_missing_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("video_id,label,logit\na,1,1\nb,NA,2\nc,,NaN\nd,null,-1\ne,0,-2\n")
    scores = read_scores(path)
    assert scores.scores.frame()["label"].isna().tolist() == [False, True, True, True, False]
    assert any("1 of 5 rows hold no finite score and count as not scored (first: row 4, 'NaN')" in line
               for line in scores.remarks)  # fmt: skip


def test_rankings_have_no_probability(tmp_path: Path) -> None:
    scores, manifest = World(splits={"val": 20, "test": 20}).build(0)
    settings = EvaluationSettings(replicates=50, probabilistic=False)
    rows = evaluate(scores, manifest=manifest, settings=settings).metrics
    raw = rows[(rows["calibration"] == "none") & (rows["level"] == "video")]
    assert len(raw) > 20
    assert raw["value"].isna().all()
    assert rows[(rows["metric"] == "auc") & (rows["split"] == "test")]["value"].notna().any()


def run(*arguments: object) -> tuple[int, str]:
    outcome = CliRunner().invoke(build_app(), [str(argument) for argument in arguments])
    return outcome.exit_code, " ".join(outcome.output.split())


def test_the_command_evaluates_a_made_up_detector_end_to_end(detector, tmp_path: Path) -> None:
    path, _, _ = detector
    common = ("--scores", path, "--manifest", tmp_path / "manifest.parquet", "--replicates", 60)
    said = ("--score-column", "realness", "--higher-is", "real", "--score-kind", "probability")
    code, output = run("evaluate", *common, *said, "-o", tmp_path / "one")
    assert code == 0, output
    assert "'realness' is a probability, higher means real" in output
    assert {"metrics.csv", "risks.csv", "evaluation.json", "report.html"} <= {
        item.name for item in (tmp_path / "one").iterdir()
    }
    flagged = (read_risks(tmp_path / "one" / "risks.csv")["verdict"] == "FLAG").any()
    code, _ = run("evaluate", *common, *said, "-o", tmp_path / "one", "--strict")
    assert code == (1 if flagged else 0)
    code, output = run("evaluate", *common, "-o", tmp_path / "two")
    assert code == 2
    assert "which column is the score" in output
    code, output = run("evaluate", *common, *said[:4], "--score-kind", "odds", "-o", tmp_path / "two")
    assert code == 2
    assert "--score-kind 'odds': expected logit or probability or ranking" in output
    assert run("evaluate", "-o", tmp_path / "two")[0] == 2
    code, output = run("report", tmp_path / "one", "-o", tmp_path / "page.html")
    assert (code, (tmp_path / "page.html").is_file()) == (0, True)
    code, output = run("compare", tmp_path / "one", tmp_path / "one")
    assert code == 0
    assert "no difference shown" in output


def test_clips_without_labels_of_their_own_take_those_of_their_videos() -> None:
    scores, manifest = World(splits={"val": 40, "test": 60}).build(0)
    settings = EvaluationSettings(replicates=50)
    frame = scores.frame().query("condition == 'joint'")
    told = evaluate(ScoreTable.from_frame(frame), manifest=manifest, settings=settings)
    bare = ScoreTable.from_frame(frame[["video_id", "start_s", "condition", "logit"]])
    found = evaluate(bare, manifest=manifest, settings=settings)
    facts = {"level": "clip", "aggregation": ""}
    assert found.value("auc", "A", **facts) == pytest.approx(told.value("auc", "A", **facts))
