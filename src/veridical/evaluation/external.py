"""Import of any detector's scores: a csv with a video_id and a score is enough. What the score means is stated, never guessed.

A column named `logit` or `p_fake` means what it does in a score table. For any other column three things must be stated: its
name, whether it is higher for fakes or for reals, and whether it is a logit, a probability, or only ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from veridical.artefacts import SPLITS, Manifest, ScoreTable, read_csv
from veridical.corpora import demographic
from veridical.errors import UsageError, unknown_name
from veridical.metrics import logit_of

ScoreKind = Literal["logit", "probability", "ranking"]
HigherIs = Literal["fake", "real"]
KNOWN_MEANING: dict[str, ScoreKind] = {"logit": "logit", "p_fake": "probability"}
_FACTS = (
    "start_s", "dataset", "split", "generator", "compression", "group", "label", "visual_label", "audio_label",
    "speech_share", "face_size_px", "condition",
)  # fmt: skip


@dataclass(frozen=True)
class ColumnMeaning:
    """What the columns of a csv mean."""

    score: str | None = None
    """Column of the score; None: `logit` or `p_fake`, whichever is there."""
    higher_is: HigherIs | None = None
    kind: ScoreKind | None = None
    video_id: str = "video_id"
    time: str | None = None
    """Column with the start of the clip in seconds; None: `start_s` where it is there."""


@dataclass(frozen=True, eq=False)
class ExternalScores:
    """A file of scores, read into a score table."""

    scores: ScoreTable
    kind: ScoreKind
    remarks: tuple[str, ...]
    """How the file was understood and what did not match, a line each."""


def read_scores(path: Path, meaning: ColumnMeaning | None = None, manifest: Manifest | None = None) -> ExternalScores:
    """Read a score table (parquet) or any csv of scores.

    Args:
        path: `scores.parquet`, or a csv with a header.
        meaning: What the columns of a csv mean; needed unless they are named `video_id` and `logit` or `p_fake`.
        manifest: Labels, splits and groups; without it, the csv needs a column `label`.

    Raises:
        UsageError: when the file cannot be read or its columns are not explained.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        return _from_csv(path, meaning or ColumnMeaning(), manifest)
    if meaning is not None and meaning != ColumnMeaning():
        raise UsageError(
            f"{path}: the columns of a score table have a fixed meaning; the options for a csv do not apply"
        )
    scores = ScoreTable.read(path)
    if manifest is None:
        return ExternalScores(scores, "logit", ())
    columns = scores.table.select(["video_id", "dataset", "logit"]).to_pandas()
    return ExternalScores(scores, "logit", tuple(_joined(columns, manifest)))


def _from_csv(path: Path, meaning: ColumnMeaning, manifest: Manifest | None) -> ExternalScores:
    frame = read_csv(path)
    if frame.empty:
        raise UsageError(f"{path}: holds no rows")
    if meaning.video_id not in frame:
        separated = "; columns must be separated by commas" if frame.shape[1] == 1 else "; name it with --id-column"
        raise UsageError(f"{path}: no column {meaning.video_id!r}; found: {', '.join(frame.columns)}{separated}")
    column, higher_is, kind = _explained(path, frame, meaning)
    values = _finite_or_nan(frame[column])
    if not np.isfinite(values).any():
        raise UsageError(f"{path}: {column!r} holds no finite number (first {frame[column].iloc[0]!r})")
    odd = _odd_values(frame[column], values, kind)
    remarks = [f"{path.name}: {column!r} is a {kind}, higher means {higher_is}", *odd]
    table, more = _score_frame(path, frame, meaning, _logits(path, column, values, kind, higher_is), manifest)
    if manifest is None and "label" not in table:
        raise UsageError(
            f"{path}: labels are needed: give the manifest with --manifest, or a column `label` (0 real, 1 fake)"
        )
    return ExternalScores(ScoreTable.from_frame(table), kind, (*remarks, *more))


def _finite_or_nan(column: pd.Series) -> np.ndarray:
    """Return text as numbers, NaN where it is none."""
    values: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    return values


def _odd_values(column: pd.Series, values: np.ndarray, kind: ScoreKind) -> list[str]:
    """Return remarks on missing scores, and on logits that look like probabilities."""
    remarks, unreadable = [], np.flatnonzero(~np.isfinite(values))
    if len(unreadable):
        first = int(unreadable[0])
        remarks.append(
            f"{len(unreadable)} of {len(values)} rows hold no finite score and count as not scored"
            f" (first: row {column.index[first]}, {column.iloc[first]!r})"
        )
    if kind == "logit" and np.nanmin(values) >= 0 and np.nanmax(values) <= 1:
        remarks.append(
            f"all values of {column.name!r} lie between 0 and 1: if they are probabilities, give --score-kind probability"
        )
    return remarks


def _explained(path: Path, frame: pd.DataFrame, meaning: ColumnMeaning) -> tuple[str, HigherIs, ScoreKind]:
    """Return the score column, its direction and its kind; what is not known by name must be stated."""
    column = meaning.score or next((name for name in KNOWN_MEANING if name in frame), None)
    if column is None:
        others = [name for name in frame.columns if name not in (*_FACTS, meaning.video_id)]
        numeric = [name for name in others if np.isfinite(_finite_or_nan(frame[name])).any()]
        raise UsageError(
            f"{path}: which column is the score? Name it with --score-column; numeric columns: {', '.join(numeric) or 'none'}"
        )
    if column not in frame:
        raise unknown_name("column", column, map(str, frame.columns))
    kind = meaning.kind or KNOWN_MEANING.get(column)
    higher_is = meaning.higher_is or ("fake" if column in KNOWN_MEANING else None)
    if higher_is is None:
        raise UsageError(
            f"{path}: is {column!r} higher for fakes or for reals? Give --higher-is fake or --higher-is real"
        )
    if kind is None:
        raise UsageError(
            f"{path}: what is {column!r}? Give --score-kind {', '.join(get_args(ScoreKind))} (ranking: only ranks)"
        )
    return column, higher_is, kind


def _logits(path: Path, column: str, values: np.ndarray, kind: ScoreKind, higher_is: HigherIs) -> np.ndarray:
    finite = values[np.isfinite(values)]
    if kind == "probability":
        if len(finite) and (finite.min() < 0 or finite.max() > 1):
            raise UsageError(
                f"{path}: {column!r} should be a probability but ranges from {finite.min():g} to {finite.max():g};"
                " give --score-kind logit or ranking"
            )
        values = logit_of(values)
    return np.where(np.isfinite(values), values if higher_is == "fake" else -values, np.nan)


def _score_frame(
    path: Path, frame: pd.DataFrame, meaning: ColumnMeaning, logits: np.ndarray, manifest: Manifest | None
) -> tuple[pd.DataFrame, list[str]]:
    table = pd.DataFrame({"video_id": frame[meaning.video_id], "logit": logits})
    _refuse(path, table["video_id"], table["video_id"] == "", f"a video in {meaning.video_id!r}")
    for fact in _FACTS:
        if fact in frame:
            known = frame[fact] != ""
            table[fact] = frame[fact].where(known, None) if fact in _TEXT else _numbers(path, frame, fact)
    about = [name for name in map(str, frame) if name.startswith("attribute.") or demographic(name) is not None]
    if about:
        names = [name.removeprefix("attribute.") for name in about]
        rows = zip(*(frame[name] for name in about), strict=True)
        attributes = [{name: cell for name, cell in zip(names, cells, strict=True) if cell} for cells in rows]
        table["attributes"] = pd.Series(attributes, index=table.index, dtype=object)
    if "split" in table:
        _refuse(path, frame["split"], ~frame["split"].isin([*SPLITS, ""]), f"{', '.join(SPLITS)} or nothing in 'split'")
    if meaning.time is not None:
        if meaning.time not in frame:
            raise unknown_name("column", meaning.time, map(str, frame.columns))
        table["start_s"] = _numbers(path, frame, meaning.time)
    table["condition"] = table.get("condition", "joint")
    remarks = _numbered(table) if "start_s" not in table else []
    twice = table.duplicated([name for name in ("video_id", "start_s", "condition") if name in table])
    _refuse(path, table["video_id"], twice, "one score for each video, time and condition")
    if manifest is not None:
        remarks += _joined(table, manifest)
    elif "dataset" not in table:
        table["dataset"] = "scores"
    return table, remarks


_NO_NUMBER = ("", "na", "n/a", "nan", "null", "none")
"""How programs write a number that is missing. A name or a category may well be `NA`."""


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as numbers, NaN where one is missing.

    Raises:
        UsageError: naming the first row that holds anything else.
    """
    values = pd.to_numeric(frame[name], errors="coerce")
    wrong = values.isna() & ~frame[name].str.lower().isin(_NO_NUMBER)
    if name.endswith("label"):
        _refuse(path, frame[name], wrong | (values.notna() & ~values.isin([0, 1])), f"0 (real) or 1 (fake) in {name!r}")
    _refuse(path, frame[name], wrong | np.isinf(values), f"a number in {name!r}")
    return values


def _refuse(path: Path, column: pd.Series, wrong: pd.Series, expected: str) -> None:
    """Raise an error that names the first row where `wrong` is true."""
    if wrong.any():
        line = column.index[wrong.to_numpy(dtype=bool)][0]
        raise UsageError(f"{path}, row {line}: expected {expected}, found {column.loc[line]!r}")


def _numbered(table: pd.DataFrame) -> list[str]:
    """Number the rows of videos that occur several times as their clips, in the order of the file; return a remark."""
    rows = table.groupby(["video_id", "condition"], sort=False)["video_id"].transform("size")
    several = table["video_id"][rows > 1]
    if several.empty:
        return []
    table["start_s"] = table.groupby(["video_id", "condition"]).cumcount().astype(float)
    videos, once = several.nunique(), table["video_id"][rows == 1].nunique()
    whose = f"{videos} videos have" if videos > 1 else "1 video has"
    line = f"{whose} several rows ({rows.max()} at most): taken as their clips, in the order of the file"
    if once > videos:
        line += f"; {once} others have one row: are these duplicates? First: {several.iloc[0]!r}"
    return [line]


_TEXT = ("dataset", "split", "generator", "compression", "group", "condition")


def _joined(table: pd.DataFrame, manifest: Manifest) -> list[str]:
    """Return remarks on how scores and manifest match; evaluation itself joins them."""
    listed = manifest.frame(["video_id", "dataset", "split"])
    scored = set(table.loc[table["logit"].notna(), "video_id"])
    if not scored:
        return []
    known = scored & set(listed["video_id"])
    if not known:
        raise UsageError(
            f"none of the {len(scored)} video_ids of the scores is in the manifest: the scores have"
            f" {min(scored)!r}, the manifest has {listed['video_id'].iloc[0]!r}"
        )
    lines = [f"{len(known)} of {len(scored)} scored videos are in the manifest"]
    if len(known) < len(scored):
        lines[0] += f" (not: {min(scored - known)!r} …)"
        if "dataset" not in table:
            table["dataset"] = "not in the manifest"
    rated = listed["video_id"].isin(known)
    some = rated.groupby([listed["dataset"], listed["split"].fillna("no split")]).transform("any")
    wanted = listed[some | (listed["split"] != "train")]  # training videos need no score
    missing = wanted[~wanted["video_id"].isin(known)]
    if len(missing):
        counts = missing["split"].fillna("no split").value_counts()
        where = ", ".join(f"{split} {count}" for split, count in counts.items())
        lines.append(f"{len(missing)} of {len(wanted)} videos to evaluate have no score ({where})")
    return lines
