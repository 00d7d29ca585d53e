"""Every shortcut planted in worlds of puppets: does `veridical audit` name it, and does it keep quiet where nothing is planted?

    python -m benchmarks.audit_shortcuts FOLDER [--people 20] [--seconds 2.4] [--seeds 2] [--clean-seeds 6]

A world has a real and a "fake" video of each person; the fake one is another genuine take, so that nothing separates the classes
but what was planted in it. Files are written again and probed, clips are prepared where the shortcut is in the content, and the
real command judges manifest or store. `named` counts worlds in which the property that stands for the shortcut was a leak or a
warning; `fewer` the same with only the first 12 people. Run it again after an interruption: finished worlds are kept. The
last line is one JSON object. `benchmarks/audit_tables.py` does the same with many made-up tables.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
import json
from pathlib import Path

from tests.interventions.planting import NAMED, named, planted, two_takes

from veridical.artefacts import Manifest, read_json, write_json
from veridical.interventions import WORLDS

FEWER = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--clean-seeds", type=int, default=6)
    arguments = parser.parse_args()
    alarms: dict[str, list[tuple[set[str], set[str]]]] = {"clean": []}
    for seed in range(max(arguments.seeds, arguments.clean_seeds)):
        folder = arguments.folder.absolute() / str(seed)
        takes = two_takes(folder / "puppets", seed, people=arguments.people, seconds=arguments.seconds)
        for name in WORLDS if seed < arguments.seeds else ("clean",):
            alarms.setdefault(name, []).append(found(takes, folder / name, name, seed))
    print(f"{'planted':18s} {'named':>6s} {'fewer':>6s}  also named")
    for name, worlds in alarms.items():
        print(line(name, worlds), flush=True)
    figures = {name: [sum(bool(NAMED[name] & part) for part in parts) / len(worlds) for parts in zip(*worlds, strict=True)]
               for name, worlds in alarms.items() if name != "clean"}  # fmt: skip
    false = [sum(bool(part) for part in parts) / len(alarms["clean"]) for parts in zip(*alarms["clean"], strict=True)]
    print(json.dumps({"named_share": figures, "clean_alarm_share": false, "clean_worlds": len(alarms["clean"])}))


def line(name: str, worlds: list[tuple[set[str], set[str]]]) -> str:
    wanted = NAMED.get(name, set())
    hits = [sum(bool(wanted & part if wanted else part) for part in parts) for parts in zip(*worlds, strict=True)]
    others = sorted(set().union(*(part for parts in worlds for part in parts)) - wanted)
    return f"{name:18s} {hits[0]:3d}/{len(worlds)} {hits[1]:4d}/{len(worlds)}  {', '.join(others)}"


def found(takes: Manifest, folder: Path, name: str, seed: int) -> tuple[set[str], set[str]]:
    """Return what the audit names in a planted world, with all its people and with fewer."""
    kept = folder / "found.json"
    if not kept.exists():
        whole = planted(takes, folder, name, seed)
        people = sorted({video.identities[0] for video in whole.videos()})[:FEWER]
        few = Manifest.from_videos(video for video in whole.videos() if video.identities[0] in people)
        write_json(kept, {"named": [sorted(named(manifest, folder)) for manifest in (whole, few)]})
    first, second = read_json(kept)["named"]
    return set(first), set(second)


if __name__ == "__main__":
    main()
