"""How often an evaluation of a faultless detector carries a FLAG, and how often a planted bias gets one.

    python -m benchmarks.clean_worlds [--worlds 200] [--quick]

A world has two corpora of so many people each, of two genders and four races, with two generators; the detector is
calibrated, of area .85, and treats all alike. In the planted world the area is .10 lower for one gender.
Asked for: at most 5 % of clean evaluations with a certain FLAG and at most 20 % with any, at 12, 60 and 200 people; a bias of
.10 with 60 people a gender flagged in at least 80 %. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter

import numpy as np
import pandas as pd
from benchmarks.simulated import distance_of, noise, people

from veridical.artefacts import ScoreTable
from veridical.evaluation import EvaluationSettings, evaluate

AREA = 0.85
GENERATORS = np.array(["Swap", "Mouth"], dtype=object)
VERDICTS = ("FLAG", "UNDECIDED", "PASS", "NOT EVALUABLE")


def corpus(name: str, number: int, rng: np.random.Generator, bias: float = 0.0) -> pd.DataFrame:
    """Return the scores of a corpus, a row per video."""
    person, labels = people(number, "1:1", rng)
    gender = rng.permutation(number) % 2
    race = rng.permutation(number) % 4
    usual, weaker = distance_of(AREA), distance_of(AREA - bias)
    distance = np.where(gender[person] == 1, weaker, usual)
    scores = distance * (labels - 0.5) + noise(person, labels, rng)
    generator = np.where(labels == 1, GENERATORS[rng.integers(0, 2, len(labels))], None)
    return pd.DataFrame(
        {
            "video_id": [f"{name}/{row:06d}" for row in range(len(labels))],
            "start_s": 0.0,
            "dataset": name,
            "split": "test",
            "generator": generator,
            "group": [f"{name}/p{number}" for number in person],
            "attributes": [{"gender": "mf"[gender[number]], "race": "abcd"[race[number]]} for number in person],
            "label": labels,
            "condition": "joint",
            "logit": usual * scores,
        }
    )


def risks_of(number: int, seed: int, replicates: int, bias: float = 0.0) -> pd.DataFrame:
    """Return the risk register of one world."""
    rng = np.random.default_rng([seed, number, round(100 * bias)])
    frame = pd.concat([corpus("A", number, rng, bias), corpus("B", number, rng)], ignore_index=True)
    settings = EvaluationSettings(reference="A", replicates=replicates, seed=seed, other_aggregations=())
    return evaluate(ScoreTable.from_frame(frame), settings=settings).risks


def judged(number: int, worlds: int, replicates: int, bias: float = 0.0) -> dict[str, object]:
    """Return the shares of worlds with a FLAG, with a certain FLAG, and with the planted one; and what was flagged."""
    flagged, certain, planted, names, verdicts = 0, 0, 0, Counter[str](), Counter[str]()
    for seed in range(worlds):
        risks = risks_of(number, seed, replicates, bias)
        flags = risks[risks["verdict"] == "FLAG"]
        flagged += len(flags) > 0
        certain += bool((flags["certain"] == True).any())  # noqa: E712
        planted += bool(flags["risk"].str.contains("gender (A)", regex=False).any())
        names.update(flags["risk"])
        verdicts.update(risks["verdict"])
    return {
        "any_flag": round(flagged / worlds, 3),
        "certain_flag": round(certain / worlds, 3),
        "gender_flag": round(planted / worlds, 3),
        "flags": dict(names.most_common()),
        "rows": {name: round(verdicts[name] / worlds, 2) for name in VERDICTS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="15 worlds of 12 and 60 people")
    arguments = parser.parse_args()
    worlds, sizes = (15, (12, 60)) if arguments.quick else (arguments.worlds, (12, 60, 200))
    results: dict[str, dict[str, object]] = {}
    print("world            any FLAG   certain FLAG   bias flagged   which")
    for name, number, bias in [*((f"clean, {size}", size, 0.0) for size in sizes), ("biased, 2 x 60", 120, 0.1)]:
        found = results[name] = judged(number, worlds, arguments.replicates, bias)
        shares = [float(str(found[key])) for key in ("any_flag", "certain_flag", "gender_flag")]
        print(
            f"{name:16s} {shares[0]:8.1%} {shares[1]:14.1%} {shares[2]:14.1%}   {found['flags']} {found['rows']}",
            flush=True,
        )
    print(json.dumps({"worlds": worlds, "area": AREA, "results": results}))


if __name__ == "__main__":
    main()
