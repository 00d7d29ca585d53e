"""What the optional contents of a store cost, and what searching every n-th frame saves: CPU seconds a video, bytes a clip.

    python benchmarks/contents.py FOLDER … [--limit 6]

The videos below the folders are prepared in this process with the default settings and with each content switched on, and
at 25 frames a second with faces searched in every n-th. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from veridical.clips import CONTENTS, StoreSettings, encode_clips
from veridical.preparation import Source, Tools
from veridical.preparation.extract import cut_clips, plan_clips


def measure(paths: list[Path], settings: StoreSettings) -> dict[str, float]:
    """Prepare the videos and return CPU seconds a video, clips, and bytes a clip."""
    tools = Tools(settings)
    tools.load()
    seconds, num_clips, num_bytes = 0.0, 0, 0
    for path in [paths[0], *paths]:
        began = time.process_time()
        clips = list(cut_clips(plan_clips(Source(path), path.stem, settings, tools)))
        table = encode_clips(clips, settings)
        seconds = 0.0 if not num_clips else seconds + time.process_time() - began
        num_clips, num_bytes = num_clips + len(clips), num_bytes + table.nbytes
    return {"cpu_seconds_a_video": seconds / len(paths), "kilobytes_a_clip": num_bytes / num_clips / 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of videos of talking people")
    parser.add_argument("--limit", type=int, default=6, help="videos")
    arguments = parser.parse_args()
    files = [file for folder in arguments.folders for file in sorted(folder.rglob("*.mp[g4]"))]
    paths = [files[place] for place in np.unique(np.linspace(0, len(files) - 1, arguments.limit).astype(int))]
    plain, many = StoreSettings(), StoreSettings(fps=25.0, max_missing_faces=5)
    asked = (
        {"default": plain}
        | {name: plain.with_contents([name]) for name in CONTENTS}
        | {"all": plain.with_contents(CONTENTS)}
    )
    asked |= {f"25 fps, every {n}": many.model_copy(update={"detect_every": n}) for n in (1, 2, 5)}
    found = {name: measure(paths, settings) for name, settings in asked.items()}
    for name, figures in found.items():
        seconds, kilobytes = figures["cpu_seconds_a_video"], figures["kilobytes_a_clip"]
        print(f"{name:>16}: {seconds:5.2f} CPU seconds a video, {kilobytes:6.1f} kB a clip")
    print(json.dumps({"num_videos": len(paths), "figures": found}))


if __name__ == "__main__":
    main()
