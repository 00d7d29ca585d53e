"""What the number K of augmentation views does to validation AUC: one, four, and a new one in every epoch.

    python benchmarks/views.py STORE OUT [--manifest M …] [--recipe small] [--seeds 3] [--set KEY=VALUE …]

Trains the recipe once per K and seed; with several manifests seed n takes the n-th. Kept features are shared between the runs of
a seed, so that four views cost what they add. The last line is JSON: mean and range over seeds of each stage's best validation
AUC, and of the last stage's validation loss.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from veridical.training import read_recipe, train

VIEWS = {"K=1": 1, "K=4": 4, "fresh": 10_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--manifest", type=Path, nargs="+")
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    options = parser.parse_args()
    shared = [*options.assignments, f"data.store={options.store}"]
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(options.seeds):
        manifest = [f"data.manifest={options.manifest[seed % len(options.manifest)]}"] if options.manifest else []
        for label, views in VIEWS.items():
            recipe = read_recipe(options.recipe, [*shared, *manifest, f"seed={seed}", f"augmentation.views={views}"])
            summary = train(recipe, options.out / f"{label}-{seed}", resume=True)
            last = summary.stages[-1]
            rows = [row for row in summary.history if row["stage"] == last.name]
            figures = {stage.name: stage.best_auc for stage in summary.stages}
            figures["loss"] = rows[last.best_epoch]["val_loss"]
            for name, value in figures.items():
                found.setdefault(label, {}).setdefault(name, []).append(value)
            said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            print(f"seed {seed}, {label}: {said}", flush=True)
    result = {
        label: {
            name: [round(float(f(values)), 4) for f in (np.mean, np.min, np.max)] for name, values in figures.items()
        }
        for label, figures in found.items()
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
