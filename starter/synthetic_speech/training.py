"""Trains the light network on a fold or on everything; stopped at any step, it goes on exactly where it was.

Every draw of a step comes from (seed, step), so the state on disk is the network, its running average, the optimiser and
the number of the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synthetic_speech.audio import WINDOW, fit_window
from synthetic_speech.material import Material, Utterance
from synthetic_speech.network import LightNetwork, LogBands, loss_with_margin, masked

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """Settings of a training."""

    steps: int = 250
    batch: int = 32
    rate: float = 3e-3
    decay: float = 0.02
    copies: float = 0.2
    """Share of the synthetic half that are our own copies."""
    augmented: float = 0.5
    """Share of utterances that come through a channel."""
    crop: int = 32_000
    seed: int = 0
    width: int = 8


class Sampler:
    """Draws balanced batches: half genuine; genuine by domain, synthetic by system."""

    def __init__(self, utterances: list[Utterance], rows: Index, recipe: Recipe) -> None:
        self.recipe = recipe
        self.variants: dict[str, dict[int, int]] = {}
        groups: dict[str, dict[str, list[str]]] = {"genuine": {}, "synthetic": {}, "copy": {}}
        for row in rows:
            u = utterances[row]
            self.variants.setdefault(u.name, {})[u.variant] = int(row)
            if u.variant == 0:
                kind = "copy" if u.family == "copy" else "synthetic" if u.is_fake else "genuine"
                domain = u.corpus if u.corpus in ("GRID", "web") else "studio"
                groups[kind].setdefault(u.system if u.is_fake else domain, []).append(u.name)
        self.groups = groups

    def _draw(self, kind: str, stream: np.random.Generator) -> int:
        group = self.groups[kind]
        names = list(group)
        size = np.array([len(group[n]) for n in names]) ** 0.5
        members = group[names[stream.choice(len(names), p=size / size.sum())]]
        variants = self.variants[members[stream.integers(len(members))]]
        changed = [v for v in variants if v]
        if changed and stream.random() < self.recipe.augmented:
            return variants[changed[stream.integers(len(changed))]]
        return variants[0]

    def batch(self, step: int) -> tuple[list[int], list[int]]:
        """Rows of a step and where each is cropped (per mille of the room there is)."""
        stream = np.random.default_rng([self.recipe.seed, 7, step])
        half = self.recipe.batch // 2
        rows = [self._draw("genuine", stream) for _ in range(half)]
        has_copies = bool(self.groups["copy"])
        rows += [
            self._draw("copy" if has_copies and stream.random() < self.recipe.copies else "synthetic", stream)
            for _ in range(half)
        ]
        return rows, [int(c) for c in stream.integers(0, 1001, len(rows))]


class Trainer:
    """The network in training."""

    def __init__(self, material: Material, rows: Index, recipe: Recipe, state_file: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.material, self.recipe, self.state_file = material, recipe, state_file
        self.sampler = Sampler(material.utterances, rows, recipe)
        self.front, self.network = LogBands(), LightNetwork(recipe.width)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.97), use_buffers=True
        )
        self.optimiser = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.decay)
        self.step = 0
        if state_file.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.state_file, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def save(self) -> None:
        """Write the state through a second file, so that a kill leaves one whole state."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        part = self.state_file.with_suffix(".part")
        torch.save(state, part)
        part.rename(self.state_file)

    def run(self, save_every: int = 50) -> nn.Module:
        """Train to the end and return the averaged network in evaluation mode."""
        while self.step < self.recipe.steps:
            loss = self._one_step()
            self.step += 1
            if self.step % save_every == 0 or self.step == self.recipe.steps:
                self.save()
                print(f"{self.state_file.stem} step {self.step} loss {loss:.3f}", flush=True)
        return self.average.module.eval()

    def _one_step(self) -> float:
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        rows, places = self.sampler.batch(self.step)
        crop = self.recipe.crop
        cut = []
        for row, place in zip(rows, places, strict=True):
            samples = self.material.samples(row)
            cut.append(fit_window(samples, crop, max(len(samples) - crop, 0) * place // 1000))
        bands = masked(self.front(torch.from_numpy(np.stack(cut))), torch.default_generator)
        is_fake = torch.tensor([float(self.material.utterances[r].is_fake) for r in rows])
        self._set_rate()
        loss = loss_with_margin(self.network.train()(bands), is_fake, torch.ones(len(rows)))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return float(loss)

    def _set_rate(self) -> None:
        done, warm = self.step / self.recipe.steps, min((self.step + 1) / 20, 1)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def scores(network: nn.Module, material: Material, rows: Index) -> npt.NDArray[np.float64]:
    """Logits of whole utterances, shorter ones repeated to three seconds."""
    front = LogBands()
    found: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(rows), 16):
            batch = np.stack([fit_window(material.samples(r), WINDOW) for r in rows[start : start + 16]])
            found.append(network(front(torch.from_numpy(batch))))
    return torch.cat(found).double().numpy()
