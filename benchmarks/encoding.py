"""How fast frames go through the small image backbone on processors: slices, kept memory blocks, one thread per slice.

    python benchmarks/encoding.py

Each variant runs in a process of its own, since memory settings stay with a process. The last line is JSON.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

VARIANTS = {
    "80 frames at once": {"frames": 80, "keep": False},
    "5 frames at once": {"frames": 5, "keep": False},
    "80 frames at once, blocks kept": {"frames": 80, "keep": True},
    "5 frames at once, blocks kept": {"frames": 5, "keep": True},
}
TOTAL_FRAMES = 320
THREADS = 2


def measure(frames: int, keep: bool) -> dict[str, float]:
    import torch

    from veridical.machine import keep_large_blocks
    from veridical.models.video import VideoEncoder, VideoEncoderSettings

    if keep:
        keep_large_blocks()
    settings = VideoEncoderSettings(backbone="tf_efficientnet_lite0", weights="efficientnet_lite0")
    encoder = VideoEncoder(settings).eval()

    def encode(_: int) -> None:
        pictures = torch.zeros(frames, 3, 224, 224).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            encoder.backbone(pictures)

    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(encode, range(THREADS)))
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        list(pool.map(encode, range(TOTAL_FRAMES // frames)))
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    system, user = after.ru_stime - before.ru_stime, after.ru_utime - before.ru_utime
    return {"ms_per_frame": 1000 * seconds / TOTAL_FRAMES, "system_share": system / (system + user)}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
        return
    found = {}
    for name, variant in VARIANTS.items():
        run = subprocess.run(
            [sys.executable, __file__, json.dumps(variant)], capture_output=True, text=True, check=True
        )
        found[name] = json.loads(run.stdout.splitlines()[-1])
        print(f"{name}: {found[name]['ms_per_frame']:.1f} ms a frame, {found[name]['system_share']:.0%} in the system")
    slowest, fastest = (found[name]["ms_per_frame"] for name in ("80 frames at once", "5 frames at once, blocks kept"))
    print(
        json.dumps(
            {"machine": platform.processor() or platform.machine(), "ratio": slowest / fastest, "variants": found}
        )
    )


if __name__ == "__main__":
    main()
