"""How often `compare` calls a difference significant that is none: two detectors of one area, people with several videos.

    python -m benchmarks.compare_null [--runs 1000] [--quick]

Asked for: p below .05 in 4 to 6 %. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from benchmarks.simulated import second_detector, simulated

from veridical.errors import NotEvaluableError
from veridical.metrics import clustered_test, delong_test

AREAS = (0.85, 0.97)


def p_values(people: int, area: float, runs: int, seed: int = 0) -> np.ndarray:
    """Return (runs, 2) p-values of the paired test over groups and of DeLong's; NaN where there is none."""
    rng = np.random.default_rng([seed, people, round(1000 * area)])
    found = np.full((runs, 2), np.nan)
    for run in range(runs):
        videos = simulated(people, area, "1:1", rng)
        other = second_detector(videos, area, area, rng)
        found[run, 1] = delong_test(videos.labels, videos.scores, other).p_value
        try:
            found[run, 0] = clustered_test(videos.labels, videos.scores, other, videos.person).p_value
        except NotEvaluableError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="200 runs, two sizes")
    arguments = parser.parse_args()
    runs, sizes = (200, (12, 60)) if arguments.quick else (arguments.runs, (6, 12, 20, 60, 200))
    print("area  people   no p-value   p < .05   p < .20   DeLong p < .05")
    results = {}
    for area in AREAS:
        for people in sizes:
            ours, delong = p_values(people, area, runs).T
            known = ours[np.isfinite(ours)]
            below = [float(np.mean(known < level)) if len(known) else float("nan") for level in (0.05, 0.2)]
            shares = (1 - len(known) / runs, *below, float(np.mean(delong < 0.05)))
            names = ("withheld", "below_05", "below_20", "delong_below_05")
            results[f"{area:g}, {people}"] = {name: round(share, 3) for name, share in zip(names, shares, strict=True)}
            print(
                f"{area:.2f} {people:6d} {shares[0]:12.1%} {shares[1]:9.1%} {shares[2]:9.1%} {shares[3]:14.1%}",
                flush=True,
            )
    print(json.dumps({"runs": runs, "areas_and_people": results}))


if __name__ == "__main__":
    main()
