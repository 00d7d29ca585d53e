"""Peak memory of a preparing process: a film of ten seconds beside one of ten minutes, both 1080p.

    python benchmarks/prepare_memory.py VIDEO [--size 1920x1080] [--minutes 10]

Both films are made from the video; the long one repeats the packets of the short one. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
from prepare import film

SCRIPT = """
import resource, sys, time
from pathlib import Path
from veridical.clips import StoreSettings
from veridical.preparation.jobs import Job, Setup
began = time.process_time()
entry = Setup(StoreSettings(), Path(sys.argv[2]))()(Job(0, "v", sys.argv[1])).entry
print(entry.num_clips, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time() - began)
"""


def repeated(short: Path, path: Path, times: int) -> Path:
    """Write the packets of a film several times over."""
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        packets = [packet for packet in source.demux() if packet.dts is not None]
        period = {index: sum(packet.duration for packet in packets if packet.stream.index == index) for index in tracks}
        for number in range(times):
            for packet in packets:
                copy, shift = av.Packet(bytes(packet)), number * period[packet.stream.index]
                copy.pts, copy.dts, copy.time_base = packet.pts + shift, packet.dts + shift, packet.time_base
                copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
                copy.stream = tracks[packet.stream.index]
                target.mux(copy)
    return path


def prepared(path: Path, folder: Path) -> dict[str, float]:
    """Prepare a film in a process of its own; megabytes at the peak."""
    command = [sys.executable, "-c", SCRIPT, str(path), str(folder)]
    clips, peak, cpu_s = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {"clips": int(clips), "peak_mb": round(float(peak)), "cpu_s": round(float(cpu_s), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--minutes", type=int, default=10)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = film(arguments.video, (width, height), folder / "short.mp4")
        long = repeated(short, folder / "long.mp4", 6 * arguments.minutes)
        report = {"short": prepared(short, folder), "long": prepared(long, folder)}
    ratio = round(report["long"]["peak_mb"] / report["short"]["peak_mb"], 3)
    print(json.dumps({**report, "ratio": ratio}))


if __name__ == "__main__":
    main()
