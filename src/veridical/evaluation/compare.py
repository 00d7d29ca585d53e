"""Comparison of two evaluations: which figures differ, whether by more than chance, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from veridical.errors import NotEvaluableError, UsageError
from veridical.evaluation.result import Evaluation
from veridical.evaluation.slices import choose_test_splits
from veridical.evaluation.tables import KEY_COLUMNS
from veridical.metrics import clustered_test, delong_test, holm, roc_auc
from veridical.settings import differences


@dataclass(frozen=True)
class ComparedSet:
    """The AUC of both detectors on the videos of one data set and split that both have scored."""

    dataset: str
    split: str
    shared: int
    """Labelled videos that both have scored."""
    only_first: int
    only_second: int
    auc_first: float
    auc_second: float
    difference: float
    """Second minus first."""
    low: float
    high: float
    """95 % interval over leak groups (Obuchowski, 1997)."""
    p_value: float
    p_holm: float
    """p_value, corrected for the number of data sets compared (Holm)."""
    p_delong: float
    """DeLong's test, which takes videos as independent."""
    reason: str = ""
    """Why it is not evaluable."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations side by side."""

    sets: tuple[ComparedSet, ...]
    differences: tuple[tuple[str, str, str], ...]
    """(what, first, second) of settings, data and versions that differ."""
    figures: pd.DataFrame
    """Figures that both have: the columns of metrics.csv that identify one, with `first`, `second` and `difference`."""


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations on the videos that both have scored.

    Raises:
        UsageError: when they share no scored video.
    """
    shared = set(first.videos["video_id"]) & set(second.videos["video_id"])
    if not shared:
        raise UsageError("the two evaluations share no scored video; they cannot be compared")
    sides = [_test_videos(side.videos) for side in (first, second)]
    if all(side.empty for side in sides):
        raise UsageError("neither evaluation has scores of a test split; there is nothing to compare")
    keys = sorted({key for side in sides for key in zip(side["dataset"], side["split"], strict=True)})
    sets = [_compare_set(*key, sides[0], sides[1]) for key in keys]
    compared = [number for number, item in enumerate(sets) if not item.reason]
    for number, p_value in zip(compared, holm([sets[number].p_value for number in compared]), strict=True):
        sets[number] = replace(sets[number], p_holm=float(p_value))
    return Comparison(tuple(sets), tuple(_differences(first, second)), _figures(first, second))


def _test_videos(videos: pd.DataFrame) -> pd.DataFrame:
    tested = choose_test_splits(zip(videos["dataset"], videos["split"], strict=True))
    return videos[videos["split"] == videos["dataset"].map(tested)]


def _compare_set(dataset: str, split: str, first: pd.DataFrame, second: pd.DataFrame) -> ComparedSet:
    mine = [side[(side["dataset"] == dataset) & (side["split"] == split)] for side in (first, second)]
    both = mine[0].merge(mine[1][["video_id", "logit", "label"]], on="video_id", suffixes=("", "_second"))
    both = both[both["label"].notna()]
    counts = (len(both), len(mine[0]) - len(both), len(mine[1]) - len(both))
    nothing = (np.nan,) * 8
    if (both["label"] != both["label_second"]).any():
        return ComparedSet(dataset, split, *counts, *nothing, reason="the labels of the two evaluations differ")
    labels = both["label"].to_numpy(dtype=int)
    ours, theirs = (both[name].to_numpy(dtype=float) for name in ("logit", "logit_second"))
    groups = np.where(both["group"] == "", both["video_id"], both["group"]).astype(str)
    try:
        paired = clustered_test(labels, ours, theirs, groups)
        delong = delong_test(labels, ours, theirs)
    except NotEvaluableError as error:
        return ComparedSet(dataset, split, *counts, *nothing, reason=str(error))
    areas = [roc_auc(labels, values) for values in (ours, theirs)]
    return ComparedSet(
        dataset, split, *counts, areas[0], areas[1], paired.value, paired.interval.low, paired.interval.high,
        paired.p_value, paired.p_value, delong.p_value,
    )  # fmt: skip


def _differences(first: Evaluation, second: Evaluation) -> list[tuple[str, str, str]]:
    apart = differences(_made_from(first), _made_from(second))
    return [(name, _text(left), _text(right)) for name, (left, right) in apart.items()]


def _made_from(evaluation: Evaluation) -> Mapping[str, object]:
    facts = evaluation.facts
    return {
        "settings": facts.settings.model_dump(mode="json"),
        "fingerprints": asdict(facts.fingerprints),
        "versions": facts.versions,
        "reference": asdict(facts.reference),
        "temperatures": {name: asdict(item) for name, item in facts.temperatures.items()},
    }


def _text(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(first: Evaluation, second: Evaluation) -> pd.DataFrame:
    keys = list(KEY_COLUMNS)
    left, right = (side.metrics[[*keys, "value"]] for side in (first, second))
    both = left.merge(right, on=keys, suffixes=("_first", "_second"))
    both = both.rename(columns={"value_first": "first", "value_second": "second"})
    return both.assign(difference=both["second"] - both["first"])
