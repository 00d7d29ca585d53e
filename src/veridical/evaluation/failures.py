"""The worst videos: those whose probability was furthest on the wrong side, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from veridical.evaluation.evidence import Evidence
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import Cell, video_sample

MAX_TIMELINE = 240


@dataclass(frozen=True)
class Failure:
    """One badly judged video."""

    dataset: str
    split: str
    video_id: str
    label: int
    generator: str
    compression: str
    attributes: dict[str, str]
    logit: float
    p_fake: float
    """After temperature scaling where there is one."""
    num_clips: int
    timeline: list[tuple[float, float]]
    """(start_s, p_fake) of its clips, at most 240; empty for a detector that scores whole videos."""


@dataclass(frozen=True)
class Common:
    """A fact that is more frequent among the worst videos than among all of the same label."""

    dataset: str
    fact: str
    """`generator=FaceSwap`."""
    among_worst: int
    num_worst: int
    share_of_all: float
    """Of all videos of that label."""
    p_value: float
    """One-sided, hypergeometric, for as many or more by chance; not corrected for the number of facts looked at."""


def failures(
    evidence: Evidence, cell: Cell, selection: Selection, settings: EvaluationSettings
) -> tuple[list[Failure], list[Common]]:
    """Return the worst videos of a cell, worst first, and what they have in common."""
    primary = evidence.primary
    logits = evidence.video_logits(primary, settings.aggregation, settings.top_k)
    sample = video_sample(evidence, cell, settings, condition=primary, logits=logits)
    temperature = selection.temperatures.get(primary)
    scale = temperature.temperature if temperature is not None else 1.0
    wrongness = np.where(sample.labels == 1, -sample.logits, sample.logits)
    order = np.argsort(-wrongness, kind="stable")[: settings.worst_videos]
    order = order[wrongness[order] > -np.inf]
    worst = cell.videos[np.asarray(sample.rows)[order]]
    facts = evidence.videos
    found = [_failure(evidence, cell, int(video), float(logits[video]), scale) for video in worst]
    judged = facts.iloc[cell.videos[np.asarray(sample.rows)]]
    return found, _in_common(cell.dataset, facts.iloc[worst], judged)


def _failure(evidence: Evidence, cell: Cell, video: int, logit: float, scale: float) -> Failure:
    row = evidence.videos.iloc[video]
    clips = evidence.clips[evidence.primary]
    mine = np.flatnonzero(clips.video == video)
    timed = mine[np.isfinite(clips.start_s[mine])]
    timed = timed[np.argsort(clips.start_s[timed], kind="stable")][:MAX_TIMELINE]
    p_fake = 1 / (1 + np.exp(-np.clip(clips.logit[timed] / scale, -500, 500)))
    return Failure(
        dataset=cell.dataset,
        split=cell.split,
        video_id=str(row["video_id"]),
        label=int(row["label"]),
        generator=str(row["generator"]),
        compression=str(row["compression"]),
        attributes=dict(row["attributes"]),
        logit=logit,
        p_fake=float(1 / (1 + np.exp(-np.clip(logit / scale, -500, 500)))),
        num_clips=len(mine),
        timeline=[(float(start), float(p)) for start, p in zip(clips.start_s[timed], p_fake, strict=True)],
    )


def _facts_of(row: pd.Series) -> set[tuple[str, str]]:
    found = {(name, str(row[name])) for name in ("generator", "compression") if row[name]}
    found |= {(name, str(value)) for name, value in row["attributes"].items()}
    if row["speech_share"] < 0.5:
        found.add(("speech_share", "<.5"))
    return found


def _having(videos: pd.DataFrame, name: str, value: str) -> int:
    """Return how many of the videos have a fact."""
    if name in ("generator", "compression"):
        return int((videos[name] == value).sum())
    if name == "speech_share":
        return int((videos[name] < 0.5).sum())
    return sum(attributes.get(name) == value for attributes in videos["attributes"])


def _in_common(dataset: str, worst: pd.DataFrame, judged: pd.DataFrame) -> list[Common]:
    """Compare the worst fakes with all fakes and the worst reals with all reals; keep what chance gives in < 1 %."""
    found = []
    for label in (1.0, 0.0):
        everyone, worst_ones = (videos[videos["label"] == label] for videos in (judged, worst))
        facts: set[tuple[str, str]] = set().union(*(_facts_of(row) for _, row in worst_ones.iterrows()))
        for name, value in sorted(facts):
            many, few = _having(everyone, name, value), _having(worst_ones, name, value)
            p_value = float(scipy.stats.hypergeom.sf(few - 1, len(everyone), many, len(worst_ones)))
            if p_value < 0.01:
                shared = Common(dataset, f"{name}={value}", few, len(worst_ones), many / len(everyone), p_value)
                found.append(shared)
    return sorted(found, key=lambda common: common.p_value)
