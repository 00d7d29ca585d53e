"""The audit on made-up tables: which planted shortcuts it finds, and how often it cries wolf on clean worlds.

    python benchmarks/audit_tables.py [clean worlds: 100] [worlds per shortcut: 3]

A clean world has 60 people, a real video and a fake of each of four generators per person, and properties that belong
to the person, with noise per video. Every shortcut is planted in all fakes, or in one generator.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd

from veridical.artefacts import Manifest, Video
from veridical.corpora import PROPERTIES, audit

PEOPLE, GENERATORS = 60, 4
CONTENT = [name for name, facts in PROPERTIES.items() if facts.about != "file" and name != "prepared"]
CATEGORIES = {"compression": ("c23", "c40"), "container": ("mov", "matroska"), "codec": ("h264", "vp9"),
              "pixel_format": ("yuv420p", "yuv444p"), "audio_codec": ("aac", "opus")}  # fmt: skip
NUMBERS = {"has_audio": (True, False), "bitrate": (600_000, 900_000), "fps": (25.0, 30.0), "width": (640, 1280),
           "height": (360, 720), "duration_s": (8.0, 11.0), "audio_rate_hz": (44_100, 16_000)}  # fmt: skip
SPREAD = {"bitrate": 90_000, "duration_s": 1.0}


def world(seed: int, plant: str = "", only: str = "") -> tuple[Manifest, pd.DataFrame]:
    """Return a world; `plant` shifts that property in all fakes, or in the generator `only`."""
    rng = np.random.default_rng(seed)
    videos, clips = [], []
    for person in range(PEOPLE):
        base = dict(zip(CONTENT, rng.normal(0, 1, len(CONTENT)), strict=True))
        for kind in range(GENERATORS + 1):
            generator = f"g{kind}" if kind else None
            shifted = plant if kind and only in ("", generator) else ""
            facts = {name: pair[name == shifted] for name, pair in {**CATEGORIES, **NUMBERS}.items()}
            for name, spread in SPREAD.items():
                facts[name] = type(facts[name])(facts[name] + spread * rng.normal())
            attributes = {"container": str(facts.pop("container"))}
            name = f"w/{person}/{kind}"
            videos.append(Video("w", name, "v.mp4", int(kind > 0), int(kind > 0), 0 if facts["has_audio"] else None,
                                generator=generator, identities=(f"p{person}",), attributes=attributes, **facts))  # fmt: skip
            content = {key: value + 0.3 * rng.normal() + 3.0 * (key == shifted) for key, value in base.items()}
            clips += [{"video_id": name, **content}] if shifted != "prepared" or rng.random() < 0.3 else []
    return Manifest.from_videos(videos), pd.DataFrame(clips)


def fired(manifest: Manifest, clips: pd.DataFrame) -> dict[str, str]:
    """Return property → verdict where it is a leak or a warning."""
    table = audit(manifest, clips).table
    return dict(table.loc[table["verdict"].isin(["leak", "warns"]), ["property", "verdict"]].to_numpy().tolist())


def main(clean_seeds: int = 100, planted_seeds: int = 3) -> None:
    """Print the table, then one line of JSON."""
    start, alarms, false = time.perf_counter(), [], 0
    for seed in range(clean_seeds):
        found = fired(*world(seed))
        false += bool(found)
        alarms += [f"{seed}: {found}"] if found else []
    print(f"clean worlds: {false} of {clean_seeds} with an alarm", alarms[:5])
    print(f"{'planted':16} {'verdict':8} all fakes  one generator")
    detected = total = 0
    for plant, facts in PROPERTIES.items():
        hits = {only: sum(plant in fired(*world(10_000 + seed, plant, only)) for seed in range(planted_seeds))
                for only in ("", "g1")}  # fmt: skip
        detected, total = detected + sum(hits.values()), total + 2 * planted_seeds
        verdict = "leak" if facts.reaches_model else "warns"
        print(f"{plant:16} {verdict:8} {hits['']:2}/{planted_seeds}      {hits['g1']:2}/{planted_seeds}", flush=True)
    seconds, share = round(time.perf_counter() - start, 1), round(detected / total, 4)
    result = {"clean_worlds": clean_seeds, "false_alarm_rate": false / clean_seeds, "detected_share": share}
    print(json.dumps({**result, "seconds": seconds}))


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
