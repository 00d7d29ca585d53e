"""The plots of a report, from an evaluation to SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pandas as pd

from veridical.evaluation import CONDITION_NAMES, Evaluation, RocPoints
from veridical.reports.svg import Axis, Curve, Dot, bar_pair_plot, dot_plot, line_plot
from veridical.settings import flatten


@dataclass(frozen=True)
class Plot:
    """A plot with its title, legend and caption."""

    title: str
    svg: str
    legend: Sequence[tuple[str, str]] = ()
    """(tone, text)."""
    caption: str = ""


_PROBIT = NormalDist().inv_cdf
_DET_LOW, _DET_HIGH, _DET_NEAR_CHANCE = 0.005, 0.6, 0.4
_DET_TICKS, _DET_WIDE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_UNIT_TICKS = tuple((value / 5, f"{value / 5:g}") for value in range(6))
TONES = 6


def tone(number: int) -> str:
    """Return the CSS class of the n-th colour."""
    return f"tone{number % TONES}"


def missing_curves(evaluation: Evaluation) -> str:
    """Return which test sets have no ROC curve, and why; empty where all have one."""
    missing = []
    for dataset, split in evaluation.test_sets:
        row = evaluation.figure(dataset, split, "auc")
        if _primary_roc(evaluation, dataset, split) is None:
            where = f" for {dataset}" if dataset else ""
            missing.append(f"No curve{where}: {row['reason'] if row is not None else 'no figures'}.")
    return " ".join(missing)


def roc_plot(evaluation: Evaluation) -> str:
    """Return the ROC curves of the test sets, with 95 % bands."""
    curves = []
    for number, (dataset, split) in enumerate(evaluation.test_sets):
        points = _primary_roc(evaluation, dataset, split)
        if points is None:
            continue
        band = list(zip(points.band_fpr, points.band_low, points.band_high, strict=True))
        path = list(zip(points.fpr, points.tpr, strict=True))
        curves.append(Curve(path, tone(number), dataset, band=band))
    return line_plot(
        "ROC curves",
        Axis("False positive rate (reals called fake)", 0, 1, _UNIT_TICKS),
        Axis("True positive rate (fakes detected)", 0, 1, _UNIT_TICKS),
        curves,
        diagonal=True,
    )


def det_plot(evaluation: Evaluation) -> str:
    """Return detection error trade-off curves: miss rate over false positive rate, both on normal deviate axes.

    The axes end at 60 % or, where a curve comes near chance, at 99.5 %, with a line of chance.
    """
    rocs = [
        (number, name, _primary_roc(evaluation, name, split))
        for number, (name, split) in enumerate(evaluation.test_sets)
    ]
    paths = [(number, name, _trade_off(points)) for number, name, points in rocs if points is not None]
    wide = any(min(map(max, path)) > _DET_NEAR_CHANCE for _, _, path in paths)
    high, shares = (1 - _DET_LOW, _DET_WIDE_TICKS) if wide else (_DET_HIGH, _DET_TICKS)
    x, y = (
        Axis(label, _DET_LOW, high, [(value, f"{value:.0%}") for value in shares], scale=_PROBIT)
        for label in ("False positive rate", "Miss rate (fakes not detected)")
    )
    curves = [Curve(_inside(path, high), tone(number), dataset) for number, dataset, path in paths]
    curves.append(Curve([(_DET_LOW, _DET_LOW), (high, high)], "muted", "equal error rate", dashed=True))
    if wide:
        curves.append(Curve([(_DET_LOW, high), (high, _DET_LOW)], "muted", "chance", dashed=True))
    return line_plot("Detection error trade-off", x, y, curves)


def _trade_off(points: RocPoints) -> list[tuple[float, float]]:
    """Return (false positive rate, miss rate) along a ROC curve; what lies below the axes is moved onto them.

    A slope between two rates (equal scores) is not straight on normal deviate axes, so points are interpolated.
    """
    corners = list(zip(points.fpr, (1 - rate for rate in points.tpr), strict=True))
    path = corners[:1]
    for (x, y), (next_x, next_y) in pairwise(corners):
        steps = 16 if x != next_x and y != next_y else 1
        shares = [step / steps for step in range(1, steps + 1)]
        path += [(x + share * (next_x - x), y + share * (next_y - y)) for share in shares]
    return [(max(x, _DET_LOW), max(y, _DET_LOW)) for x, y in path]


def _inside(path: Sequence[tuple[float, float]], high: float) -> Sequence[tuple[float, float]]:
    """Return the part of a curve below `high`, with a point on either side, which the axes cut; all where none is below."""
    inside = [max(point) <= high for point in path]
    if not any(inside):
        return path
    first, last = inside.index(True), len(inside) - inside[::-1].index(True)
    return path[max(first - 1, 0) : last + 1]


def reliability_plot(evaluation: Evaluation, dataset: str, split: str) -> str:
    """Return the reliability diagram of a data set: raw and after temperature scaling."""
    curves = []
    for item in evaluation.curves.reliability:
        if (item.dataset, item.split) == (dataset, split):
            raw = item.calibration == "none"
            path = list(zip(item.mean_p_fake, item.fake_share, strict=True))
            label = "raw" if raw else f"after {item.calibration}"
            curves.append(Curve(path, "muted" if raw else "tone0", label, dots=True, dashed=raw))
    x, y = Axis("Mean probability of fake", 0, 1, _UNIT_TICKS), Axis("Share of fakes", 0, 1, _UNIT_TICKS)
    return line_plot(f"Reliability on {dataset}", x, y, curves, diagonal=True)


def histogram_plot(evaluation: Evaluation, dataset: str, split: str) -> str:
    """Return the score distributions of reals and fakes, each as a share of its class, with the selected thresholds."""
    for item in evaluation.curves.histogram:
        if (item.dataset, item.split) != (dataset, split):
            continue
        counts = {"real": item.real, "fake": item.fake}
        shares = {name: np.array(count) / max(sum(count), 1) for name, count in counts.items()}
        highest = max(float(share.max()) for share in shares.values()) * 1.12
        edges = item.edges
        x = Axis("Video logit (higher: more fake)", edges[0], edges[-1], nice_ticks(edges[0], edges[-1]))
        y = Axis("Share of the class", 0, highest, [(value, f"{value:.0%}") for value, _ in nice_ticks(0, highest, 4)])
        bars = [(name, f"{name}", shares[name].tolist()) for name in ("real", "fake")]
        return bar_pair_plot(f"Scores on {dataset}", x, y, edges, bars, _threshold_marks(evaluation))
    return ""


def _threshold_marks(evaluation: Evaluation) -> list[tuple[float, str]]:
    names = {"val_eer": "val EER", "val_tpr": "val 95 % TPR"}
    return [
        (point.logit, names[point.name])
        for point in evaluation.facts.operating_points
        if point.level == "video" and point.name in names
    ]


def breakdown_plot(evaluation: Evaluation, prefix: str) -> str:
    """Return AUC by the values of a slice (`generator`, `compression`, an attribute), data set by data set."""
    rows: list[Dot] = []
    for number, (dataset, split) in enumerate(evaluation.test_sets):
        table = evaluation.sliced(dataset, split, "auc")
        table = table[table["slice"].str.startswith(f"{prefix}=")]
        if table.empty:
            continue
        rows.append(Dot(dataset, None, None, None, heading=True))
        whole = evaluation.figure(dataset, split, "auc")
        if whole is not None:
            rows.append(_dot("all videos", whole, "muted"))
        few = table["value"].isna() & table["reason"].str.startswith("too few to say")
        rows += [_dot(row["slice"].partition("=")[2], row, tone(number)) for _, row in table[~few].iterrows()]
        rows += [_dot(row["slice"].partition("=")[2], row, tone(number)) for _, row in table[few].iterrows()]
    return dot_plot(f"AUC by {prefix}", rows, _auc_axis(rows), reference=0.5) if rows else ""


def modality_plot(evaluation: Evaluation) -> str:
    """Return AUC under each modality condition, data set by data set."""
    rows: list[Dot] = []
    for number, (dataset, split) in enumerate(evaluation.test_sets):
        rows.append(Dot(dataset, None, None, None, heading=True))
        for condition in dict.fromkeys([evaluation.facts.primary_condition, *CONDITION_NAMES]):
            row = evaluation.figure(dataset, split, "auc", condition=condition)
            if row is not None and (condition in evaluation.facts.conditions or not condition.endswith("_head")):
                rows.append(_dot(CONDITION_NAMES.get(condition, condition), row, tone(number)))
    return dot_plot("AUC by modality", rows, _auc_axis(rows), reference=0.5)


TRAINING_PLOTS: dict[str, tuple[str, ...]] = {
    "Loss": ("train_loss", "val_loss"),
    "Loss terms": ("train_segment", "train_video", "train_temporal"),
    "Validation AUC": ("val_auc",),
    "Validation AUC by generator": ("val_auc_per_generator.",),
    "Spread of frame embeddings": ("train_spread",),
}
"""Title → columns of metrics.jsonl; a name that ends in a point stands for all columns beneath it."""


def training_plots(rows: Sequence[Mapping[str, object]]) -> list[Plot]:
    """Return training curves over the epochs of all stages; a line breaks where a stage begins."""
    frame = pd.DataFrame([flatten(row) for row in rows])
    if frame.empty:
        return []
    frame.insert(0, "position", np.arange(1, len(frame) + 1, dtype=float))
    if "stage" not in frame:
        frame["stage"] = ""
    drawn = []
    for title, wanted in TRAINING_PLOTS.items():
        names = [name for name in frame.columns if any(_is_meant(name, item) for item in wanted)]
        names = [name for name in names if pd.to_numeric(frame[name], errors="coerce").notna().any()][:TONES]
        if names:
            drawn.append(_training_plot(title, frame, names))
    return drawn


def _is_meant(name: str, wanted: str) -> bool:
    return name.startswith(wanted) if wanted.endswith(".") else name == wanted


def _training_plot(title: str, frame: pd.DataFrame, names: Sequence[str]) -> Plot:
    values = frame[list(names)].apply(pd.to_numeric, errors="coerce")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    reach = max((high - low) * 0.08, 1e-3)
    curves, marks = [], []
    for stage, part in frame.groupby("stage", sort=False):
        marks.append((float(part["position"].iloc[0]) - 0.5, str(stage)))
        for number, name in enumerate(names):
            known = values[name].loc[part.index].dropna()
            path = [(float(frame["position"].loc[index]), float(value)) for index, value in known.items()]
            curves.append(Curve(path, tone(number), name.rpartition(".")[2], dots=True))
    x = Axis("Epoch, all stages", 0.5, len(frame) + 0.5, _epoch_ticks(frame))
    y = Axis(title, low - reach, high + reach, nice_ticks(low - reach, high + reach))
    legend = tuple((tone(number), name.rpartition(".")[2].replace("_", " ")) for number, name in enumerate(names))
    return Plot(title, line_plot(title, x, y, curves, marks=marks), legend)


def _epoch_ticks(frame: pd.DataFrame) -> list[tuple[float, str]]:
    step = max(1, len(frame) // 10)
    return [(float(position), str(position)) for position in range(1, len(frame) + 1, step)]


def nice_ticks(low: float, high: float, count: int = 5) -> list[tuple[float, str]]:
    """Return about `count` round values between low and high."""
    span = max(high - low, 1e-9)
    power = 10.0 ** np.floor(np.log10(span / count))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if span / (factor * power) <= count)
    first = np.ceil(low / step) * step
    return [
        (float(value), f"{value:.6g}".replace("-", "−"))
        for value in np.arange(first, high + step * 1e-6, step).round(10) + 0.0  # no −0
    ]


def _primary_roc(evaluation: Evaluation, dataset: str, split: str) -> RocPoints | None:
    for item in evaluation.curves.roc:
        if (item.dataset, item.split, item.condition) == (dataset, split, evaluation.facts.primary_condition):
            return item
    return None


def _dot(label: str, row: pd.Series, tone_name: str) -> Dot:
    value, low, high = (float(row[name]) if pd.notna(row[name]) else None for name in ("value", "low", "high"))
    reason, needed, _ = str(row["reason"]).partition("; at least")
    return Dot(label, value, low, high, tone_name, note=f"{reason})" if needed else reason)


def _auc_axis(rows: Sequence[Dot]) -> Axis:
    known = [value for row in rows for value in (row.value, row.low) if value is not None]
    low = min([0.5, *known])
    low = max(0.0, np.floor(low * 10) / 10)
    return Axis("AUC, with 95 % interval", float(low), 1.0, nice_ticks(float(low), 1.0))
