"""Processor time of the moved hue in a training view, beside torchvision's, and how far the two lie apart.

    python benchmarks/hue.py STORE

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional as TF

from veridical.clips import ClipStore
from veridical.inputs import VideoAugmentation
from veridical.inputs import augment as room
from veridical.inputs.augment import augment_video, other_hue

Frames = npt.NDArray[np.uint8]
ROUNDS = 40


def torchvision_hue(frames: Frames, turns: float) -> Frames:
    """Move the hue as torchvision does."""
    moved = TF.adjust_hue(torch.from_numpy(frames).permute(0, 3, 1, 2), turns)
    return np.asarray(moved.permute(0, 2, 3, 1).contiguous().numpy())


def median_ms(function: Callable[[int], object]) -> float:
    """Return the median processor time of calls with 0, 1, 2, … in milliseconds."""
    found = []
    for number in range(ROUNDS):
        began = time.process_time()
        function(number)
        found.append(time.process_time() - began)
    return 1e3 * float(np.median(found))


def main() -> None:
    """Print both costs, alone and in a whole view, and the difference of the frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    frames = ClipStore.open(options.store).take([0], ())[0].frames
    settings = VideoAugmentation()
    found = {}
    for name, move in (("torchvision", torchvision_hue), ("here", other_hue)):
        room.other_hue = move
        alone = median_ms(lambda number, move=move: move(frames[:, :224, :224].copy(), 0.1 - number / 200))
        view = median_ms(lambda number: augment_video(frames, 224, settings, np.random.default_rng(number)))
        found[name] = alone, view
        print(f"{name}: hue of a clip {alone:.2f} ms, a whole view {view:.2f} ms")
    (slow, slow_view), (fast, fast_view) = found["torchvision"], found["here"]
    apart = np.abs(torchvision_hue(frames, 0.1).astype(int) - other_hue(frames, 0.1))
    result = {
        "hue_ratio": round(slow / fast, 1), "view_ratio": round(slow_view / fast_view, 2),
        "largest_difference_of_255": int(apart.max()), "share_of_values_that_differ": float(f"{(apart > 0).mean():.2g}"),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
