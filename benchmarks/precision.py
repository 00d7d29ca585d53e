"""What half precision, channels-last and torch.compile are worth for the frozen encoders of the contract model, clip by clip.

    python benchmarks/precision.py

One thread, random weights, one clip (five frames, a second of sound) at a time, as kept features are computed. Seconds are
processor time. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import timm
import torch
from torch import Tensor, nn

from veridical.machine import keep_large_blocks
from veridical.models.audio import AudioEncoderSettings, build_audio_encoder

REPEATS = 8


def seconds_of(work: Callable[[], Tensor], half: bool) -> float:
    """Return processor seconds of the fastest of a few calls, after two to warm up (and to compile)."""
    best = float("inf")
    for call in range(REPEATS + 2):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            start = time.process_time()
            work()
            if call >= 2:
                best = min(best, time.process_time() - start)
    return best


def picture(layout: torch.memory_format) -> tuple[nn.Module, Tensor]:
    model = timm.create_model("efficientnet_b3", num_classes=0).eval().to(memory_format=layout)
    return model, torch.rand(5, 3, 224, 224).contiguous(memory_format=layout)


def main() -> None:
    torch.set_num_threads(1)
    keep_large_blocks()
    torch.manual_seed(0)
    audio = build_audio_encoder(AudioEncoderSettings(weights="random")).eval()
    samples = torch.randn(1, 16000) * 0.1
    found = {}
    for name, layout, half, compiled in (
        ("float32, channels first", torch.contiguous_format, False, False),
        ("float32, channels last", torch.channels_last, False, False),
        ("bfloat16, channels last", torch.channels_last, True, False),
        ("float32, channels last, compiled", torch.channels_last, False, True),
        ("bfloat16, channels last, compiled", torch.channels_last, True, True),
    ):
        model, frames = picture(layout)
        begun = time.perf_counter()
        run = torch.compile(model) if compiled else model
        hear = torch.compile(audio.frozen_part) if compiled else audio.frozen_part
        seconds = {
            "picture": seconds_of(lambda run=run, frames=frames: run(frames), half),
            "sound": seconds_of(lambda hear=hear: hear(samples), half),
        }
        found[name] = seconds
        waited = f", {time.perf_counter() - begun:.0f} s with compiling" if compiled else ""
        print(f"{name}: picture {seconds['picture']:.3f} s, sound {seconds['sound']:.3f} s a clip{waited}", flush=True)
    first = found["float32, channels first"]
    ratios = {name: {part: round(first[part] / seconds[part], 2) for part in first} for name, seconds in found.items()}
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
