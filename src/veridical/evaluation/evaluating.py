"""From a score table to an evaluation: figures, risks, sign-off and what weakens them. Reads tables only."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from veridical import __version__
from veridical.artefacts import Manifest, ScoreTable
from veridical.corpora import audit
from veridical.errors import ArtefactError
from veridical.evaluation.coverage import coverage
from veridical.evaluation.curves import curves
from veridical.evaluation.evidence import Evidence, gather
from veridical.evaluation.failures import Common, Failure, failures
from veridical.evaluation.figures import Key
from veridical.evaluation.protocol import compute_figures
from veridical.evaluation.register import risk_register
from veridical.evaluation.result import Evaluation, Facts, Fingerprints, Reference
from veridical.evaluation.selection import Selection, select
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.signoff import decide, outcomes
from veridical.evaluation.slices import Cell, cells
from veridical.evaluation.verdicts import Measurements
from veridical.metrics import FEWEST_GROUPS, Aggregation


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
    """Evaluate the scores of a detector: figures with intervals, risks, sign-off.

    Args:
        scores: The detector's scores, all conditions and data sets in one table.
        manifest: All videos that were to be scored; without it, coverage and file properties are not evaluable.
        settings: The defaults are those of the documentation.
        title: What was evaluated, for the report.
        looks: File in which looks at the test sets are counted.
        remarks: How the scores were understood (`ExternalScores.remarks`), reported with the figures.
        content: Properties of the clips (`clips.content_facts`): light, blur, loudness, onset, face box; risks about them are
            not evaluable without.

    Raises:
        UsageError: when nothing is evaluable at all: no scores, no labels, no video of the manifest.
    """
    settings = settings or EvaluationSettings()
    rule = settings.aggregation or scores.aggregation or Aggregation()
    settings = settings.model_copy(update={"aggregation": rule})
    evidence = gather(scores, manifest)
    parts = cells(evidence, settings)
    selection = select(evidence, settings)
    table = compute_figures(evidence, parts, selection, settings)
    fingerprints = Fingerprints(scores.fingerprint, manifest.fingerprint if manifest is not None else None)
    measured = Measurements(
        evidence=evidence,
        parts=parts,
        selection=selection,
        settings=settings,
        table=table,
        coverage=[coverage(evidence, cell, settings) for cell in parts],
        looks=count_looks(looks, scores.fingerprint, parts) if looks is not None else None,
        manifest=manifest,
        audits=_audits(manifest, parts, evidence, content),
    )
    risks = risk_register(measured)
    return Evaluation(
        metrics=table.frame(),
        risks=risks,
        facts=_facts(measured, risks, fingerprints, title, remarks),
        curves=curves(evidence, parts, selection, settings),
        videos=_videos(evidence, selection, settings),
    )


def _facts(
    measured: Measurements, risks: pd.DataFrame, fingerprints: Fingerprints, title: str, remarks: Sequence[str]
) -> Facts:
    evidence, selection = measured.evidence, measured.selection
    worst, common = _failures(measured)
    return Facts(
        title=title,
        decision=decide(measured, risks),
        outcomes=tuple(outcomes(measured)),
        reference=Reference(selection.dataset, selection.reason, selection.num_videos),
        temperatures=selection.temperatures,
        operating_points=selection.operating_points,
        primary_condition=evidence.primary,
        conditions=tuple(evidence.clips),
        coverage=tuple(measured.coverage),
        not_in_manifest=evidence.not_in_manifest,
        rows_without_logit=evidence.rows_without_logit,
        looks_at_test=measured.looks,
        failures=tuple(worst),
        failures_in_common=tuple(common),
        remarks=tuple(remarks),
        warnings=(*_below_chance(measured), *_too_few_people(measured), *_warnings(measured)),
        settings=measured.settings,
        fingerprints=fingerprints,
        versions=_versions(),
    )


def count_looks(path: Path, scores: str, parts: list[Cell]) -> int:
    """Add a line for this look at the test sets and return how many different score tables were looked at, this one included.

    Selecting among many looks is training on the test set. Evaluating the very same scores again is no new look; nothing is
    added where there is no test set.

    Args:
        path: File of the count.
        scores: Fingerprint of the score table.
        parts: What it has scores of.

    Raises:
        ArtefactError: when the file is not a count of looks.
    """
    path = Path(path)
    tests = sorted(f"{cell.dataset} {cell.split or 'unsplit'}" for cell in parts if cell.is_test)
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        seen = {line["scores"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: is not a count of looks ({error})") from None
    if tests and scores not in seen:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"scores": scores, "test": tests}) + "\n")
        seen.add(scores)
    return len(seen)


def _audits(
    manifest: Manifest | None, parts: list[Cell], evidence: Evidence, content: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Return the audit of every test set, where there are properties to audit."""
    if manifest is None or (content is None and manifest.table["codec"].null_count == len(manifest)):
        return {}
    ids, audits = np.asarray(manifest.table["video_id"].to_pylist(), dtype=object), {}
    for cell in parts:
        if cell.is_test:
            inside = np.isin(ids, evidence.videos["video_id"].to_numpy(dtype=object)[cell.videos])
            audits[cell.dataset] = audit(Manifest(manifest.table.filter(pa.array(inside))), content).table
    return audits


def _failures(measured: Measurements) -> tuple[list[Failure], list[Common]]:
    worst: list[Failure] = []
    common: list[Common] = []
    for cell in measured.parts:
        if cell.is_test:
            failed, shared = failures(measured.evidence, cell, measured.selection, measured.settings)
            worst += failed
            common += shared
    return worst, common


def _videos(evidence: Evidence, selection: Selection, settings: EvaluationSettings) -> pd.DataFrame:
    logits = evidence.video_logits(evidence.primary, settings.video_rule)
    scored = np.isfinite(logits)
    videos = evidence.videos.loc[scored, ["video_id", "dataset", "split", "label"]].reset_index(drop=True)
    videos["group"] = evidence.videos.loc[scored, "resampling_group"].to_numpy()
    calibration = selection.calibration(evidence.primary)
    p_fake = calibration.p_fake(logits[scored]) if calibration is not None else np.nan
    p_in_use = selection.p_in_use(logits[scored], settings.prevalence)
    return videos.assign(logit=logits[scored], p_fake=p_fake, p_fake_in_use=np.nan if p_in_use is None else p_in_use)


def _too_few_people(measured: Measurements) -> list[str]:
    """Name the test sets and slices whose figures are withheld, with the number of people behind them."""
    withheld: dict[str, dict[str, str]] = {}
    for key, figure in measured.named("auc"):
        if figure.reason.startswith("too few to say") and _is_primary(key, measured):
            people = figure.reason.partition("(")[2].partition(";")[0]
            withheld.setdefault(f"{key.dataset} {key.split}".strip(), {})[key.slice] = people
    warnings = []
    for where, slices in withheld.items():
        if "" in slices:
            warnings.append(f"{where}: too few to say anything: {slices['']}, at least {FEWEST_GROUPS} are needed")
        else:
            named = ", ".join(f"{name} ({people.split()[0]})" for name, people in slices.items())
            warnings.append(f"{where}: too few to say (people; a figure needs {FEWEST_GROUPS} of each class): {named}")
    return warnings


def _is_primary(key: Key, measured: Measurements) -> bool:
    """Return whether a figure is of videos, by the evaluation's own aggregation, under the primary condition."""
    own = (measured.evidence.primary, "video", measured.settings.video_rule.rule)
    return (key.condition, key.level, key.aggregation) == own and "against=" not in key.slice


def _below_chance(measured: Measurements) -> list[str]:
    """Warn where reals score higher than fakes: more likely a mistake than a property of the detector."""
    warnings = []
    for cell in measured.parts:
        figure = measured.get(cell, "auc")
        if figure.evaluable and figure.high < 0.5:
            where = f"{cell.dataset} {cell.split}".strip()
            warnings.append(
                f"the AUC on {where} is {figure.value:.3f}, certainly below chance: are real and fake swapped in the labels,"
                " or is the direction of the scores wrong (--higher-is)?"
            )
    return warnings


def _warnings(measured: Measurements) -> list[str]:
    """Warn of what weakens the figures; splits without figures are left out."""
    evidence, selection, parts = measured.evidence, measured.selection, measured.parts
    videos = evidence.videos.iloc[np.concatenate([cell.videos for cell in parts])]
    warnings = list(selection.warnings)
    if selection.reason:
        warnings.append(f"nothing was selected on validation: {selection.reason}")
    warnings += _about_groups(videos, sum(cell.ungrouped for cell in parts))
    if evidence.not_in_manifest:
        warnings.append(f"{evidence.not_in_manifest} scored videos are not in the manifest")
    if evidence.contradicted:
        warnings.append(
            f"{len(evidence.contradicted)} videos have another label in the score table than in the manifest, whose label is"
            f" used (first {evidence.contradicted[0]!r})"
        )
    if evidence.rows_without_logit:
        warnings.append(f"{evidence.rows_without_logit} clips (or videos) have no score")
    unlabelled = int(np.isnan(videos["label"].to_numpy(dtype=float)).sum())
    if unlabelled:
        warnings.append(f"{unlabelled} videos have no label and are left out")
    return warnings


def _about_groups(videos: pd.DataFrame, ungrouped: int) -> list[str]:
    warnings = []
    if ungrouped:
        warnings.append(
            f"{ungrouped} of {len(videos)} videos have no leak group: each counts as a group of its own, and intervals may be"
            " too narrow"
        )
    group, drawn = videos["group"], videos["resampling_group"]
    joined = int(((group == "") & (drawn != "")).sum())
    if joined:
        warnings.append(f"{joined} videos have no leak group: they were resampled with the person they show")
    if ((group != "") & (drawn != group)).any():
        warnings.append(
            "donors tie people together into too few leak groups for intervals: videos were resampled by the person shown;"
            " shared donors make the intervals slightly too narrow"
        )
    return warnings


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow")
    return {"veridical": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}
