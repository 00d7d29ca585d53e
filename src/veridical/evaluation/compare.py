"""Two evaluations side by side: which figures differ, whether that is more than chance, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from veridical.errors import NotEvaluableError, UsageError
from veridical.evaluation.evaluation import Evaluation
from veridical.evaluation.settings import FEWEST_REPLICATES
from veridical.metrics import delong_test, holm, paired_group_bootstrap, roc_auc


@dataclass(frozen=True)
class ComparedSet:
    """The AUC of both detectors on the videos of one data set and split that both have scored."""

    dataset: str
    split: str
    shared: int
    """Videos that both have scored, with a label."""
    only_first: int
    only_second: int
    auc_first: float
    auc_second: float
    difference: float
    """Second minus first."""
    low: float
    high: float
    """95 % interval, paired bootstrap over leak groups."""
    p_bootstrap: float
    p_holm: float
    """p_bootstrap, corrected for the number of data sets compared (Holm)."""
    p_delong: float
    """DeLong's test; takes videos as independent."""
    reason: str = ""
    """Why it cannot be compared."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found."""

    sets: tuple[ComparedSet, ...]
    differences: tuple[tuple[str, str, str], ...]
    """(what, first, second) of settings, data and versions that differ."""
    figures: pd.DataFrame
    """Figures that both have: the columns of metrics.csv that identify one, with `first`, `second` and `difference`."""


def compare(first: Evaluation, second: Evaluation, *, replicates: int = 1000, seed: int = 0) -> Comparison:
    """Compare two evaluations on the videos that both have scored.

    Raises:
        UsageError: when they share no scored video.
    """
    if replicates < FEWEST_REPLICATES:
        raise UsageError(f"expected at least {FEWEST_REPLICATES} replicates, got {replicates}")
    shared = set(first.videos["video_id"]) & set(second.videos["video_id"])
    if not shared:
        raise UsageError("the two evaluations share no scored video; they cannot be compared")
    sides = [side.videos[side.videos["split"].isin(["test", ""])] for side in (first, second)]
    if all(side.empty for side in sides):
        raise UsageError("neither evaluation has scores of a test split; there is nothing to compare")
    keys = sorted({key for side in sides for key in zip(side["dataset"], side["split"], strict=True)})
    found = [_compare_set(*key, sides[0], sides[1], replicates, seed) for key in keys]
    judged = [number for number, item in enumerate(found) if not item.reason]
    for number, p_value in zip(judged, holm([found[number].p_bootstrap for number in judged]), strict=True):
        found[number] = ComparedSet(**{**vars(found[number]), "p_holm": float(p_value)})
    return Comparison(tuple(found), tuple(_differences(first, second)), _figures(first, second))


def _compare_set(
    dataset: str, split: str, first: pd.DataFrame, second: pd.DataFrame, replicates: int, seed: int
) -> ComparedSet:
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
        paired = paired_group_bootstrap(labels, ours, theirs, groups, replicates=replicates, seed=seed)
        delong = delong_test(labels, ours, theirs)
    except NotEvaluableError as error:
        return ComparedSet(dataset, split, *counts, *nothing, reason=str(error))
    areas = [roc_auc(labels, values) for values in (ours, theirs)]
    return ComparedSet(
        dataset, split, *counts, areas[0], areas[1], paired.value, paired.interval.low, paired.interval.high,
        paired.p_value, paired.p_value, delong.p_value,
    )  # fmt: skip


def _differences(first: Evaluation, second: Evaluation) -> list[tuple[str, str, str]]:
    found = []
    for part in ("settings", "fingerprints", "versions", "reference", "temperatures"):
        left, right = (_flat(side.facts[part], f"{part}.") for side in (first, second))
        for name in dict.fromkeys([*left, *right]):
            if left.get(name) != right.get(name):
                found.append((name, _text(left.get(name, "–")), _text(right.get(name, "–"))))
    return found


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _figures(first: Evaluation, second: Evaluation) -> pd.DataFrame:
    keys = [
        "dataset",
        "split",
        "level",
        "aggregation",
        "condition",
        "slice",
        "calibration",
        "operating_point",
        "metric",
    ]
    left, right = (side.metrics[[*keys, "value"]] for side in (first, second))
    both = left.merge(right, on=keys, suffixes=("_first", "_second"))
    both = both.rename(columns={"value_first": "first", "value_second": "second"})
    return both.assign(difference=both["second"] - both["first"])
