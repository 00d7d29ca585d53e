"""metrics.csv and risks.csv: they round-trip, and refuse what is not a table of figures or risks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from veridical.errors import ArtefactError
from veridical.evaluation.tables import (
    METRIC_COLUMNS,
    RISK_COLUMNS,
    read_metrics,
    read_risks,
    write_metrics,
    write_risks,
)


def figure_row(**changes: object) -> pd.DataFrame:
    row: dict[str, object] = dict.fromkeys(METRIC_COLUMNS, "")
    row |= {
        "dataset": "A",
        "level": "video",
        "metric": "auc",
        "value": 0.9,
        "low": 0.8,
        "high": 1.0,
        "n_real": 3,
        "n_fake": 4,
    }
    return pd.DataFrame([row | changes])


def risk_row(**changes: object) -> pd.DataFrame:
    row = {"risk": "r", "figure": 0.2, "low": 0.1, "high": 0.3, "threshold": 0.15, "verdict": "FLAG", "certain": False,
           "crossed": True, "groups_needed": 12, "reason": "", "mitigation": "m"}  # fmt: skip
    return pd.DataFrame([row | changes])


def test_figures_and_risks_round_trip(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.csv", figure_row())
    write_risks(tmp_path / "risks.csv", risk_row())
    assert read_metrics(tmp_path / "metrics.csv").iloc[0]["value"] == 0.9
    risk = read_risks(tmp_path / "risks.csv").iloc[0]
    assert risk["certain"] is False or risk["certain"] == False  # noqa: E712
    assert (risk["figure"], risk["crossed"], risk["groups_needed"]) == (0.2, True, 12)
    assert list(read_risks(tmp_path / "risks.csv").columns) == list(RISK_COLUMNS)


@pytest.mark.parametrize("change", [{"level": "frame"}, {"value": np.nan}])
def test_figures_refuse(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        write_metrics(tmp_path / "m.csv", figure_row(**change))
    assert not (tmp_path / "m.csv").exists()


def test_a_figure_without_a_value_needs_a_reason(tmp_path: Path) -> None:
    write_metrics(tmp_path / "m.csv", figure_row(value=np.nan, reason="one class only"))
    assert np.isnan(read_metrics(tmp_path / "m.csv").iloc[0]["value"])


@pytest.mark.parametrize("change", [{"verdict": "OK"}, {"verdict": "NOT EVALUABLE"}])
def test_risks_refuse(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        write_risks(tmp_path / "r.csv", risk_row(**change))


def test_large_counts_keep_their_digits(tmp_path: Path) -> None:
    row = dict.fromkeys(METRIC_COLUMNS, "") | {
        "level": "clip", "value": 0.123456789, "low": 0.1, "high": 0.2, "n_real": 1234567, "n_fake": 41234567,
    }  # fmt: skip
    write_metrics(tmp_path / "metrics.csv", pd.DataFrame([row]).astype({"n_real": float, "n_fake": float}))
    found = read_metrics(tmp_path / "metrics.csv").iloc[0]
    assert (found["n_real"], found["n_fake"]) == (1234567, 41234567)
    assert found["value"] == 0.123456789
