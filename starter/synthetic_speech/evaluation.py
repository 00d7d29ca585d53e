"""Figures of leave-one-system-out: AUC by system and family, intervals over systems, equal error rate, false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthetic_speech.folds import Fold, corpora_of
from synthetic_speech.material import Utterance

Array = npt.NDArray[np.float64]


def auc(fake: Array, genuine: Array) -> float:
    """Share of (fake, genuine) pairs in the right order, ties half."""
    order = np.searchsorted(np.sort(genuine), fake, "left") + np.searchsorted(np.sort(genuine), fake, "right")
    return float(order.mean() / 2 / len(genuine))


def equal_error_rate(fake: Array, genuine: Array) -> float:
    """Rate at which as many fakes pass as genuine utterances are called fake."""
    cuts = np.sort(np.concatenate([fake, genuine]))
    missed, alarms = (
        np.searchsorted(np.sort(fake), cuts) / len(fake),
        1 - np.searchsorted(np.sort(genuine), cuts) / len(genuine),
    )
    best = np.argmin(np.abs(missed - alarms))
    return float((missed[best] + alarms[best]) / 2)


@dataclass(frozen=True)
class SystemFigure:
    """What a fold says about one held-out system."""

    system: str
    family: str
    auc: float
    num_fake: int
    num_genuine: int
    eer: float


def system_figures(
    utterances: list[Utterance], fold: Fold, scores: Array, variants: Iterable[int] = (0,)
) -> list[SystemFigure]:
    """Compare each system's fakes with the fold's genuine speech of the same corpora; `scores` follow `fold.test`."""
    wanted = set(variants)
    rows = [(utterances[i], s) for i, s in zip(fold.test, scores, strict=True) if utterances[i].variant in wanted]
    genuine = [(u, s) for u, s in rows if not u.is_fake and u.use == "train" and u.corpus not in ("GRID", "web")]
    figures = []
    for system in fold.systems:
        fakes = [(u, s) for u, s in rows if u.system == system]
        corpora = set().union(*(corpora_of(u.corpus) for u, _ in fakes))
        f, g = np.array([s for _, s in fakes]), np.array([s for u, s in genuine if corpora_of(u.corpus) & corpora])
        figures.append(SystemFigure(system, fakes[0][0].family, auc(f, g), len(f), len(g), equal_error_rate(f, g)))
    return figures


def interval(values: Array, statistic: Callable[[Array], float] = np.mean, seed: int = 0) -> tuple[float, float]:  # type: ignore[assignment]
    """95 % interval by resampling systems."""
    stream = np.random.default_rng(seed)
    drawn = [statistic(values[stream.integers(len(values), size=len(values))]) for _ in range(2000)]
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def summary(figures: list[SystemFigure]) -> str:
    """One line: mean over systems with its interval, then by family."""
    values = np.array([f.auc for f in figures])
    low, high = interval(values)
    families = sorted({f.family for f in figures})
    by = " ".join(f"{name}={np.mean([f.auc for f in figures if f.family == name]):.3f}" for name in families)
    return f"mean={values.mean():.3f} [{low:.3f}, {high:.3f}] {by}"
