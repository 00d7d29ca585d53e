"""Whether the tests have teeth: plants small faults one at a time and counts those that the tests catch.

    python benchmarks/mutants.py [NAME …] [--jobs N]

A mutant is a copy of the package in which one expression is wrong: a sign, an off-by-one, a swapped label, a dropped mask,
a wrong axis. The fast tests of its room must fail on it. Mutants are listed in `mutants.yaml` beside this file. The last
line is one JSON object; the exit code is 1 when a mutant survives.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
TIME_LIMIT_S = 900


@dataclass(frozen=True)
class Mutant:
    """One planted fault."""

    name: str
    file: str
    """Below src/veridical."""
    old: str
    """Text that stands in the file exactly once."""
    new: str
    tests: str
    """Files or folders below tests that must notice, separated by spaces."""


def read_mutants() -> list[Mutant]:
    """Return all mutants, each checked against the code that it is to change."""
    rows = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text(encoding="utf-8"))
    mutants = [Mutant(**row) for row in rows]
    for mutant in mutants:
        times = (ROOT / "src" / "veridical" / mutant.file).read_text(encoding="utf-8").count(mutant.old)
        if times != 1:
            raise SystemExit(f"{mutant.name}: its text stands {times} times in {mutant.file}; expected once")
    return mutants


def is_caught(mutant: Mutant) -> tuple[bool, str]:
    """Run the tests on a copy of the package with the fault; return whether one failed, and the first that did."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        path = source / "veridical" / mutant.file
        path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        command += [f"tests/{name}" for name in mutant.tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            result = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            raise SystemExit(
                f"{mutant.name}: no result after {TIME_LIMIT_S} s; name fewer tests, or wait for a quieter machine"
            ) from None
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if result.returncode not in (0, 1, 2):
        raise SystemExit(
            f"{mutant.name}: pytest ended with {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}"
        )
    return result.returncode != 0, failed[0] if failed else "no test failed"


def main() -> int:
    """Plant the faults and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutants to try; all when none is given")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at once")
    options = parser.parse_args()
    mutants = [mutant for mutant in read_mutants() if not options.names or mutant.name in options.names]
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = dict(zip((mutant.name for mutant in mutants), pool.map(_reported, mutants), strict=True))
    survivors = [name for name, caught in outcomes.items() if not caught]
    print(json.dumps({"mutants": len(outcomes), "caught": len(outcomes) - len(survivors), "survivors": survivors}))
    return 1 if survivors or not outcomes else 0


def _reported(mutant: Mutant) -> bool:
    caught, by = is_caught(mutant)
    print(f"{'caught  ' if caught else 'SURVIVED'} {mutant.name} ({mutant.file}): {by}", flush=True)
    return caught


if __name__ == "__main__":
    sys.exit(main())
