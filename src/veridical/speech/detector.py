"""The detector of synthetic speech: early Whisper states of 3 s windows, pooled, and a linear head with a calibrated logit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.special import expit
from torch import Tensor

from veridical.artefacts import read_json
from veridical.errors import ArtefactError
from veridical.media import UnusableVideoError, audio_samples
from veridical.preparation import SpeechDetector as VoiceActivity
from veridical.settings import Settings, parse_settings
from veridical.speech.encoder import SpeechEncoder, dequantised
from veridical.speech.windows import RATE_HZ, Samples, active_windows

STARTER = Path(__file__).parent / "starter"
"""The detector that travels with the package."""
FACTS_FILE, WEIGHTS_FILE = "speech.json", "speech.safetensors"
SCHEMA_VERSION = 1
NOISE_FLOOR = 10**-3.25
"""Deviation of the faint noise under every window: no recording is told by the digital silence between its words."""
MAX_FEATURE = 4.0
"""Standardised features are cut off here."""


class SpeechFacts(Settings):
    """What `speech.json` says of a detector of synthetic speech."""

    kind: str
    schema_version: int
    name: str
    version: str
    """Named beside every verdict."""
    window_s: float = Field(gt=0, le=3)
    most_windows: int = Field(ge=1)
    """Windows of a recording that are scored, those with the most active sound."""
    min_speech_s: float = Field(ge=0)
    """Speech that a recording must hold to be scored."""
    num_blocks: int = Field(ge=1, le=4)
    """Blocks of the encoder."""
    states: tuple[int, ...]
    """Which states are pooled: 0 after the convolutions, then one after each block."""
    threshold: float = Field(gt=0, lt=1)
    """Probability from which a recording is called synthetic."""
    operating_point: str
    """What the threshold means, in words."""
    worth: str
    """What a verdict is worth, in words: figures on synthesisers and speakers that were held out."""
    limits: str
    """What it cannot do, in words."""


@dataclass(frozen=True)
class WindowScore:
    """One window of a recording."""

    start_s: float
    logit: float
    """Calibrated, higher = more likely synthetic."""
    p_fake: float


@dataclass(frozen=True)
class SpeechPrediction:
    """What the detector says of the voice in a recording; video is not scored."""

    path: Path
    logit: float
    """Mean over the windows."""
    p_fake: float
    """Probability that the voice is synthetic, at equal numbers of genuine and synthetic recordings."""
    is_called_synthetic: bool
    """Whether `p_fake` reaches the threshold; False does not mean genuine."""
    windows: tuple[WindowScore, ...]
    duration_s: float
    speech_s: float
    """Seconds of speech."""
    model_version: str

    def as_json(self) -> dict[str, object]:
        """Return the prediction as JSON holds it; what was not scored is said."""
        return {**asdict(self), "path": str(self.path), "status": "ok", "video": "not scored"}


class SyntheticSpeechDetector:
    """Scores recordings. Make one with `load_speech_detector`."""

    def __init__(self, facts: SpeechFacts, tensors: Mapping[str, Tensor]) -> None:
        self.facts = facts
        self._head = {name: tensors[f"head.{name}"].double().numpy() for name in ("centre", "scale", "weights", "bias")}
        self._encoder = SpeechEncoder(facts.num_blocks)
        encoder = {name.removeprefix("encoder."): tensor for name, tensor in tensors.items() if name[:8] == "encoder."}
        self._encoder.load_state_dict(dequantised(encoder))
        self._encoder.eval().requires_grad_(False)
        self._voice_activity = VoiceActivity()

    def predict(self, path: str | Path) -> SpeechPrediction:
        """Score the voice in a sound file, or in the audio track of a video.

        Raises:
            UnusableVideoError: with status and reason, when there is no audio track, or too little speech in it.
        """
        path = Path(path)
        samples = audio_samples(path, rate_hz=RATE_HZ, beside=True)
        if samples is None:
            raise UnusableVideoError("unreadable", "no audio track", path)
        speech = self._voice_activity.mask(samples)
        speech_s = float(speech.sum()) * 0.02
        if speech_s < self.facts.min_speech_s:
            needed = f"at least {self.facts.min_speech_s:g} s are needed"
            raise UnusableVideoError("too_short", f"{speech_s:.1f} s of speech, {needed}", path)
        windows = self.score(samples)
        logit = float(np.mean([window.logit for window in windows]))
        p_fake = float(expit(logit))
        called = p_fake >= self.facts.threshold
        duration_s = len(samples) / RATE_HZ
        return SpeechPrediction(path, logit, p_fake, called, windows, duration_s, speech_s, self.facts.version)

    def score(self, samples: Samples) -> tuple[WindowScore, ...]:
        """Score the windows of a recording, (S,) mono samples at 16 kHz in [-1, 1]."""
        windows = active_windows(samples, self.facts.window_s, self.facts.most_windows)
        logits = [self._logit(window.samples) for window in windows]
        return tuple(
            WindowScore(window.start_s, logit, float(expit(logit)))
            for window, logit in zip(windows, logits, strict=True)
        )

    def _logit(self, samples: Samples) -> float:
        floor = np.random.default_rng(0).normal(0, NOISE_FLOOR, len(samples))
        states = self._encoder.features(np.asarray(samples + floor, np.float32))
        features = np.concatenate([states[number] for number in self.facts.states])
        standardised = (features - self._head["centre"]) / self._head["scale"]
        value = np.clip(standardised, -MAX_FEATURE, MAX_FEATURE) @ self._head["weights"] + self._head["bias"][0]
        return float(value)


@cache
def load_speech_detector(folder: Path = STARTER) -> SyntheticSpeechDetector:
    """Load a detector of synthetic speech; the one that travels with the package when no folder is named.

    Raises:
        ArtefactError: when the folder holds none, or it is damaged.
    """
    try:
        values = read_json(folder / FACTS_FILE)
        tensors = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"{folder}: holds no detector of synthetic speech ({error})") from None
    facts = parse_settings(SpeechFacts, values, str(folder / FACTS_FILE))
    if (facts.kind, facts.schema_version) != ("speech", SCHEMA_VERSION):
        raise ArtefactError(
            f"{folder / FACTS_FILE}: not a detector of synthetic speech of schema version {SCHEMA_VERSION}"
        )
    return SyntheticSpeechDetector(facts, tensors)
