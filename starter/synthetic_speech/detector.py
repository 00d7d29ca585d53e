"""The packaged detector: members' weights in one safetensors file, facts in JSON beside it.

>>> verdict = SpeechDetector.load(folder).judge(read_audio(path))
>>> verdict.p_fake
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from synthetic_speech.audio import (
    RATE_HZ,
    WINDOW,
    Samples,
    fit_window,
    frame_levels_db,
    prepare,
    read_audio,
    speech_windows,
    trim_silence,
)
from synthetic_speech.calibration import Calibration
from synthetic_speech.features import FEATURES
from synthetic_speech.heads import Linear
from synthetic_speech.network import LightNetwork, LogBands
from synthetic_speech.quantised import restore
from synthetic_speech.whisper import EarlyWhisper, pooled


@dataclass(frozen=True)
class Member:
    """One scorer: `linear` on named features or `network`, its scale from held-out scores, its share of the sum."""

    name: str
    kind: str
    features: tuple[str, ...]
    centre: float
    spread: float
    share: float


@dataclass(frozen=True)
class Facts:
    """What the JSON file says."""

    sample_rate_hz: int
    window_s: float
    most_windows: int
    shortest_s: float
    members: tuple[Member, ...]
    whisper_blocks: int
    network_width: int
    calibration: Calibration
    threshold: float
    operating_point: str
    material: str
    figures: dict[str, object]

    @staticmethod
    def read(path: Path) -> Facts:
        """Read and type the JSON file."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        members = tuple(Member(**{**m, "features": tuple(m["features"])}) for m in raw.pop("members"))
        return Facts(members=members, calibration=Calibration(**raw.pop("calibration")), **raw)


@dataclass(frozen=True)
class Verdict:
    """`p_fake` is None where nothing was judged; `reason` says why."""

    p_fake: float | None
    is_called_fake: bool
    window_p_fake: tuple[float, ...]
    reason: str = ""


class SpeechDetector:
    """Judges 16 kHz mono speech by the mean of its windows."""

    def __init__(self, facts: Facts, weights: dict[str, Tensor]) -> None:
        self.facts, self.weights = facts, weights
        self.heads = {m.name: _linear(weights, m.name) for m in facts.members if m.kind == "linear"}
        self.networks = [
            (m.name, _network(weights, m.name, facts.network_width)) for m in facts.members if m.kind == "network"
        ]
        self.front = LogBands()
        self.whisper = _whisper(weights, facts.whisper_blocks) if self._needs_whisper() else None

    @staticmethod
    def load(folder: Path) -> SpeechDetector:
        """Read `speech.json` and `speech.safetensors`."""
        return SpeechDetector(Facts.read(folder / "speech.json"), load_file(folder / "speech.safetensors"))

    def save(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.weights, folder / "speech.safetensors")
        (folder / "speech.json").write_text(json.dumps(asdict(self.facts), indent=1), encoding="utf-8")

    def _needs_whisper(self) -> bool:
        return any(f.startswith("whisper") for m in self.facts.members for f in m.features)

    def judge(self, samples_S: Samples) -> Verdict:
        """Judge sound of any length; silence and shreds are not judged."""
        if len(samples_S) == 0 or frame_levels_db(samples_S).max() < -65:
            return Verdict(None, False, (), "no sound above -65 dB")
        speech = trim_silence(samples_S)
        if len(speech) < self.facts.shortest_s * RATE_HZ:
            return Verdict(None, False, (), f"less than {self.facts.shortest_s} s of sound")
        windows = [prepare(w)[:WINDOW] for w in speech_windows(speech, self.facts.most_windows)]
        logits = np.array([self.logit(w) for w in windows])
        p = float(self.facts.calibration.p_fake(logits.mean(keepdims=True))[0])
        by_window = tuple(float(v) for v in self.facts.calibration.p_fake(logits))
        return Verdict(p, p >= self.facts.threshold, by_window)

    def judge_file(self, path: Path) -> Verdict:
        """Judge the first audio track of a file."""
        return self.judge(read_audio(path))

    def member_logits(self, samples_S: Samples) -> dict[str, float]:
        """Scores of the members for one prepared window."""
        samples_S = np.asarray(samples_S + np.random.default_rng(0).normal(0, 10**-3.25, len(samples_S)), np.float32)
        vectors = self._vectors(samples_S)
        found = {
            m.name: float(self.heads[m.name](np.concatenate([vectors[f] for f in m.features])[None])[0])
            for m in self.facts.members
            if m.kind == "linear"
        }
        if self.networks:
            with torch.inference_mode():
                bands = self.front(torch.from_numpy(fit_window(samples_S)[None].copy()))
                found |= {name: float(network(bands)) for name, network in self.networks}
        return found

    def _vectors(self, samples_S: Samples) -> dict[str, np.ndarray]:
        wanted = {f for m in self.facts.members for f in m.features}
        vectors: dict[str, np.ndarray] = {f: FEATURES[f](samples_S) for f in wanted if f in FEATURES}
        if self.whisper is not None:
            vectors |= {f"whisper{level}": v for level, v in enumerate(pooled(self.whisper, samples_S))}
        return vectors

    def logit(self, samples_S: Samples) -> float:
        """Combined score of one prepared window, before calibration."""
        found = self.member_logits(samples_S)
        return sum(m.share * (found[m.name] - m.centre) / m.spread for m in self.facts.members)


def pack_linear(name: str, head: Linear) -> dict[str, Tensor]:
    """Name the arrays of a linear head."""
    arrays = {"centre": head.centre, "scale": head.scale, "weights": head.weights, "bias": np.array([head.bias])}
    return {f"{name}.{key}": torch.tensor(value, dtype=torch.float32) for key, value in arrays.items()}


def _part(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _linear(weights: dict[str, Tensor], name: str) -> Linear:
    part = {key: value.double().numpy() for key, value in _part(weights, name).items()}
    return Linear(part["centre"], part["scale"], part["weights"], float(part["bias"][0]))


def _network(weights: dict[str, Tensor], name: str, width: int) -> LightNetwork:
    network = LightNetwork(width)
    network.load_state_dict({k: v if v.dtype == torch.int64 else v.float() for k, v in _part(weights, name).items()})
    return network.eval()


def _whisper(weights: dict[str, Tensor], num_blocks: int) -> EarlyWhisper:
    model = EarlyWhisper(num_blocks)
    model.load_state_dict(restore(_part(weights, "encoder")))
    return model.eval()
