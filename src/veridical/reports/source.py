"""What a report is made from: evaluation folders, and what a run says of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from veridical.artefacts import read_evaluation_facts, read_figures, read_json, read_risks

CONDITION_NAMES = {
    "joint": "sound and picture",
    "audio_masked": "picture only",
    "video_masked": "sound only",
    "video_head": "picture head",
    "audio_head": "sound head",
}


@dataclass(frozen=True)
class ReportExtras:
    """What a report can show beyond an evaluation; everything is optional."""

    title: str = ""
    """Heading of the page."""
    training: Sequence[Mapping[str, Any]] = ()
    """Rows of metrics.jsonl: stage, epoch, losses, val_auc, …"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe that was trained."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Name → text, shown under "how this was made": duration, machine, number of parameters."""


@dataclass(frozen=True, eq=False)
class Source:
    """One evaluation as it lies in its folder."""

    name: str
    metrics: pd.DataFrame
    risks: pd.DataFrame
    facts: Mapping[str, Any]
    curves: Mapping[str, Any]
    statistics: Sequence[Mapping[str, Any]] = ()
    """What the data hold, an entry per data set; empty where it was not written."""
    thumbnails: Mapping[str, str] = field(default_factory=dict)
    """video_id → JPEG as base64 text, shown beside failures."""

    @property
    def primary(self) -> str:
        """The condition that stands for the detector."""
        return str(self.facts["primary_condition"])

    @property
    def reference(self) -> str | None:
        """The training corpus."""
        found = self.facts["reference"]["dataset"]
        return str(found) if found is not None else None

    @property
    def judged(self) -> list[tuple[str, str]]:
        """(dataset, split) judged in full, the reference first."""
        found = [(item["dataset"], item["split"]) for item in self.facts["coverage"] if item["split"] in ("test", "")]
        with_test = {dataset for dataset, split in found if split == "test"}
        found = [(dataset, split) for dataset, split in found if split == "test" or dataset not in with_test]
        return sorted(found, key=lambda item: (item[0] != self.reference, item[0]))

    def figure(self, dataset: str, split: str, metric: str, **facts: str) -> pd.Series | None:
        """Return one row of metrics.csv, or None; by default a video-level figure of the primary condition."""
        aggregation = self.facts["settings"]["aggregation"]
        wanted = {"level": "video", "aggregation": aggregation, "condition": self.primary, "slice": ""}
        wanted |= {"calibration": "", "operating_point": "", **facts}
        wanted |= {"dataset": dataset, "split": split, "metric": metric}
        if wanted["level"] == "clip":
            wanted["aggregation"] = ""
        rows = self.metrics
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return rows.iloc[0] if len(rows) else None

    def sliced(self, dataset: str, split: str, metric: str, condition: str | None = None) -> pd.DataFrame:
        """Return the rows of all slices `name=value` of a video-level figure."""
        rows = self.metrics
        rows = rows[(rows["dataset"] == dataset) & (rows["split"] == split) & (rows["metric"] == metric)]
        rows = rows[(rows["condition"] == (condition or self.primary)) & (rows["level"] == "video")]
        return rows[(rows["slice"].str.contains("=")) & (rows["calibration"] == "")]


def read_source(folder: Path) -> Source:
    """Read an evaluation folder.

    Raises:
        ArtefactError: when it is missing or unfinished.
    """
    folder = Path(folder)
    facts = read_evaluation_facts(folder)
    name = str(facts.get("title") or folder.resolve().name)
    tables = read_figures(folder / "metrics.csv"), read_risks(folder / "risks.csv")
    beside = {
        name: read_json(folder / f"{name}.json")
        for name in ("statistics", "thumbnails")
        if (folder / f"{name}.json").is_file()
    }
    return Source(name, *tables, facts, read_json(folder / "curves.json"), **beside)
