"""What the lip-sync branch learns from genuine clips alone: does it find the sound in its place, and hear a shift of .2 s?

    veridical prepare MANIFEST -o STORE --set mouths=true
    python benchmarks/lip_sync.py STORE [--manifest M] [--epochs 20]

The branch of `small-phase-3` is trained with the sync term only, on the genuine clips of the training split, over the frozen
Whisper encoder. Judged on the genuine clips of people it never saw (validation and test splits): how often the best of eleven
shifts is the right one, and the AUC of the sync score between sound in its place and the same sound moved by .2 s, seams cut
off. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from veridical.artefacts import Manifest
from veridical.clips import ClipStore
from veridical.clips.inputs import InputSettings, clip_inputs
from veridical.clips.labels import label_clips
from veridical.errors import NotEvaluableError
from veridical.metrics.bootstrap import group_bootstrap_auc
from veridical.models.audio import AudioEncoderSettings, build_audio_encoder
from veridical.models.lip_sync import LipSync, LipSyncSettings, sync_score
from veridical.training.losses import sync_loss

STEP_S = 1 / 25
SHIFTS_S = (0.0, 0.2, -0.2)
EDGE_S = 0.2


class Branch(nn.Module):
    """A projection of the speech encoder's steps, and the lip-sync branch, as in the detector."""

    def __init__(self, num_features: int, width: int = 128) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.LayerNorm(num_features), nn.Linear(num_features, width))
        self.sync = LipSync(width, LipSyncSettings(width=32, channels=8))

    def forward(self, mouths: Tensor, audio: Tensor) -> Tensor:
        """Return the profile over shifts."""
        every = torch.ones(len(mouths), dtype=torch.bool)
        profile: Tensor = self.sync(mouths, self.projection(audio), every)[0]
        return profile


def read(store: ClipStore, rows: list[int]) -> tuple[Tensor, Tensor]:
    """Return mouth crops and, for each shift, what the frozen encoder hears."""
    encoder = build_audio_encoder(
        AudioEncoderSettings(kind="whisper", weights="whisper_tiny_en", trainable_blocks=0)
    ).eval()
    mouths, heard = [], []
    with torch.inference_mode():
        for first in range(0, len(rows), 16):
            inputs = clip_inputs(store.take(rows[first : first + 16]), InputSettings(mouths=True))
            shifted = [torch.roll(inputs.samples, round(shift * 16000), 1) for shift in SHIFTS_S]
            heard.append(torch.stack([encoder(encoder.frozen_part(sound)).half() for sound in shifted], 1))
            mouths.append(inputs.mouths)
    return torch.cat(mouths), torch.cat(heard)


def middle(mouths: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the part of a clip that no shift has rolled over: the same for every shift, so that the seam tells nothing."""
    crops, steps = round(EDGE_S / STEP_S), round(EDGE_S * heard.shape[1])
    return mouths[:, crops:-crops], heard[:, steps:-steps]


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
    branch = Branch(384)
    optimiser = torch.optim.AdamW(branch.parameters(), lr=1e-3)
    mouths, heard = read(store, train["row"].tolist())
    started = time.monotonic()
    for _ in range(options.epochs):
        losses = []
        for part in torch.randperm(len(mouths)).split(32):
            crops, sound = mouths[part], heard[part, 0].float()
            loss = sync_loss(branch(crops, sound), torch.ones(len(part), dtype=torch.bool))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        print(f"loss {np.mean(losses):.3f} after {time.monotonic() - started:.0f} s", flush=True)
    report(branch.eval(), *read(store, test["row"].tolist()), [names[0] for names in test["identities"]])


def report(branch: Branch, mouths: Tensor, heard: Tensor, people: list[str]) -> None:
    """Print how often the right shift is found, and how well a shifted sound is told."""
    with torch.inference_mode():
        whole = branch(mouths, heard[:, 0].float())
        cut = [branch(*middle(mouths, heard[:, number].float())) for number in range(len(SHIFTS_S))]
    right = whole.argmax(1) - whole.shape[1] // 2
    result: dict[str, object] = {"clips": len(mouths), "people": len(set(people))}
    result["right_shift"] = float((right == 0).float().mean())
    result["within_one"] = float((right.abs() <= 1).float().mean())
    for number, shift in enumerate(SHIFTS_S[1:], 1):
        scores = torch.cat([-sync_score(cut[0]), -sync_score(cut[number])]).numpy()
        labels = np.repeat([0, 1], len(mouths))
        try:
            value, interval = group_bootstrap_auc(labels, scores, people * 2)
            result[f"auc_{shift:+g}s"] = [round(value, 3), round(interval.low, 3), round(interval.high, 3)]
        except NotEvaluableError as reason:
            result[f"auc_{shift:+g}s"] = str(reason)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
