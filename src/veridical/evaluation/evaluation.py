"""An evaluation: everything that was found, and the folder it is kept in.

The folder holds `metrics.csv` and `risks.csv` (tidy tables), `evaluation.json` (settings, fingerprints, choices,
sign-off, coverage, failures), `curves.json` (points of the plots), `videos.parquet` (a score per video, for
comparisons) and `looks.jsonl` (one line for each time a test set was judged into this folder). `evaluation.json` is
written last: a folder without it is not an evaluation.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from veridical import __version__
from veridical.artefacts import (
    EVALUATION_VERSION,
    Manifest,
    ScoreTable,
    atomic_path,
    read_evaluation_facts,
    read_figures,
    read_json,
    read_risks,
    write_figures,
    write_json,
    write_risks,
)  # fmt: skip
from veridical.corpora import audit
from veridical.evaluation.coverage import coverage
from veridical.evaluation.curves import curves
from veridical.evaluation.evidence import Evidence, gather
from veridical.evaluation.failures import failures
from veridical.evaluation.figures import FigureTable
from veridical.evaluation.looks import count_looks
from veridical.evaluation.protocol import compute_figures
from veridical.evaluation.risk import Findings
from veridical.evaluation.risks import risk_register
from veridical.evaluation.selection import Selection, select
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.signoff import decide, outcomes
from veridical.evaluation.slices import Cell, cells
from veridical.metrics import fewest_groups


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found."""

    metrics: pd.DataFrame
    """Columns `METRIC_COLUMNS`, a row per figure."""
    risks: pd.DataFrame
    """Columns `RISK_COLUMNS`, a row per risk."""
    facts: Mapping[str, Any]
    """What evaluation.json holds."""
    curves: Mapping[str, Any]
    """Points of the plots."""
    videos: pd.DataFrame
    """A row per scored video: video_id, dataset, split, label (NaN unknown), group (what the bootstrap draws), logit,
    p_fake (NaN uncalibrated),
    p_fake_in_use (for the stated share of fakes)."""

    @property
    def ready(self) -> str:
        """Ready for the next phase: yes, no, or not evaluable."""
        return str(self.facts["decision"]["ready"])

    @property
    def flagged(self) -> pd.DataFrame:
        """The risks with the verdict FLAG."""
        return self.risks[self.risks["verdict"] == "FLAG"]

    def value(self, metric: str, dataset: str, split: str = "test", **facts: str) -> float:
        """Return one figure; by default of videos, mean logit, condition `joint`, all videos.

        Raises:
            KeyError: when no figure or several fit.
        """
        wanted = {"level": "video", "aggregation": "mean", "condition": "joint", "slice": "", "calibration": ""}
        wanted |= {"operating_point": "", "metric": metric, "dataset": dataset, "split": split, **facts}
        rows = self.metrics
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        if len(rows) != 1:
            raise KeyError(f"{len(rows)} figures fit {wanted}")
        return float(rows["value"].iloc[0])

    def write(self, folder: Path) -> None:
        """Write the folder; the looks that it already counts are kept."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").unlink(missing_ok=True)
        write_figures(folder / "metrics.csv", self.metrics)
        write_risks(folder / "risks.csv", self.risks)
        write_json(folder / "curves.json", self.curves)
        with atomic_path(folder / "videos.parquet") as temporary:
            self.videos.to_parquet(temporary, index=False)
        write_json(folder / "evaluation.json", self.facts)

    @classmethod
    def read(cls, folder: Path) -> Evaluation:
        """Read an evaluation folder.

        Raises:
            ArtefactError: when it is missing, unfinished, or of another schema version.
        """
        folder = Path(folder)
        facts = read_evaluation_facts(folder)
        tables = read_figures(folder / "metrics.csv"), read_risks(folder / "risks.csv")
        return cls(*tables, facts, read_json(folder / "curves.json"), pd.read_parquet(folder / "videos.parquet"))


def evaluate(
    scores: ScoreTable,
    *,
    manifest: Manifest | None = None,
    settings: EvaluationSettings | None = None,
    title: str = "",
    looks: Path | None = None,
    remarks: Sequence[str] = (),
    content: pd.DataFrame | None = None,
) -> Evaluation:
    """Judge the scores of a detector: figures with intervals, risks, sign-off.

    Args:
        scores: What the detector said; all conditions and data sets in one table.
        manifest: All videos that were to be scored; without it coverage and facts of files are not evaluable.
        settings: How to judge; the defaults are those of the documentation.
        title: What was judged, for the report.
        looks: File in which looks at the test sets are counted (a run's, or `looks.jsonl` of the output folder).
        remarks: How the scores were understood (`ExternalScores.remarks`), to be shown with the figures.
        content: Properties of the judged clips (`clips.content_facts`): light, blur, loudness, onset, face box; risks
            that need them are not evaluable without.

    Raises:
        UsageError: when nothing can be judged at all: no scores, no labels, no video of the manifest.
    """
    settings = settings or EvaluationSettings()
    evidence = gather(scores, manifest)
    parts = cells(evidence, settings)
    selection = select(evidence, settings)
    table = compute_figures(evidence, parts, selection, settings)
    fingerprints = {"scores": scores.fingerprint, "manifest": manifest.fingerprint if manifest is not None else None}
    seen = count_looks(looks, fingerprints, parts) if looks is not None else None
    covered = [coverage(evidence, cell, settings) for cell in parts]
    audits = _audits(manifest, parts, evidence, content)
    findings = Findings(evidence, parts, selection, settings, table, covered, seen, manifest, audits)
    risks = risk_register(findings)
    facts = {
        "schema_version": EVALUATION_VERSION,
        "title": title,
        "decision": asdict(decide(findings, risks)),
        "outcomes": [asdict(outcome) for outcome in outcomes(findings)],
        **_choices(selection),
        "primary_condition": evidence.primary,
        "conditions": list(evidence.clips),
        "coverage": [asdict(item) for item in covered],
        "not_in_manifest": evidence.not_in_manifest,
        "rows_without_logit": evidence.rows_without_logit,
        "looks_at_test": seen,
        **_failures(evidence, parts, selection, settings),
        "remarks": list(remarks),
        "warnings": [
            *_below_chance(table, findings),
            *_too_few(table, findings),
            *_warnings(evidence, parts, selection),
        ],
        "settings": settings.model_dump(mode="json"),
        "fingerprints": fingerprints,
        "versions": _versions(),
    }
    plotted = _curves(evidence, parts, selection, settings)
    return Evaluation(table.frame(), risks, facts, plotted, _videos(evidence, selection, settings))


def _audits(
    manifest: Manifest | None, parts: list[Cell], evidence: Evidence, content: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Return the audit of the judged videos of each data set, where there is anything to audit."""
    if manifest is None or (content is None and manifest.table["codec"].null_count == len(manifest)):
        return {}
    ids, found = np.asarray(manifest.table["video_id"].to_pylist(), dtype=object), {}
    for cell in parts:
        if cell.judged:
            inside = np.isin(ids, evidence.videos["video_id"].to_numpy(dtype=object)[cell.videos])
            found[cell.dataset] = audit(Manifest(manifest.table.filter(pa.array(inside))), content).table
    return found


def _choices(selection: Selection) -> dict[str, Any]:
    return {
        "reference": {"dataset": selection.dataset, "reason": selection.reason, "num_videos": selection.num_videos},
        "temperatures": {name: asdict(item) for name, item in selection.temperatures.items()},
        "operating_points": [asdict(point) for point in selection.operating_points],
    }


def _failures(
    evidence: Evidence, parts: list[Cell], selection: Selection, settings: EvaluationSettings
) -> dict[str, Any]:
    worst, common = [], []
    for cell in parts:
        if cell.judged:
            found, shared = failures(evidence, cell, selection, settings)
            worst += [asdict(item) for item in found]
            common += [asdict(item) for item in shared]
    return {"failures": worst, "failures_in_common": common}


def _curves(
    evidence: Evidence, parts: list[Cell], selection: Selection, settings: EvaluationSettings
) -> dict[str, Any]:
    found: dict[str, Any] = {"roc": [], "reliability": [], "histogram": []}
    for cell in parts:
        if cell.judged:
            for name, items in curves(evidence, cell, selection, settings).items():
                found[name] += items
    return found


def _videos(evidence: Evidence, selection: Selection, settings: EvaluationSettings) -> pd.DataFrame:
    logits = evidence.video_logits(evidence.primary, settings.aggregation, settings.top_k)
    scored = np.isfinite(logits)
    found = evidence.videos.loc[scored, ["video_id", "dataset", "split", "label"]].reset_index(drop=True)
    found["group"] = evidence.videos.loc[scored, "resampling_group"].to_numpy()
    temperature = selection.temperatures.get(evidence.primary)
    p_fake = temperature(logits[scored]) if temperature is not None else np.full(len(found), np.nan)
    p_in_use = selection.p_in_use(logits[scored], settings.prevalence)
    return found.assign(logit=logits[scored], p_fake=p_fake, p_fake_in_use=np.nan if p_in_use is None else p_in_use)


def _too_few(table: FigureTable, findings: Findings) -> list[str]:
    """Say which data sets have too few leak groups for their intervals to mean what they say."""
    found = []
    for cell in (cell for cell in findings.parts if cell.judged):
        groups = table.get(findings.key(cell, "auc")).groups
        if 0 < groups < fewest_groups():
            where = f"{cell.dataset} {cell.split}".strip()
            found.append(
                f"{where} has only {groups} leak {'groups' if groups > 1 else 'group'} of the smaller class: its intervals are"
                f" too narrow, and nothing about it is certain; {fewest_groups()} are the least, tens are good"
            )
    return found


def _below_chance(table: FigureTable, findings: Findings) -> list[str]:
    """Say where reals look more fake than fakes: more likely a mistake than a detector."""
    found = []
    for cell in findings.parts:
        figure = table.get(findings.key(cell, "auc"))
        if figure.groups >= fewest_groups() and figure.high < 0.5:
            where = f"{cell.dataset} {cell.split}".strip()
            found.append(
                f"the AUC on {where} is {figure.value:.3f}, certainly below chance: are real and fake exchanged in the"
                " labels, or in what the scores mean (--higher-is)?"
            )
    return found


def _warnings(evidence: Evidence, parts: list[Cell], selection: Selection) -> list[str]:
    """Say what makes the figures weaker; videos of splits on which nothing is said are left out."""
    videos = evidence.videos.iloc[np.concatenate([cell.videos for cell in parts])]
    found = list(selection.warnings)
    if selection.reason:
        found.append(f"nothing was chosen on validation: {selection.reason}")
    ungrouped = sum(cell.ungrouped for cell in parts)
    if ungrouped:
        found.append(
            f"{ungrouped} of {len(videos)} videos have no leak group: each counts as a group of its own,"
            " intervals may be too narrow"
        )
    group, drawn = videos["group"], videos["resampling_group"]
    joined = int(((group == "") & (drawn != "")).sum())
    if joined:
        found.append(f"{joined} videos have no leak group: they were resampled with the person that they show")
    if ((group != "") & (drawn != group)).any():
        found.append(
            "people are tied together by donors into too few leak groups for intervals: videos were resampled by the person"
            " shown; shared donors make intervals a little too narrow"
        )
    if evidence.not_in_manifest:
        found.append(f"{evidence.not_in_manifest} scored videos are not in the manifest")
    if evidence.contradicted:
        found.append(
            f"{len(evidence.contradicted)} videos have another label in the score table than in the manifest, which is believed"
            f" (first {evidence.contradicted[0]!r})"
        )
    if evidence.rows_without_logit:
        found.append(f"{evidence.rows_without_logit} clips (or videos) were given without a score")
    unlabelled = int(np.isnan(videos["label"].to_numpy(dtype=float)).sum())
    if unlabelled:
        found.append(f"{unlabelled} videos have no label and are left out")
    return found


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow")
    return {"veridical": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}
