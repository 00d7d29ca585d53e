"""The folder of an evaluation: what is written is read back as it was, and what is not an evaluation is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.worlds import World

from veridical.corpora import statistics
from veridical.errors import ArtefactError
from veridical.evaluation import RUN_EVALUATION, Attachments, Evaluation, EvaluationSettings, evaluate
from veridical.metrics import Aggregation


@pytest.fixture(scope="module")
def folder(two_corpora: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("result") / "e"
    _, manifest = World(splits={"test": 4}).build(0)
    attachments = Attachments({"A": statistics(manifest)}, {"A-00001-real": "aGVsbG8="})
    replace(two_corpora, attachments=attachments).write(path)
    return path


def test_facts_curves_and_attachments_are_read_back_as_they_were(two_corpora: Evaluation, folder: Path) -> None:
    again = Evaluation.read(folder)
    assert again.facts == two_corpora.facts
    assert again.curves == two_corpora.curves
    assert again.attachments.thumbnails == {"A-00001-real": "aGVsbG8="}
    assert again.attachments.statistics["A"].totals["videos"] == 12
    two_corpora.write(folder.parent / "bare")
    assert Evaluation.read(folder.parent / "bare").attachments == Attachments()


def test_a_run_stands_for_its_evaluation(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run" / RUN_EVALUATION)
    assert Evaluation.read(tmp_path / "run").facts == Evaluation.read(folder).facts


def test_an_evaluation_without_a_title_takes_the_name_of_its_folder(two_corpora: Evaluation, tmp_path: Path) -> None:
    untitled = replace(two_corpora, facts=replace(two_corpora.facts, title=""))
    untitled.write(tmp_path / "baseline")
    assert Evaluation.read(tmp_path / "baseline").facts.title == "baseline"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"looks_at_test": "three"},
            r"evaluation.json: is damaged \(looks_at_test: .*integer.*run `veridical evaluate` again",
        ),
        ({"surplus": 1}, r"is damaged \(surplus: "),
        ({"decision": {"ready": "yes"}}, r"is damaged \(decision.reasons: "),
        ({"schema_version": 2}, "schema version 2, this release reads 4; run `veridical evaluate` again"),
        ({"schema_version": None}, "schema version None"),
    ],
)
def test_a_damaged_evaluation_is_refused_with_what_to_do(
    change: dict[str, object], message: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "e")
    path = tmp_path / "e" / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtefactError, match=message) as caught:
        Evaluation.read(tmp_path / "e")
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_part_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "e")
    (tmp_path / "e" / "curves.json").unlink()
    with pytest.raises(ArtefactError, match=r"curves.json: cannot be read .*run `veridical evaluate` again"):
        Evaluation.read(tmp_path / "e")


def test_the_rule_of_the_score_table_is_used_unless_another_is_given() -> None:
    scores, manifest = World(splits={"val": 20, "test": 40}).build(0)
    fast = EvaluationSettings(replicates=50)
    plain = evaluate(scores, manifest=manifest, settings=fast)
    stated = evaluate(replace(scores, aggregation=Aggregation(rule="max")), manifest=manifest, settings=fast)
    assert plain.facts.settings.video_rule == Aggregation()
    assert stated.facts.settings.video_rule == Aggregation(rule="max")
    assert stated.value("auc", "A") == plain.value("auc", "A", aggregation="max") != plain.value("auc", "A")
    assert plain.value("auc", "A") == stated.value("auc", "A", aggregation="mean")
    chosen = fast.model_copy(update={"aggregation": Aggregation(rule="median")})
    overruled = evaluate(replace(scores, aggregation=Aggregation(rule="max")), manifest=manifest, settings=chosen)
    assert overruled.value("auc", "A") == plain.value("auc", "A", aggregation="median")
