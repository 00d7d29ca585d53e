"""How often the 95 % intervals of an evaluation hold the truth, on simulated detectors with known truth.

    python -m benchmarks.coverage [--runs 60] [--layouts 1:1 1:8 ties] [--quick]

People 3 to 200, areas .6 to 1, two to five videos of each class per person (or one real and eight fakes), an effect of the
person in both classes, ties. A line per figure, layout and number of people: coverage over all areas and in the worst of them,
mean width, how often the figure is withheld, has an interval of no width, or lies outside it. Aim: 93 to 97 %, never under 90.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace

import numpy as np
from benchmarks.simulated import (
    ICC,
    Simulated,
    noise,
    p_fake,
    people,
    second_detector,
    simulated,
    true_calibration,
    true_curves,
    true_decisions,
)

from veridical.evaluation.combined import difference, precision_in_use, spread
from veridical.evaluation.figures import (
    RANK_METRICS,
    Figure,
    Sample,
    calibration_figures,
    decision_figures,
    rank_figures,
)
from veridical.evaluation.localisation import _figures as localisation_figures
from veridical.metrics import Segments, draw_groups, ranked_hits, segment_average_precision

AREAS = (0.6, 0.8, 0.95, 0.98, 1.0)
PEOPLE = (3, 6, 10, 20, 60, 200)
SHARPNESS = {"calibrated": 1.0, "overconfident": 2.0}
PREVALENCE = 0.01
LINE = "{figure:26s} {layout:10s} {people:6d} {coverage:8.1f}% {worst:6.1f}% {width:7.3f} {withheld:8.0f}% {zero:5d} {outside:8d}"
WORSE = 0.1
"""How much lower the area of one group is in the planted spread."""


@dataclass
class Tally:
    """What became of a figure's intervals."""

    covered: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    withheld: int = 0
    zero: int = 0
    outside: int = 0

    def add(self, figure: Figure, truth: float) -> None:
        """Count one figure."""
        if not np.isfinite(figure.value) or not np.isfinite(figure.low):
            self.withheld += 1
            return
        self.covered.append(bool(figure.low - 1e-9 <= truth <= figure.high + 1e-9))
        self.widths.append(figure.high - figure.low)
        self.zero += figure.high - figure.low < 1e-9
        self.outside += not figure.low - 1e-9 <= figure.value <= figure.high + 1e-9


def sample_of(videos: Simulated, replicates: int, seed: int) -> Sample:
    """Return the sample that an evaluation would make of these videos."""
    bootstrap = draw_groups(videos.person, replicates=replicates, seed=seed)
    return Sample(videos.labels, videos.scores, np.arange(len(videos.labels)), bootstrap)


@cache
def truths(area: float, layout: str) -> dict[str, float]:
    """Return every figure of the population."""
    curves, decisions = true_curves(area, layout), true_decisions(area, layout)
    found = {name: float(metric(curves)[0]) for name, metric in RANK_METRICS.items()} | decisions
    rates = PREVALENCE * decisions["recall"], (1 - PREVALENCE) * decisions["fpr"]
    found["precision at 1 %"] = rates[0] / sum(rates)
    for name, sharpness in SHARPNESS.items():
        found |= {f"{metric}, {name}": value for metric, value in true_calibration(area, layout, sharpness).items()}
    return found


def one_run(number: int, area: float, layout: str, replicates: int, seed: int) -> Iterator[tuple[str, Figure, float]]:
    """Yield the name, the figure and the truth of everything that one simulated test set gives."""
    rng, true = np.random.default_rng([seed, number, round(1000 * area), len(layout)]), truths(area, layout)
    videos = simulated(number, area, layout, rng)
    if len(set(videos.labels)) < 2:
        return
    sample = sample_of(videos, replicates, seed)
    found = {**rank_figures(sample), **decision_figures(sample, 0.0)}
    found["precision at 1 %"] = precision_in_use(found["recall"], found["fpr"], PREVALENCE)
    for name, sharpness in SHARPNESS.items():
        calibrated = calibration_figures(sample, p_fake(videos.scores, area, layout, sharpness))
        found |= {f"{metric}, {name}": calibrated[metric] for metric in ("ece", "brier")}
    yield from ((name, figure, true[name]) for name, figure in found.items())
    if layout != "ties":
        yield from gaps(videos, sample, found["auc"], area, layout, replicates, rng)
    if layout == "1:1":
        yield from spreads(number, area, replicates, seed, rng)
        yield "localisation AP", localised(number, sample.bootstrap, rng), true_localisation()


def gaps(
    videos: Simulated,
    sample: Sample,
    first: Figure,
    area: float,
    layout: str,
    replicates: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Figure, float]]:
    """Yield the difference from another corpus and that from a weaker detector on the same videos."""
    elsewhere = simulated(int(videos.person.max()) + 1, 0.8, layout, rng)
    if len(set(elsewhere.labels)) == 2:
        other = rank_figures(sample_of(elsewhere, replicates, 7), ("auc",))["auc"]
        yield "gap to another corpus", difference(first, other, paired=False), area - 0.8
    weaker = 0.5 + 0.8 * (area - 0.5)
    second = Sample(videos.labels, second_detector(videos, area, weaker, rng), sample.rows, sample.bootstrap)
    gap = difference(first, rank_figures(second, ("auc",))["auc"])
    yield "gap of a modality", gap, area - weaker


def spreads(
    number: int, area: float, replicates: int, seed: int, rng: np.random.Generator
) -> Iterator[tuple[str, Figure, float]]:
    """Yield the spread over groups of so many people each: none, of four; and one planted, of two."""
    for name, areas in (("spread of 4, none", (area,) * 4), ("spread of 2, .10", (area, area - WORSE))):
        if max(areas) >= 1 and min(areas) < 1:
            continue
        parts = [simulated(number, value, "1:1", rng) for value in areas]
        person = np.concatenate([part.person + place * number for place, part in enumerate(parts)])
        bootstrap = draw_groups(person, replicates=replicates, seed=seed)
        starts = np.cumsum([0, *(len(part.labels) for part in parts)])
        figures = [
            rank_figures(Sample(part.labels, part.scores, start + np.arange(len(part.labels)), bootstrap), ("auc",))[
                "auc"
            ]
            for part, start in zip(parts, starts, strict=False)
        ]
        yield name, spread(figures), max(areas) - min(areas)


def partial_fakes(
    person: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, Segments], dict[str, np.ndarray]]:
    """Return proposals and truths: a forged second in every fake, found more often and more surely in some people."""
    effect = noise(person, labels, rng, ICC)
    right = (effect + rng.normal(size=len(labels)) > -0.8) & (labels == 1)
    proposals, forged = {}, {}
    for video, label in enumerate(labels):
        bounds = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
        scores = rng.normal(size=3)
        scores[0] += 1.5 * right[video]
        proposals[str(video)] = Segments(bounds, scores)
        forged[str(video)] = np.array([[0.0, 1.0] if right[video] else [6.0, 7.0]]) if label else np.empty((0, 2))
    return proposals, forged


def localised(number: int, bootstrap: object, rng: np.random.Generator) -> Figure:
    """Return the average precision at an overlap of one half of simulated partial fakes."""
    person, labels = people(number, "1:1", rng)
    cell = SimpleNamespace(bootstrap=draw_groups(person, replicates=bootstrap.replicates))
    settings = SimpleNamespace(confidence=0.95)
    proposals, forged = partial_fakes(person, labels, rng)
    return localisation_figures(proposals, forged, labels, np.arange(len(labels)), cell, settings)["ap_at_iou_0.5"]


@cache
def true_localisation() -> float:
    """Return the average precision of very many people."""
    rng = np.random.default_rng(99)
    proposals, forged = partial_fakes(*people(6000, "1:1", rng), rng)
    correct, _ = ranked_hits(proposals, forged, 0.5)
    total = np.array([float(sum(map(len, forged.values())))])
    return float(segment_average_precision(correct, np.ones((len(correct), 1)), total)[0])


def measure(runs: int, sizes: tuple[int, ...], layouts: tuple[str, ...], replicates: int) -> list[dict[str, object]]:
    """Return a row per figure, layout and number of people, printed as they come."""
    rows: list[dict[str, object]] = []
    print(f"{'figure':26s} {'layout':10s} people  coverage   worst   width  withheld  zero  outside")
    for layout in layouts:
        for number in sizes:
            tallies: dict[str, dict[float, Tally]] = defaultdict(lambda: defaultdict(Tally))
            for area in AREAS:
                for run in range(runs if number < 200 else max(runs // 2, 1)):
                    for name, figure, truth in one_run(number, area, layout, replicates, run):
                        tallies[name][area].add(figure, truth)
            block = [_row(name, layout, number, by_area) for name, by_area in sorted(tallies.items())]
            for row in block:
                print(LINE.format(**row), flush=True)
            rows += block
    return rows


def _row(name: str, layout: str, number: int, by_area: dict[float, Tally]) -> dict[str, object]:
    covered = [tally.covered for tally in by_area.values() if len(tally.covered) >= 10]
    pooled = [value for values in covered for value in values]
    total = sum(len(tally.covered) + tally.withheld for tally in by_area.values())
    return {
        "figure": name,
        "layout": layout,
        "people": number,
        "coverage": 100 * float(np.mean(pooled)) if pooled else float("nan"),
        "worst": 100 * min((float(np.mean(values)) for values in covered), default=float("nan")),
        "width": float(np.mean([width for tally in by_area.values() for width in tally.widths] or [np.nan])),
        "withheld": 100 * sum(tally.withheld for tally in by_area.values()) / total,
        "zero": sum(tally.zero for tally in by_area.values()),
        "outside": sum(tally.outside for tally in by_area.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=60, help="simulated test sets per area and number of people")
    parser.add_argument("--layouts", nargs="+", default=["1:1", "1:8", "ties"])
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="12 runs of 6 and 20 people, layout 1:1")
    arguments = parser.parse_args()
    runs, sizes, layouts = (
        (12, (6, 20), ("1:1",)) if arguments.quick else (arguments.runs, PEOPLE, tuple(arguments.layouts))
    )
    rows = measure(runs, sizes, layouts, arguments.replicates)
    known = [row for row in rows if np.isfinite(float(str(row["coverage"])))]
    facts = {
        "runs": runs,
        "figures": len({row["figure"] for row in rows}),
        "rows": len(rows),
        "rows_withheld": len(rows) - len(known),
        "lowest_coverage": min(round(float(str(row["coverage"])), 1) for row in known),
        "rows_under_90": sum(float(str(row["coverage"])) < 90 for row in known),
        "zero_widths": sum(int(str(row["zero"])) for row in rows),
        "outside": sum(int(str(row["outside"])) for row in rows),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
