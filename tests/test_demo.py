"""The demo: small and quick in the fast lane, as a newcomer sees it in the slow one, and its control with shuffled labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from veridical.artefacts import Manifest, Video
from veridical.demo import CorpusSettings, DemoResult, DemoSettings, run_demo, shuffled
from veridical.evaluation import read_metrics, read_risks


def figure(metrics: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = metrics
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, f"{wanted}: {len(rows)} rows"
    return rows.iloc[0]


def auc(folder: Path, dataset: str, part: str = "", condition: str = "joint") -> pd.Series:
    facts = {"dataset": dataset, "split": "test", "level": "video", "aggregation": "mean", "metric": "auc"}
    return figure(read_metrics(folder / "metrics.csv"), **facts, slice=part, condition=condition)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo") / "demo")


@pytest.mark.slow
def test_it_learns(demo: DemoResult) -> None:
    assert demo.num_unusable == 0
    for generator in ("face_swap", "neural_mouth"):
        found = auc(demo.folder, "A", f"generator={generator}")
        assert found["value"] >= 0.9, f"{generator}: {found['value']:.3f}"


@pytest.mark.slow
def test_it_leaves_what_it_promises(demo: DemoResult) -> None:
    page = demo.report.read_text()
    assert "<html" in page
    assert 'src="http' not in page, "the page opens offline"
    gap = read_metrics(demo.folder / "metrics.csv").query("metric == 'auc_gap' and condition == 'joint'")
    assert "A->B" in set(gap["dataset"])
    assert len(read_risks(demo.folder / "risks.csv")) >= 6


@pytest.mark.slow
def test_run_again_keeps_everything(demo: DemoResult) -> None:
    before = (demo.folder / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    again = run_demo(demo.folder)
    assert (demo.folder / "run" / "model" / "model.safetensors").stat().st_mtime_ns == before
    pd.testing.assert_frame_equal(again.evaluation.metrics, demo.evaluation.metrics)


@pytest.mark.slow
def test_with_shuffled_labels_nothing_is_learned(demo: DemoResult) -> None:
    control = run_demo(demo.folder, DemoSettings(shuffle_labels=True))
    found = auc(demo.folder / "shuffled", "A")
    assert found["low"] <= 0.5 <= found["high"], f"AUC {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    assert control.report.is_relative_to(demo.folder / "shuffled")


def test_shuffling_keeps_counts_and_splits() -> None:
    videos = [
        Video("d", f"v{i}", "x", label=int(i % 3 > 0), visual_label=int(i % 3 == 1), audio_label=int(i % 3 == 2),
              generator=(None, "a", "b")[i % 3], split=("train", "test")[i % 2])
        for i in range(60)
    ]  # fmt: skip
    manifest = Manifest.from_videos(videos)
    result = shuffled(manifest, 0)
    columns = ["split", "label", "visual_label", "audio_label", "generator"]
    before, after = (item.frame()[columns].value_counts(dropna=False).sort_index() for item in (manifest, result))
    pd.testing.assert_series_equal(before, after)
    assert (manifest.frame()["label"] != result.frame()["label"]).mean() > 0.2
    assert shuffled(manifest, 0).fingerprint == result.fingerprint
    assert shuffled(manifest, 1).fingerprint != result.fingerprint


def test_sizes_are_settings() -> None:
    assert DemoSettings().a.people > DemoSettings().b.people
    with pytest.raises(ValueError, match="peple"):
        CorpusSettings.model_validate({**DemoSettings().a.model_dump(), "peple": 3})
