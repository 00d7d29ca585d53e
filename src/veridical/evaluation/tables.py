"""`metrics.csv` and `risks.csv`, tidy: a row per figure, a row per risk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from veridical.artefacts import atomic_path, read_csv
from veridical.errors import ArtefactError

METRIC_COLUMNS = (
    "dataset", "split", "level", "aggregation", "condition", "slice", "calibration", "operating_point",
    "metric", "value", "low", "high", "n_real", "n_fake", "observed", "reason",
)  # fmt: skip
"""`level`: clip or video. `slice`: `generator=FaceSwap`, empty = all. `value` is empty where a figure is not evaluable, and
`reason` says why. A gap is dataset `A->B`, metric `auc_gap`. `low`, `high`: 95 % interval. `observed`: the figure
as measured where chance can only raise it (ECE, spreads), and `value` is what is left without chance."""
KEY_COLUMNS = METRIC_COLUMNS[:9]
"""Those that identify a figure."""
RISK_COLUMNS = (
    "risk", "figure", "low", "high", "threshold", "verdict", "certain", "crossed", "groups_needed", "reason", "mitigation",
)  # fmt: skip
"""`certain`: the whole interval is on the side of the verdict. `crossed`: the figure as measured is beyond the threshold,
whatever its interval. `groups_needed`: about how many people (leak groups) would decide, 0 where it is decided."""
VERDICTS = ("FLAG", "UNDECIDED", "PASS", "NOT EVALUABLE")
LEVELS = ("clip", "video")
_NUMBERS = {"value", "low", "high", "n_real", "n_fake", "observed", "figure", "threshold", "groups_needed"}


def write_metrics(path: Path, metrics: pd.DataFrame) -> None:
    """Write metrics.csv atomically after checking it."""
    _write(path, check_metrics(metrics))


def read_metrics(path: Path) -> pd.DataFrame:
    """Read metrics.csv; empty text cells become empty strings, empty numbers NaN."""
    return check_metrics(_read(path))


def write_risks(path: Path, risks: pd.DataFrame) -> None:
    """Write risks.csv atomically after checking it."""
    _write(path, check_risks(risks))


def read_risks(path: Path) -> pd.DataFrame:
    """Read risks.csv; `certain` and `crossed` become bools."""
    frame = check_risks(_read(path))
    truth = {"true": True, "false": False}
    return frame.assign(**{name: frame[name].str.lower().map(truth) for name in ("certain", "crossed")})


def check_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the frame, its columns in order, when it is a valid table of figures.

    Raises:
        ArtefactError: on missing columns, an unknown level, a figure that has neither a value nor a reason.
    """
    frame = _checked(metrics, METRIC_COLUMNS, "metrics", "level", LEVELS)
    silent = frame["value"].isna() & (frame["reason"].fillna("") == "")
    if silent.any():
        row = frame[silent].iloc[0]
        raise ArtefactError(f"metrics: {row['metric']} of {row['dataset']!r} has neither a value nor a reason")
    return frame


def check_risks(risks: pd.DataFrame) -> pd.DataFrame:
    """Return the frame, its columns in order, when it is a valid risk register.

    Raises:
        ArtefactError: on missing columns, an unknown verdict, or NOT EVALUABLE without a reason.
    """
    frame = _checked(risks, RISK_COLUMNS, "risks", "verdict", VERDICTS)
    silent = (frame["verdict"] == "NOT EVALUABLE") & (frame["reason"].fillna("") == "")
    if silent.any():
        raise ArtefactError(f"risks: {frame[silent].iloc[0]['risk']} is NOT EVALUABLE without a reason")
    return frame


def _checked(
    frame: pd.DataFrame, columns: tuple[str, ...], name: str, column: str, valid: tuple[str, ...]
) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in columns]
    if missing or extra:
        raise ArtefactError(f"{name}: columns missing {missing}, not known {extra}")
    wrong = set(frame[column]) - set(valid)
    if wrong:
        raise ArtefactError(f"{name}: {column} must be one of {valid}, found {sorted(map(str, wrong))}")
    return frame[list(columns)]


def _write(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(Path(path)) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g")


def _read(path: Path) -> pd.DataFrame:
    if not Path(path).is_file():
        raise ArtefactError(f"{path}: not found")
    frame = read_csv(Path(path)).reset_index(drop=True)
    for column in _NUMBERS & set(frame.columns):
        frame[column] = pd.to_numeric(frame[column].replace("", None))
    return frame
