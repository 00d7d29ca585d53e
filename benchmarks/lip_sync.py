"""What the lip-sync branch learns from genuine clips alone: does it find the sound in its place, and hear a shift of .2 s?

    veridical prepare MANIFEST -o STORE --set mouths=true
    python benchmarks/lip_sync.py STORE [--manifest M] [--epochs 20]

The branch of `small-phase-3` is trained with the sync term only, on the genuine clips of the training split. Judged on the
genuine clips of people it never saw (validation and test splits): how often the best of eleven shifts is the right one, and
the AUC of the sync score between sound in its place and the same sound moved by .2 s, seams cut off. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from veridical.artefacts import Manifest
from veridical.clips import ClipStore, label_clips
from veridical.errors import NotEvaluableError
from veridical.inputs import InputSettings, clip_inputs
from veridical.metrics import group_bootstrap_auc
from veridical.models.lip_sync import STEPS_PER_CROP, LipSync, LipSyncSettings
from veridical.training.losses import sync_loss

SHIFT_CROPS = 5
SHIFTS = (0, SHIFT_CROPS, -SHIFT_CROPS)
"""Time shifts of the sound in mouth crops of 1/25 s."""


def sync_score(profile_BL: Tensor) -> Tensor:
    """Return how much better no shift fits than the best shifted sound (B,): above 0 in step, below 0 out of step."""
    middle = profile_BL.shape[1] // 2
    others = torch.cat([profile_BL[:, :middle], profile_BL[:, middle + 1 :]], 1)
    return profile_BL[:, middle] - others.amax(1)


def read(store: ClipStore, rows: list[int], branch: LipSync) -> tuple[Tensor, Tensor]:
    """Return mouth crops and, for each shift, the spectrum."""
    mouths, heard = [], []
    for first in range(0, len(rows), 16):
        inputs = clip_inputs(store.take(rows[first : first + 16]), InputSettings(mouths=True))
        shifted = [torch.roll(inputs.samples, shift * STEPS_PER_CROP * 160, 1) for shift in SHIFTS]
        heard.append(torch.stack([branch.log_mel(sound) for sound in shifted], 1))
        assert inputs.mouths is not None
        mouths.append(inputs.mouths)
    return torch.cat(mouths), torch.cat(heard)


def profile(branch: LipSync, mouths: Tensor, mel: Tensor) -> Tensor:
    """Return the profile over shifts of clips with video and audio."""
    found: Tensor = branch(mouths, mel, torch.ones(len(mouths), dtype=torch.bool))[0]
    return found


def middle(mouths: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the part of a clip that no shift has rolled over: the same for every shift, so that the seam tells nothing."""
    steps = SHIFT_CROPS * STEPS_PER_CROP
    return mouths[:, SHIFT_CROPS:-SHIFT_CROPS], mel[:, steps:-steps]


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    store = ClipStore.open(options.store)
    manifest = Manifest.read(options.manifest) if options.manifest else store.manifest()
    clips = label_clips(store.index(), manifest, store.settings.window_s, ("split", "identities"))
    clips = clips[(clips["label"] == 0) & (clips["speech_share"] >= 0.2)]
    train, test = clips[clips["split"] == "train"], clips[clips["split"].isin(["val", "test"])]
    torch.manual_seed(0)
    branch = LipSync(LipSyncSettings(width=32, channels=8))
    optimiser = torch.optim.AdamW(branch.parameters(), lr=1e-3)
    mouths, heard = read(store, train["row"].tolist(), branch)
    started = time.monotonic()
    for _ in range(options.epochs):
        losses = []
        for part in torch.randperm(len(mouths)).split(32):
            found = profile(branch, mouths[part], heard[part, 0])
            loss = sync_loss(found, torch.ones(len(part), dtype=torch.bool))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        print(f"loss {np.mean(losses):.3f} after {time.monotonic() - started:.0f} s", flush=True)
    report(branch.eval(), *read(store, test["row"].tolist(), branch), [names[0] for names in test["identities"]])


def report(branch: LipSync, mouths: Tensor, heard: Tensor, people: list[str]) -> None:
    """Print how often the right shift is found, and how well a shifted sound is told."""
    with torch.inference_mode():
        whole = profile(branch, mouths, heard[:, 0])
        cut = [profile(branch, *middle(mouths, heard[:, number])) for number in range(len(SHIFTS))]
    right = whole.argmax(1) - whole.shape[1] // 2
    result: dict[str, object] = {"clips": len(mouths), "people": len(set(people))}
    result["right_shift"] = float((right == 0).float().mean())
    result["within_one"] = float((right.abs() <= 1).float().mean())
    for number, shift in enumerate(SHIFTS[1:], 1):
        scores = torch.cat([-sync_score(cut[0]), -sync_score(cut[number])]).numpy()
        labels = np.repeat([0, 1], len(mouths))
        try:
            value, interval = group_bootstrap_auc(labels, scores, people * 2)
            result[f"auc_{shift / 25:+g}s"] = [round(value, 3), round(interval.low, 3), round(interval.high, 3)]
        except NotEvaluableError as reason:
            result[f"auc_{shift / 25:+g}s"] = str(reason)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
