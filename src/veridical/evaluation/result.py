"""An evaluation as one value: what was evaluated and on what, every figure, the risks, the sign-off, and its illustrations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

import pandas as pd
from pydantic import ConfigDict, TypeAdapter, ValidationError

from veridical.artefacts import atomic_path, read_json, write_json
from veridical.corpora import Statistics
from veridical.errors import ArtefactError
from veridical.evaluation.coverage import Coverage
from veridical.evaluation.curves import Curves
from veridical.evaluation.failures import Common, Failure
from veridical.evaluation.selection import OperatingPoint
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.signoff import Decision, Outcome
from veridical.evaluation.slices import choose_test_splits
from veridical.evaluation.tables import read_metrics, read_risks, write_metrics, write_risks
from veridical.metrics import Temperature

EVALUATION_VERSION = 4
"""Schema version of an evaluation folder."""
RUN_EVALUATION = Path("evaluation", "default")
"""Where a run keeps its evaluation."""


@dataclass(frozen=True)
class Reference:
    """The training corpus, on whose validation split thresholds and temperatures are selected."""

    dataset: str | None
    """None: not known."""
    reason: str
    """Why nothing was selected; empty where all was."""
    num_videos: int
    """Labelled validation videos scored under the primary condition."""


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of what was evaluated."""

    scores: str
    manifest: str | None
    """None: there was no manifest."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What `evaluation.json` holds: everything but the tables, the curves and the attachments."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    schema_version: Literal[4] = 4
    title: str
    """Heading of the report: the detector's name, for example."""
    decision: Decision
    outcomes: tuple[Outcome, ...]
    reference: Reference
    temperatures: dict[str, Temperature]
    """Condition → temperature."""
    operating_points: tuple[OperatingPoint, ...]
    primary_condition: str
    """The condition that stands for the detector."""
    conditions: tuple[str, ...]
    """All that were scored, the primary one first."""
    coverage: tuple[Coverage, ...]
    """A row per data set and split."""
    not_in_manifest: int
    """Scored videos that the manifest does not list."""
    rows_without_logit: int
    """Rows of the score table, under the primary condition, without a score."""
    looks_at_test: int | None
    """Score tables evaluated on the test sets so far, this one included; None: not counted."""
    failures: tuple[Failure, ...]
    """The worst videos of each test set, worst first."""
    failures_in_common: tuple[Common, ...]
    remarks: tuple[str, ...]
    """How the scores were understood."""
    warnings: tuple[str, ...]
    """What weakens the figures."""
    settings: EvaluationSettings
    fingerprints: Fingerprints
    versions: dict[str, str]
    """Package → version."""
    subject: str = ""
    """What was evaluated: the path of a run or score file, seen from the folder of the evaluation, or the name of a foreign
    detector; empty for a table in memory."""


@dataclass(frozen=True)
class Attachments:
    """What a store and a manifest add to the report."""

    statistics: dict[str, Statistics] = field(default_factory=dict)
    """Data set → what it holds."""
    thumbnails: dict[str, str] = field(default_factory=dict)
    """video_id → a frame of it as JPEG in base64, shown next to the failures."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation."""

    metrics: pd.DataFrame
    """Columns `METRIC_COLUMNS`, a row per figure."""
    risks: pd.DataFrame
    """Columns `RISK_COLUMNS`, a row per risk."""
    facts: Facts
    curves: Curves
    videos: pd.DataFrame
    """A row per scored video: video_id, dataset, split, label (NaN unknown), group (what the bootstrap draws), logit,
    p_fake (NaN uncalibrated), p_fake_in_use (at the stated prevalence)."""
    attachments: Attachments = field(default_factory=Attachments)

    @property
    def ready(self) -> str:
        """Ready for the next phase: yes, no, or not evaluable."""
        return self.facts.decision.ready

    @property
    def flagged(self) -> pd.DataFrame:
        """The risks with the verdict FLAG."""
        return self.risks[self.risks["verdict"] == "FLAG"]

    @property
    def test_sets(self) -> list[tuple[str, str]]:
        """(dataset, split) of what was evaluated in full, the reference first; split '' where there are no splits."""
        tested = choose_test_splits((item.dataset, item.split) for item in self.facts.coverage)
        return sorted(tested.items(), key=lambda item: (item[0] != self.facts.reference.dataset, item[0]))

    def figure(self, dataset: str, split: str, metric: str, **columns: str) -> pd.Series | None:
        """Return one row of `metrics`, or None.

        Args:
            dataset: Data set, or `A->B` for a gap.
            split: Split; '' where there are no splits.
            metric: Its name.
            columns: Other columns of the row; by default of videos, by the evaluation's own aggregation, under the primary
                condition, without a slice, calibration or operating point.
        """
        wanted = {"level": "video", "condition": self.facts.primary_condition, "slice": ""}
        wanted |= {"calibration": "", "operating_point": "", **columns}
        wanted.setdefault("aggregation", self.facts.settings.video_rule.rule if wanted["level"] == "video" else "")
        wanted |= {"dataset": dataset, "split": split, "metric": metric}
        rows = self.metrics
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return rows.iloc[0] if len(rows) else None

    def value(self, metric: str, dataset: str, split: str = "test", **columns: str) -> float:
        """Return the value of a figure; `columns` as for :meth:`figure`.

        Raises:
            KeyError: when there is no such figure.
        """
        row = self.figure(dataset, split, metric, **columns)
        if row is None:
            raise KeyError(f"no figure {metric} of {dataset} {split} with {columns}")
        return float(row["value"])

    def sliced(self, dataset: str, split: str, metric: str) -> pd.DataFrame:
        """Return the rows of all slices `name=value` of a video-level figure under the primary condition."""
        rows = self.metrics
        rows = rows[(rows["dataset"] == dataset) & (rows["split"] == split) & (rows["metric"] == metric)]
        rows = rows[(rows["condition"] == self.facts.primary_condition) & (rows["level"] == "video")]
        return rows[(rows["slice"].str.contains("=")) & (rows["calibration"] == "")]

    def write(self, folder: Path) -> None:
        """Write the evaluation folder.

        It holds `metrics.csv`, `risks.csv`, `curves.json` (points of the plots), `videos.parquet` (a score per video, for
        comparisons), `statistics.json` and `thumbnails.json` where there are any, and `evaluation.json`, which is written
        last: a folder without it is not an evaluation. The count of looks (`looks.jsonl`) is left alone.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").unlink(missing_ok=True)
        write_metrics(folder / "metrics.csv", self.metrics)
        write_risks(folder / "risks.csv", self.risks)
        write_json(folder / "curves.json", _CURVES.dump_python(self.curves, mode="json"))
        with atomic_path(folder / "videos.parquet") as temporary:
            self.videos.to_parquet(temporary, index=False)
        statistics = [{"name": name, **item.to_json()} for name, item in self.attachments.statistics.items()]
        for name, attached in (("statistics", statistics), ("thumbnails", self.attachments.thumbnails)):
            (folder / f"{name}.json").unlink(missing_ok=True)
            if attached:
                write_json(folder / f"{name}.json", attached)
        write_json(folder / "evaluation.json", _FACTS.dump_python(self.facts, mode="json"))

    @classmethod
    def read(cls, folder: Path) -> Evaluation:
        """Read an evaluation folder, or that of a run; an evaluation without a title takes the folder's name.

        Raises:
            ArtefactError: when it is missing, unfinished, damaged, or of another schema version.
        """
        name = Path(folder).resolve().name
        inside = Path(folder) / RUN_EVALUATION
        folder = inside if (inside / "evaluation.json").is_file() else Path(folder)
        path = folder / "evaluation.json"
        if not path.is_file():
            raise ArtefactError(
                f"{folder}: is not an evaluation (no evaluation.json); make one with `veridical evaluate`"
            )
        values = read_json(path)
        version = values.get("schema_version") if isinstance(values, dict) else None
        if version != EVALUATION_VERSION:
            raise ArtefactError(
                f"{folder}: evaluation of schema version {version}, this release reads {EVALUATION_VERSION};"
                " run `veridical evaluate` again"
            )
        facts = _validated(_FACTS, path)
        return cls(
            metrics=read_metrics(folder / "metrics.csv"),
            risks=read_risks(folder / "risks.csv"),
            facts=facts if facts.title else replace(facts, title=name),
            curves=_validated(_CURVES, folder / "curves.json"),
            videos=pd.read_parquet(folder / "videos.parquet"),
            attachments=_read_attachments(folder),
        )


def _read_attachments(folder: Path) -> Attachments:
    statistics, thumbnails = folder / "statistics.json", folder / "thumbnails.json"
    entries = read_json(statistics) if statistics.is_file() else []
    return Attachments(
        statistics={entry["name"]: Statistics.from_json(entry) for entry in entries},
        thumbnails=_validated(_THUMBNAILS, thumbnails) if thumbnails.is_file() else {},
    )


_FACTS = TypeAdapter(Facts)
_CURVES = TypeAdapter(Curves)
_THUMBNAILS = TypeAdapter(dict[str, str])
T = TypeVar("T")


def _validated(adapter: TypeAdapter[T], path: Path) -> T:
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror}); run `veridical evaluate` again") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtefactError(f"{path}: is damaged ({where}: {first['msg']}); run `veridical evaluate` again") from None
