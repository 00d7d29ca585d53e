"""The report page: self-contained, complete, and safe with whatever names the data bring."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.worlds import World, together

from veridical.artefacts import Manifest, ScoreTable, Video
from veridical.corpora import statistics
from veridical.errors import ArtefactError, UsageError
from veridical.evaluation import Attachments, Evaluation, EvaluationSettings, evaluate
from veridical.reports import ReportExtras, write_model_card, write_report
from veridical.reports.plots import det_plot, missing_curves, nice_ticks
from veridical.reports.svg import Axis, Curve, Dot, dot_plot, line_plot, timeline_plot

FAST = EvaluationSettings(replicates=100)
VOID = {"meta", "br", "img", "path", "rect", "circle", "i", "link", "hr"}


class Balance(HTMLParser):
    """Counts open tags; a page whose tags do not balance was not written by a sound template."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID - {"i", "path", "rect", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluation")
    world = World(auc={"Swap": 0.95, "Voice": 0.8}, forged_sound=("Voice",), splits={"val": 30, "test": 40})
    scores, manifest = together(world, World(dataset="B", splits={"test": 40}, auc={"Other": 0.7}, sound="none"))
    evaluate(scores, manifest=manifest, settings=FAST, title="a made-up detector").write(path / "e")
    return path / "e"


def page(folder: Path | list[Path], out: Path, **extras: object) -> str:
    folders = [folder] if isinstance(folder, Path) else folder
    evaluations = [Evaluation.read(path) for path in folders]
    return write_report(evaluations, out / "report.html", extras=ReportExtras(**extras)).read_text(encoding="utf-8")


def words(html: str) -> str:
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    return re.sub(r"\s+", " ", " ".join(parser.text))


def test_the_page_is_whole_and_asks_nothing_of_the_network(folder: Path, tmp_path: Path) -> None:
    html = page(folder, tmp_path)
    said = words(html)
    for heading in ("Ready for the next phase?", "Figures", "Generalisation across corpora", "Video and audio", "Breakdowns",
                    "Risks", "Expected and measured outcomes", "Calibration", "The worst videos", "Coverage"):  # fmt: skip
        assert heading in said, heading
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert len(html) < 600_000


def test_flagged_risks_come_first_and_the_others_are_folded(folder: Path, tmp_path: Path) -> None:
    html = page(folder, tmp_path)
    risks = pd.read_csv(folder / "risks.csv", keep_default_na=False)
    counts = risks["verdict"].value_counts()
    assert set(counts.index) == {"FLAG", "UNDECIDED", "PASS", "NOT EVALUABLE"}
    section = html.partition("<h2>Risks</h2>")[2].partition("</section>")[0]
    open_part, *folded = section.split("<details")
    assert [part.count('class="verdict ') for part in (open_part, *folded)] == [
        counts["FLAG"] + counts["UNDECIDED"], counts["PASS"], counts["NOT EVALUABLE"]
    ]  # fmt: skip
    assert "No risk is flagged" not in section
    assert re.findall(r'class="verdict (\w+)"', open_part) == ["flag"] * counts["FLAG"] + ["open"] * counts["UNDECIDED"]
    for part, verdict in zip(folded, ("PASS", "NOT EVALUABLE"), strict=True):
        summary = words(part.partition("<summary>")[2].partition("</summary>")[0])
        names = risks["risk"][risks["verdict"] == verdict]
        assert summary.startswith(f"{len(names)} {'passed' if verdict == 'PASS' else 'not evaluable'}")
        assert summary.count(",") >= len(names) - 1


def test_every_figure_shown_is_one_of_the_table(folder: Path, tmp_path: Path) -> None:
    said = words(page(folder, tmp_path))
    metrics = pd.read_csv(folder / "metrics.csv", keep_default_na=False)
    rows = metrics[(metrics["metric"] == "auc") & (metrics["split"] == "test") & (metrics["condition"] == "joint")]
    rows = rows[(rows["level"] == "video") & (rows["aggregation"] == "mean")]
    assert len(rows) >= 6
    for value in filter(None, rows["value"]):
        assert f"{float(value):.3f}" in said, value
    gap = metrics[metrics["metric"] == "auc_gap"].iloc[0]
    assert f"{float(gap['value']):+.3f}" in said
    assert "none of the 80 videos has audio" in said


def test_the_cross_dataset_table_says_in_what_the_corpora_differ(folder: Path, tmp_path: Path) -> None:
    assert "In what they differ" in words(page(folder, tmp_path))
    assert "not known: give the manifest of both corpora" in words(page(folder, tmp_path))
    evaluation = Evaluation.read(folder)
    described = {}
    for name, generator, level, people in (("A", "Swap", "c23", 8), ("B", "Other", None, 20)):
        videos = [
            Video(name, f"{name}/{n}", "x", n % 2, generator=generator if n % 2 else None, compression=level,
                  identities=(f"{name}/{n}",), duration_s=5.0 * (name == "A") + 3, attributes={"gender": "fm"[n % 2]})
            for n in range(people)
        ]  # fmt: skip
        described[name] = statistics(Manifest.from_videos(videos))
    replace(evaluation, attachments=Attachments(described)).write(tmp_path / "described")
    said = words(page(tmp_path / "described", tmp_path))
    line = "generators: Swap → Other; compression: c23 → unknown; speakers: 8 → 20; seconds (quartiles): "
    line += "8.0/8.0/8.0 → 3.0/3.0/3.0"
    assert line in said


def test_training_thumbnails_and_settings_are_shown_when_given(folder: Path, tmp_path: Path) -> None:
    rows = [
        {
            "stage": "video",
            "epoch": n,
            "train_loss": 0.7 - n / 10,
            "val_auc": 0.6 + n / 10,
            "note": "x",
            "val_auc_per_generator": {"Swap": 0.5},
        }
        for n in range(4)
    ]
    rows.append({"stage": "fusion", "epoch": 0, "train_loss": 0.3, "val_auc": None})
    plain = page(folder, tmp_path)
    html = page(
        folder, tmp_path, training=rows, settings={"losses": {"temporal": 0.1}}, facts={"duration": "3 minutes"}
    )
    said = words(html)
    assert "Validation AUC" in said
    assert "Validation AUC" not in words(plain)
    assert "losses.temporal" in said
    assert "Validation AUC by generator" in said
    assert html.count("dot tone0") > plain.count("dot tone0") + 8
    assert "3 minutes" in said


def test_names_from_the_data_cannot_write_html(tmp_path: Path) -> None:
    nasty = '<script>alert("x")</script>&'
    scores, _ = World(splits={"val": 6, "test": 8}).build(0)
    frame = scores.frame()
    frame["generator"] = frame["generator"].replace({"Swap": nasty})
    frame["video_id"] = frame["video_id"] + nasty
    frame["dataset"] = nasty
    evaluate(ScoreTable.from_frame(frame), settings=FAST, title=nasty).write(tmp_path / "e")
    html = page(tmp_path / "e", tmp_path)
    assert "<script" not in html
    assert nasty in words(html)


def test_a_bare_score_table_makes_a_report_that_says_what_is_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"video_id": list("abcd"), "label": [0, 0, 1, 1], "logit": [0.0, 2.0, 1.0, 3.0], "condition": "joint"}
    )
    evaluate(ScoreTable.from_frame(frame), settings=FAST).write(tmp_path / "e")
    said = words(page(tmp_path / "e", tmp_path))
    assert "not evaluable" in said
    assert "0.750" in said
    fakes = frame[frame["label"] == 1]
    evaluate(ScoreTable.from_frame(fakes), settings=FAST).write(tmp_path / "f")
    assert "one class only: 0 real, 2 fake" in words(page(tmp_path / "f", tmp_path))


def test_videos_that_the_manifest_does_not_know_leave_a_whole_page(tmp_path: Path) -> None:
    """A data set with figures but without slices stands beside one with both."""
    frame = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(12)],
            "dataset": ["A"] * 11 + [""],
            "label": [0, 1] * 5 + [1, 0],
            "generator": [None, "swap"] * 5 + ["swap", None],
            "logit": range(12),
            "condition": "joint",
        }
    )
    evaluate(ScoreTable.from_frame(frame), settings=FAST).write(tmp_path / "e")
    assert "swap" in words(page(tmp_path / "e", tmp_path))


@pytest.mark.parametrize(
    ("case", "ends"),
    [
        ("at chance", True), ("worse than chance", True), ("all scores equal", True), ("always wrong", True),
        ("good", False), ("perfect", False),
    ],
)  # fmt: skip
def test_the_trade_off_is_drawn_whatever_the_detector_does(case: str, ends: bool, tmp_path: Path) -> None:
    labels, rng = np.arange(120) % 2, np.random.default_rng(0)
    shift = {"at chance": 0, "worse than chance": -1, "always wrong": -20, "good": 3, "perfect": 20}.get(case, 0)
    logits = np.zeros(120) if case == "all scores equal" else rng.normal(size=120) + shift * labels
    frame = pd.DataFrame({"video_id": [f"v{n}" for n in range(120)], "label": labels, "logit": logits})
    evaluate(ScoreTable.from_frame(frame.assign(condition="joint")), settings=FAST).write(tmp_path / "e")
    evaluation = Evaluation.read(tmp_path / "e")
    drawn = det_plot(evaluation)
    (line,) = re.findall(r'class="line tone0" d="M([^"]+)"', drawn)
    points = np.array([[float(number) for number in pair.split()] for pair in line.split("L")])
    assert len(points) > 1
    assert np.ptp(points, axis=0).sum() > 150, "the curve can be seen"
    assert (">chance<" in drawn) == ends
    assert missing_curves(evaluation) == ""


def test_a_curve_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": list("ab"), "label": [1, 1], "logit": [1.0, 3.0], "condition": "joint"})
    evaluate(ScoreTable.from_frame(frame), settings=FAST).write(tmp_path / "e")
    said = words(page(tmp_path / "e", tmp_path))
    assert said.count("No curve: one class only: 0 real, 2 fake.") == 2


def test_several_evaluations_share_the_matrix(folder: Path, tmp_path: Path) -> None:
    scores, manifest = World(dataset="C", splits={"val": 20, "test": 20}).build(5)
    evaluate(scores, manifest=manifest, settings=FAST, title="another").write(tmp_path / "other")
    said = words(page([folder, tmp_path / "other"], tmp_path))
    assert "another" in said
    with pytest.raises(ArtefactError, match="is not an evaluation"):
        page(tmp_path, tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        page([], tmp_path)


def test_plots_escape_cut_and_place() -> None:
    unit = Axis("x", 0, 1, ((0, "0"), (1, "1")))
    assert unit.share(2.0) == 1.0
    assert unit.share(0.25) == 0.25
    drawn = line_plot("a <b>", unit, unit, [Curve([(0, 0), (1, 1)], "tone0", "<i>")])
    assert "&lt;i&gt;" in drawn
    assert "<b>" not in drawn
    rows = dot_plot("t", [Dot("here", 0.5, 0.25, 0.75), Dot("gone", None, None, None, note="why <not>")], unit)
    assert "left:50.00%" in rows
    assert "left:25.00%;width:50.00%" in rows
    assert "why &lt;not&gt;" in rows
    assert timeline_plot("t", []) == ""
    assert timeline_plot("t", [(0.0, 0.2), (1.0, 0.9)]).count("<rect") == 2
    assert [value for value, _ in nice_ticks(0, 1)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ReportExtras().training == ()


def test_the_model_card_has_the_figures_the_flags_and_what_was_not_evaluated(folder: Path, tmp_path: Path) -> None:
    text = write_model_card(Evaluation.read(folder), tmp_path / "card.md").read_text(encoding="utf-8")
    metrics = pd.read_csv(folder / "metrics.csv", keep_default_na=False)
    risks = pd.read_csv(folder / "risks.csv", keep_default_na=False)
    auc = metrics.query(
        "metric == 'auc' and split == 'test' and slice == '' and condition == 'joint' and level == 'video'"
    )
    assert f"{float(auc.iloc[0]['value']):.3f}" in text
    headings = {"FLAG": "## Known risks", "UNDECIDED": "## Undecided risks", "NOT EVALUABLE": "## Not evaluated"}
    for verdict, heading in headings.items():
        section = text.partition(heading)[2].partition("\n## ")[0]
        assert section.count("\n- ") == (risks["verdict"] == verdict).sum()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:3]}) == 1


def test_an_evaluation_of_another_schema_version_is_refused(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    facts = json.loads((old / "evaluation.json").read_text())
    (old / "evaluation.json").write_text(json.dumps({**facts, "schema_version": 1}))
    with pytest.raises(ArtefactError, match="schema version 1, this release reads 4; run `veridical evaluate` again"):
        page(old, tmp_path)
