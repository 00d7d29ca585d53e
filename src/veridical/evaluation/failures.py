"""The worst videos, those with the highest score on the wrong side, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from veridical.evaluation.evidence import Evidence
from veridical.evaluation.selection import Selection
from veridical.evaluation.settings import EvaluationSettings
from veridical.evaluation.slices import BANDS, BOOKKEEPING, Cell, banded, video_sample
from veridical.metrics import Calibration

MAX_TIMELINE = 240


@dataclass(frozen=True)
class Failure:
    """A badly scored video."""

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
    timeline: tuple[tuple[float, float], ...]
    """(start_s, p_fake) of its clips, at most 240; empty for a detector that scores whole videos."""


@dataclass(frozen=True)
class Common:
    """A fact that is more frequent among the worst videos than among all of the same label."""

    dataset: str
    label: int
    fact: str
    """`generator=FaceSwap`."""
    among_worst: int
    num_worst: int
    share_of_all: float
    """Share of it among all videos of that label."""
    p_value: float
    """One-sided, hypergeometric, for as many or more by chance; not corrected for the number of facts looked at."""


def failures(
    evidence: Evidence, cell: Cell, selection: Selection, settings: EvaluationSettings
) -> tuple[list[Failure], list[Common]]:
    """Return the worst videos of a cell, worst first, and what they have in common."""
    primary = evidence.primary
    logits = evidence.video_logits(primary, settings.video_rule)
    sample = video_sample(evidence, cell, settings, condition=primary, logits=logits)
    calibration = selection.calibration(primary) or Calibration(temperature=1.0)
    wrongness = np.where(sample.labels == 1, -sample.logits, sample.logits)
    order = np.argsort(-wrongness, kind="stable")[: settings.worst_videos]
    order = order[wrongness[order] > -np.inf]
    videos = cell.videos[np.asarray(sample.rows)]
    failed = [_failure(evidence, cell, int(video), float(logits[video]), calibration) for video in videos[order]]
    worst = np.isin(np.arange(len(videos)), order)
    return failed, _in_common(cell.dataset, worst, evidence.videos.iloc[videos])


def _failure(evidence: Evidence, cell: Cell, video: int, logit: float, calibration: Calibration) -> Failure:
    row = evidence.videos.iloc[video]
    clips = evidence.clips[evidence.primary]
    mine = np.flatnonzero(clips.video == video)
    timed = mine[np.isfinite(clips.start_s[mine])]
    timed = timed[np.argsort(clips.start_s[timed], kind="stable")][:MAX_TIMELINE]
    p_fake = calibration.p_fake(clips.logit[timed])
    return Failure(
        dataset=cell.dataset,
        split=cell.split,
        video_id=str(row["video_id"]),
        label=int(row["label"]),
        generator=str(row["generator"]),
        compression=str(row["compression"]),
        attributes={name: value for name, value in row["attributes"].items() if name not in BOOKKEEPING},
        logit=logit,
        p_fake=float(calibration.p_fake(logit)),
        num_clips=len(mine),
        timeline=tuple((float(start), float(p)) for start, p in zip(clips.start_s[timed], p_fake, strict=True)),
    )


def _facts(videos: pd.DataFrame) -> pd.DataFrame:
    """Return a column of text for each fact of the videos, '' where it is unknown."""
    names = sorted({name for attributes in videos["attributes"] for name in attributes})
    columns = {name: [attributes.get(name, "") for attributes in videos["attributes"]] for name in names}
    columns |= {name: list(videos[name]) for name in ("generator", "compression")}
    columns |= {name: list(banded(name, videos[name].to_numpy(dtype=float))) for name in BANDS}
    return pd.DataFrame(columns, index=videos.index)


def _in_common(dataset: str, worst: NDArray[np.bool_], scored: pd.DataFrame) -> list[Common]:
    """Compare the worst fakes with all fakes and the worst reals with all reals; keep what has p < .01."""
    common = []
    facts = _facts(scored)
    for label in (1.0, 0.0):
        same = (scored["label"] == label).to_numpy()
        for name in facts:
            for value in sorted(set(facts[name][same & worst]) - {""}):
                having = (facts[name] == value).to_numpy() & same
                few, drawn, everyone = int((having & worst).sum()), int((same & worst).sum()), int(same.sum())
                p_value = float(scipy.stats.hypergeom.sf(few - 1, everyone, having.sum(), drawn))
                if p_value < 0.01:
                    share = float(having.sum() / everyone)
                    common.append(Common(dataset, int(label), f"{name}={value}", few, drawn, share, p_value))
    return sorted(common, key=lambda item: item.p_value)
