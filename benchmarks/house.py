"""How large the code is, and how far four jobs travel through it: functions, files and rooms that each passes.

    python benchmarks/house.py DEMO

`DEMO` is a folder that `veridical demo` made. Four jobs are run on its data, and every function of the package that
each calls is counted: a video to its stored clip, a batch to its loss, a recipe to a run, a score table to a report.
The last line is one JSON object.
"""

from __future__ import annotations

import ast
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

import pyarrow.compute as pc

import veridical

PACKAGE = Path(veridical.__file__).parent
BATCH_STEPS = {"_step", "learn_batch", "training_step"}
"""Names of the function of the training loop that takes one batch."""


class Walk:
    """The functions of the package that are called while it records."""

    def __init__(self, within: set[str] | None = None) -> None:
        self.within, self.depth = within, 0
        self.functions: dict[tuple[str, str], None] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of a call; the profiler of the interpreter calls this."""
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        entry = self.within is not None and code.co_name in self.within and "training" in code.co_filename
        if event == "call":
            self.depth += entry
            if (self.within is None or self.depth) and _is_function(code):
                self.functions[code.co_filename, code.co_qualname] = None
        elif event == "return":
            self.depth -= entry

    def counts(self) -> dict[str, int]:
        """Return how many functions, files and rooms were passed."""
        files = {Path(name).relative_to(PACKAGE) for name, _ in self.functions}
        return {
            "functions": len(self.functions),
            "files": len(files),
            "rooms": len({file.parts[0].removesuffix(".py") for file in files}),
        }


def _is_function(code: CodeType) -> bool:
    return not code.co_name.startswith("<")


def record(job: Callable[[], object], within: set[str] | None = None) -> Walk:
    """Run a job and return what it called."""
    walk = Walk(within)
    sys.setprofile(walk)
    try:
        job()
    finally:
        sys.setprofile(None)
    return walk


def prepare_one(demo: Path, scratch: Path) -> None:
    """Cut the clips of one video."""
    manifest = veridical.Manifest.read(demo / "manifest-A.parquet")
    first = manifest.table["video_id"][0]
    one = veridical.Manifest(manifest.table.filter(pc.equal(manifest.table["video_id"], first)))
    veridical.prepare(one, scratch / "store", workers=0)


def train_briefly(demo: Path, scratch: Path) -> None:
    """Train the small recipe for one epoch a stage on one clip of each video."""
    changes = [f"data.store={demo / 'store-A'}", f"data.manifest={demo / 'manifest-A.parquet'}"]
    stages = len(veridical.read_recipe("small", changes).schedule)
    changes += ["data.clips_per_video=1", *(f"stages.{number}.epochs=1" for number in range(stages))]
    veridical.train(veridical.read_recipe("small", changes), scratch / "run")


def evaluate_scores(demo: Path, scratch: Path) -> None:
    """Judge the demo's score table and write the report, as the command line does."""
    from typer.testing import CliRunner

    from veridical.cli.main import build_app

    manifests = [f"--manifest={demo / f'manifest-{name}.parquet'}" for name in "AB"]
    stores = [f"--on={demo / f'store-{name}'}" for name in "AB"]
    arguments = ["evaluate", "--scores", str(demo / "scores.parquet"), *manifests, *stores]
    result = CliRunner().invoke(build_app(), [*arguments, "--replicates", "50", "-o", str(scratch / "evaluation")])
    assert result.exit_code == 0, result.output


def size() -> dict[str, int]:
    """Count lines, files, uses of Any, and imports that reach behind another room's face."""
    counts = {"lines": 0, "files": 0, "any": 0, "imports behind a face": 0, "imports of a face": 0}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        room = path.relative_to(PACKAGE).parts[0]
        counts["lines"] += text.count("\n")
        counts["files"] += 1
        for node in ast.walk(ast.parse(text)):
            counts["any"] += isinstance(node, ast.Name) and node.id == "Any"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("veridical."):
                other = str(node.module).split(".")[1:]
                if other[0] != room and (PACKAGE / other[0]).is_dir():
                    counts["imports behind a face" if len(other) > 1 else "imports of a face"] += 1
    return counts


def main() -> None:
    """Print the counts and the four walks."""
    demo = Path(sys.argv[1])
    walks: dict[str, Walk] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        walks["a video to its stored clip"] = record(lambda: prepare_one(demo, folder))
        walks["a score table to a report"] = record(lambda: evaluate_scores(demo, folder))
        both = record(lambda: train_briefly(demo, folder))
        walks["a recipe to a run"] = both
    with tempfile.TemporaryDirectory() as scratch:
        walks["a batch to its loss"] = record(lambda: train_briefly(demo, Path(scratch)), within=BATCH_STEPS)
    results: dict[str, dict[str, int]] = {name: walk.counts() for name, walk in walks.items()}
    for name, counts in results.items():
        print(f"{name}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    print(json.dumps({"size": size(), **results}))


if __name__ == "__main__":
    main()
