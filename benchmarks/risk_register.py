"""How often each risk fires where its fault is planted, and where it is not, over seeds.

    python -m benchmarks.risk_register [--seeds 8]

The worlds are those of tests/evaluation/test_risks.py. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json

from tests.evaluation.test_risks import CLEAN, DATA_CLEAN, DATA_FAULTS, ELSEWHERE, FAULTS, verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    seeds = range(1, parser.parse_args().seeds + 1)
    quiet = {"": [verdicts((CLEAN, ELSEWHERE), seed) for seed in seeds]}
    quiet["data"] = [verdicts(DATA_CLEAN, seed) for seed in seeds]
    print(f"{'risk':40s} planted: flagged certain   clean: flagged certain")
    found = {}
    for risk, worlds in {**FAULTS, **DATA_FAULTS}.items():
        clean = quiet["data" if risk in DATA_FAULTS else ""]
        rows = {
            "planted": [verdicts(worlds, seed).loc[risk] for seed in seeds],
            "clean": [table.loc[risk] for table in clean],
        }
        counts = {
            f"{name}_{kind}": sum(
                bool(row["verdict"] == "FLAG" and (kind == "flagged" or row["certain"])) for row in part
            )
            for name, part in rows.items()
            for kind in ("flagged", "certain")
        }
        found[risk] = counts
        print(
            f"{risk:40s} {counts['planted_flagged']:16d} {counts['planted_certain']:7d} {counts['clean_flagged']:16d}"
            f" {counts['clean_certain']:7d}",
            flush=True,
        )
    totals = {
        name: sum(counts[name] for counts in found.values()) / (len(found) * len(seeds))
        for name in next(iter(found.values()))
    }
    print(
        json.dumps(
            {
                "seeds": len(seeds),
                "risks": len(found),
                **{f"share_{name}": round(value, 3) for name, value in totals.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
