"""The main job: from a detector, or its scores, to a written evaluation with report and model card."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from veridical.artefacts import Manifest, ScoreTable, check_folder, read_json
from veridical.clips import ClipStore, content_facts
from veridical.corpora import Statistics, statistics
from veridical.errors import UsageError, unknown_name
from veridical.evaluation import (
    RUN_EVALUATION,
    Attachments,
    ColumnMeaning,
    Evaluation,
    EvaluationSettings,
    ExternalScores,
    Failure,
    choose_test_splits,
    evaluate,
    read_scores,
)
from veridical.reports import ReportExtras, write_model_card, write_report
from veridical.settings import parse_settings, read_yaml, with_overrides

if TYPE_CHECKING:
    from veridical.inference import ClipScorer

SCORE_FILES = (".csv", ".parquet")
THUMBNAIL_PX = 112
_JPEG_QUALITY = 85


def judge(
    detector_or_scores: ClipScorer | ScoreTable | str | Path,
    stores: Sequence[ClipStore | str | Path] = (),
    manifest: Manifest | None = None,
    *,
    output: str | Path | None = None,
    settings: EvaluationSettings | None = None,
    columns: ColumnMeaning | None = None,
    interventions: Sequence[str] = (),
    device: str = "auto",
    title: str = "",
    accept_seen: bool = False,
) -> Evaluation:
    """Score, evaluate and report: the whole way from a detector to a verdict.

    Args:
        detector_or_scores: A run or model folder, a foreign detector (`FILE.py:NAME`, `MODULE:NAME`, a .yaml file), or a loaded
            detector; or its scores: a score table, or a file (parquet, csv) of them.
        stores: Clip stores to score. With scores: those of the scored videos, for thumbnails and for risks that lie in clips.
        manifest: Labels, splits, groups, and all videos that were to be scored; the stores' own when not given.
        output: Folder to write; `evaluation/default` inside the run when not given.
        settings: Of the evaluation; those of the run's recipe, or the defaults, when not given.
        columns: What the columns of a csv of scores mean.
        interventions: Changes of the clips to score as well, such as `shuffle`, `shift_sound:0.2`, or `all` controls.
        device: Where a detector of this project computes.
        title: Heading of the report; the detector's name when not given.
        accept_seen: Judge on videos that the detector was trained on, flagged in the risk register; without it they are refused.

    Returns:
        The evaluation. The folder holds it (`Evaluation.write`) with `report.html`, `model_card.md`, `looks.jsonl` (unless
        they are counted in a run) and, when the detector was scored here, `scores.parquet`.

    Raises:
        SeenError: before anything is scored: when the detector was trained on videos to be judged.
        UsageError: before anything is scored: when the folder cannot be used, or the arguments do not fit together.
    """
    run = _run_of(detector_or_scores)
    folder = evaluation_folder(detector_or_scores, output)
    check_folder(folder, "an evaluation", "metrics.csv", also=["scores.parquet", "looks.jsonl"])
    subject = _subject(run or detector_or_scores, folder)
    _refuse_another_subject(folder, subject)
    opened = [store if isinstance(store, ClipStore) else ClipStore.open(Path(store)) for store in stores]
    if manifest is None and opened:
        manifest = Manifest.concat(store.manifest() for store in opened)
    settings = _fitted(settings or evaluation_settings(detector_or_scores), opened, manifest)
    scored = _scores(detector_or_scores, opened, manifest, columns, interventions, device, folder, accept_seen)
    if scored.kind == "ranking":
        settings = settings.model_copy(update={"probabilistic": False})
    evaluation = evaluate(
        scored.scores,
        manifest=manifest,
        settings=settings,
        title=title or _name(run or detector_or_scores),
        looks=(run or folder) / "looks.jsonl",
        remarks=scored.remarks,
        content=measure_clips(opened, manifest) if opened and manifest is not None else None,
    )
    facts = replace(evaluation.facts, subject=subject)
    evaluation = replace(evaluation, facts=facts, attachments=_attachments(evaluation, opened, manifest))
    _write(evaluation, folder, run)
    return evaluation


def _write(evaluation: Evaluation, folder: Path, run: Path | None) -> None:
    """Write the folder of an evaluation with its report and model card."""
    evaluation.write(folder)
    write_report(evaluation, folder / "report.html", extras=ReportExtras.of_run(run) if run is not None else None)
    write_model_card(evaluation, folder / "model_card.md")


def _scores(
    subject: ClipScorer | ScoreTable | str | Path,
    stores: list[ClipStore],
    manifest: Manifest | None,
    columns: ColumnMeaning | None,
    interventions: Sequence[str],
    device: str,
    folder: Path,
    accept_seen: bool,
) -> ExternalScores:
    """Return the scores that were given as a table or a file; for a detector, score the stores and keep the table."""
    if isinstance(subject, ScoreTable):
        return ExternalScores(subject, "logit", ())
    if isinstance(subject, str | Path) and (columns is not None or Path(subject).suffix.lower() in SCORE_FILES):
        return read_scores(Path(subject), columns, manifest)
    scores = _score(subject, stores, manifest, interventions, device, accept_seen)
    scores.write(folder / "scores.parquet")
    return ExternalScores(scores, "logit", ())


def evaluation_folder(detector_or_scores: ClipScorer | ScoreTable | str | Path, output: str | Path | None) -> Path:
    """Return the folder that `judge` writes: the given one, else that of the run.

    Raises:
        UsageError: when none is given and there is no run.
    """
    if output is not None:
        return Path(output)
    run = _run_of(detector_or_scores)
    if run is None:
        raise UsageError("say where to write with -o DIR")
    return run / RUN_EVALUATION


def _run_of(subject: ClipScorer | ScoreTable | str | Path) -> Path | None:
    """Return the run that is evaluated, also when its model folder is given; None for anything that is not a folder."""
    if not isinstance(subject, str | Path) or not Path(subject).is_dir():
        return None
    folder = Path(subject)
    model = folder.resolve()
    return model.parent if model.name == "model" and (model / "model.json").is_file() else folder


def _subject(detector_or_scores: ClipScorer | ScoreTable | str | Path, folder: Path) -> str:
    """Return what is evaluated; a path is seen from the folder, so that both can be moved together."""
    if isinstance(detector_or_scores, ScoreTable):
        return ""
    if not isinstance(detector_or_scores, str | Path):
        return detector_or_scores.name
    file, colon, name = str(detector_or_scores).rpartition(":") if ".py:" in str(detector_or_scores) else ("", "", "")
    path = Path(file or detector_or_scores)
    return os.path.relpath(path.resolve(), folder.resolve()) + colon + name if path.exists() else str(path)


def _refuse_another_subject(folder: Path, subject: str) -> None:
    """Refuse a folder that holds the evaluation of another detector, or of other scores; one in a run is the run's own."""
    facts = read_json(folder / "evaluation.json") if (folder / "evaluation.json").exists() else {}
    there = facts.get("subject", "") if isinstance(facts, dict) else ""
    if subject and there and there != subject:
        shown, asked = (os.path.normpath(folder / name) if os.sep in name else name for name in (there, subject))
        raise UsageError(f"{folder}: holds the evaluation of {shown}, not of {asked}; choose another folder")


def evaluation_settings(
    detector_or_scores: ClipScorer | ScoreTable | str | Path,
    values: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> EvaluationSettings:
    """Return how to evaluate: as the recipe of a run says, with other values, and with `a.b=c` changes on top.

    Raises:
        UsageError: naming the setting that is wrong.
    """
    run = _run_of(detector_or_scores)
    recipe = run / "recipe.yaml" if run is not None else None
    written = (read_yaml(recipe).get("evaluation") or {}) if recipe is not None and recipe.is_file() else {}
    defaults = EvaluationSettings().model_dump(mode="json")
    inherited = {name: value for name, value in written.items() if value != defaults.get(name)}  # a run holds them all
    asked = {**inherited, **(values or {})}
    return parse_settings(EvaluationSettings, with_overrides(asked, assignments), "evaluate", assignments)


def _fitted(settings: EvaluationSettings, stores: list[ClipStore], manifest: Manifest | None) -> EvaluationSettings:
    """Return the settings with the clip length of the stores, after checking the name of the reference."""
    if settings.reference is not None and manifest is not None:
        names = set(manifest.table["dataset"].to_pylist())
        if settings.reference not in names:
            raise unknown_name("data set", settings.reference, names)
    if stores and "window_s" not in settings.model_fields_set:
        return settings.model_copy(update={"window_s": stores[0].settings.window_s})
    return settings


def _name(subject: ClipScorer | ScoreTable | str | Path) -> str:
    if isinstance(subject, ScoreTable):
        return ""
    if isinstance(subject, str | Path):
        return Path(subject).resolve().name if Path(subject).exists() else str(subject)
    return subject.name


def _score(
    detector: ClipScorer | str | Path,
    stores: list[ClipStore],
    manifest: Manifest | None,
    interventions: Sequence[str],
    device: str,
    accept_seen: bool,
) -> ScoreTable:
    """Score every store on the splits that an evaluation needs."""
    from veridical.inference import load_scorer, score_store  # here: scores can be evaluated without torch
    from veridical.interventions import parse_interventions

    if not stores or manifest is None:
        raise UsageError("nothing to score: give a clip store with --on STORE")
    applied = parse_interventions(interventions)
    scorer = load_scorer(detector, device) if isinstance(detector, str | Path) else detector
    for store in stores:
        scorer.check(store)
    return ScoreTable.concat(
        score_store(
            scorer,
            store,
            manifest,
            splits=splits_to_score(store, manifest),
            interventions=applied,
            accept_seen=accept_seen,
        )
        for store in stores
    )


def splits_to_score(store: ClipStore, manifest: Manifest) -> tuple[str, ...]:
    """Return validation and test, since figures on training videos mean nothing; empty (all) for a corpus without splits."""
    videos = manifest.frame(["video_id", "split"])
    inside = videos["video_id"].isin(store.index()["video_id"])
    return ("val", "test") if videos.loc[inside, "split"].notna().any() else ()


def measure_clips(stores: Sequence[ClipStore], manifest: Manifest) -> pd.DataFrame:
    """Return the content properties of the first clips of the test videos."""
    facts = manifest.frame(["video_id", "dataset", "split"]).fillna({"split": ""})
    splits = choose_test_splits(zip(facts["dataset"], facts["split"], strict=True))
    tested = set(facts.loc[facts["split"] == facts["dataset"].map(splits), "video_id"])
    return pd.concat([content_facts(store, tested) for store in stores], ignore_index=True)


def _attachments(evaluation: Evaluation, stores: list[ClipStore], manifest: Manifest | None) -> Attachments:
    """Return statistics of each data set of the manifest, and thumbnails of the worst videos."""
    described: dict[str, Statistics] = {}
    for dataset in sorted(set(manifest.table["dataset"].to_pylist())) if manifest is not None else []:
        assert manifest is not None
        described[dataset] = _statistics(manifest.select(dataset=dataset), stores)
    return Attachments(described, thumbnails(evaluation.facts.failures, stores))


def _statistics(videos: Manifest, stores: list[ClipStore]) -> Statistics:
    ids = videos.table["video_id"].to_pylist()
    holding = [store for store in stores if store.index()["video_id"].isin(ids).any()]
    clips = pd.concat([store.index() for store in holding], ignore_index=True) if holding else None
    ledger = pd.concat([store.ledger() for store in holding], ignore_index=True) if holding else None
    frames = holding[0].settings.num_frames if holding else 5
    return statistics(videos, clips, ledger=ledger, frames_per_clip=frames)


def thumbnails(failures: Sequence[Failure], stores: Sequence[ClipStore]) -> dict[str, str]:
    """Return video_id → the middle frame of its worst clip as JPEG in base64, for the videos that a store holds."""
    images: dict[str, str] = {}
    for failure in failures:
        for store in stores:
            rows = store.rows_of(failure.video_id)
            if len(rows):
                clip = store.take([_worst_row(failure, store, rows)])[0]
                images[failure.video_id] = _jpeg(clip.frames[len(clip.frames) // 2])
                break
    return images


def _worst_row(failure: Failure, store: ClipStore, rows: npt.NDArray[np.int64]) -> int:
    """Return the row of the clip with the worst score; the first where whole videos are scored."""
    if not failure.timeline:
        return int(rows[0])
    sign = -1 if failure.label else 1
    start_s = max(failure.timeline, key=lambda point: sign * point[1])[0]
    starts = store.index().set_index("row").loc[rows, "start_s"].to_numpy()
    return int(rows[np.argmin(np.abs(starts - start_s))])


def _jpeg(frame: npt.NDArray[np.uint8]) -> str:
    small = cv2.resize(frame, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode("ascii")
