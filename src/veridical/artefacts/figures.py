"""metrics.csv and risks.csv: what evaluation says, tidy, a row per figure or risk. Reports and comparisons read these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from veridical.artefacts.files import atomic_path, read_json
from veridical.errors import ArtefactError

EVALUATION_VERSION = 2
"""Schema version of an evaluation folder."""
METRIC_COLUMNS = (
    "dataset", "split", "level", "aggregation", "condition", "slice", "calibration", "operating_point",
    "metric", "value", "low", "high", "n_real", "n_fake", "reason",
)  # fmt: skip
"""`level`: clip or video. `slice`: `generator=FaceSwap`, empty = all. `value` is empty where a figure is not evaluable, and
`reason` says why. A gap is dataset `A->B`, metric `auc_gap`. `low`, `high`: 95 % interval."""

RISK_COLUMNS = ("risk", "figure", "low", "high", "threshold", "verdict", "certain", "reason", "mitigation")
VERDICTS = ("PASS", "FLAG", "NOT EVALUABLE")
LEVELS = ("clip", "video")


def read_evaluation_facts(folder: Path) -> dict[str, Any]:
    """Read evaluation.json of an evaluation folder.

    Raises:
        ArtefactError: when the folder is no evaluation, is unfinished, or of another schema version.
    """
    path = Path(folder) / "evaluation.json"
    if not path.is_file():
        raise ArtefactError(f"{folder}: is not an evaluation (no evaluation.json); make one with `veridical evaluate`")
    facts = read_json(path)
    found = facts.get("schema_version") if isinstance(facts, dict) else None
    if found != EVALUATION_VERSION:
        raise ArtefactError(
            f"{folder}: evaluation of schema version {found}, this release reads {EVALUATION_VERSION}; evaluate again"
        )
    return dict(facts)


def write_figures(path: Path, metrics: pd.DataFrame) -> None:
    """Write metrics.csv atomically after checking it."""
    _write(path, check_figures(metrics))


def read_figures(path: Path) -> pd.DataFrame:
    """Read metrics.csv; empty text cells become empty strings, empty numbers NaN."""
    return check_figures(_read(path, METRIC_COLUMNS, {"value", "low", "high", "n_real", "n_fake"}))


def write_risks(path: Path, risks: pd.DataFrame) -> None:
    """Write risks.csv atomically after checking it."""
    _write(path, check_risks(risks))


def read_risks(path: Path) -> pd.DataFrame:
    """Read risks.csv."""
    return check_risks(_read(path, RISK_COLUMNS, {"figure", "low", "high", "threshold"}))


def check_figures(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged when it is a valid table of figures, with the columns in order.

    Raises:
        ArtefactError: on missing columns, an unknown level, a figure that is neither a value nor has a reason.
    """
    frame = _with_columns(metrics, METRIC_COLUMNS, "metrics")
    wrong = set(frame["level"]) - set(LEVELS)
    if wrong:
        raise ArtefactError(f"metrics: level must be one of {LEVELS}, found {sorted(map(str, wrong))}")
    silent = frame["value"].isna() & (frame["reason"].fillna("") == "")
    if silent.any():
        row = frame[silent].iloc[0]
        raise ArtefactError(f"metrics: {row['metric']} of {row['dataset']!r} has neither a value nor a reason")
    return frame


def check_risks(risks: pd.DataFrame) -> pd.DataFrame:
    """Return the frame when it is a valid risk register.

    Raises:
        ArtefactError: on missing columns, an unknown verdict, or NOT EVALUABLE without a reason.
    """
    frame = _with_columns(risks, RISK_COLUMNS, "risks")
    wrong = set(frame["verdict"]) - set(VERDICTS)
    if wrong:
        raise ArtefactError(f"risks: verdict must be one of {VERDICTS}, found {sorted(map(str, wrong))}")
    silent = (frame["verdict"] == "NOT EVALUABLE") & (frame["reason"].fillna("") == "")
    if silent.any():
        raise ArtefactError(f"risks: {frame[silent].iloc[0]['risk']} is NOT EVALUABLE without a reason")
    return frame


def _with_columns(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in columns]
    if missing or extra:
        raise ArtefactError(f"{name}: columns missing {missing}, not known {extra}")
    return frame[list(columns)]


def _write(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(Path(path)) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g")


def _read(path: Path, columns: tuple[str, ...], numeric: set[str]) -> pd.DataFrame:
    if not Path(path).is_file():
        raise ArtefactError(f"{path}: not found")
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    _with_columns(frame, columns, Path(path).name)
    for column in columns:
        if column in numeric:
            frame[column] = pd.to_numeric(frame[column].replace("", None))
    if "certain" in frame:
        frame["certain"] = frame["certain"].str.lower().map({"true": True, "false": False})
    return frame
