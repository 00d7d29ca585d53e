"""The convolutions and first blocks of the Whisper tiny.en encoder, and what is kept of their states.

Radford et al. 2022, arXiv:2212.04356; weights MIT. Early blocks tell synthetic from genuine speech better than late ones
(LOG.md), so that two of four blocks are kept, as int8 with a scale for each row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veridical.speech.windows import STEP, Samples, active_steps

# B windows, S samples, M mel bands, A steps of 20 ms, D features, L states

WIDTH, HEADS, POSITIONS, MEL_BANDS = 384, 6, 150, 80


def mel_filters() -> Tensor:
    """Return the 80 mel filters (80, 201) that Whisper was trained with: Slaney's scale and normalisation."""

    def to_mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + float(np.log(hertz / 1000)) / (float(np.log(6.4)) / 27)

    mels = np.linspace(to_mel(0), to_mel(8000), MEL_BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    bins = np.linspace(0, 8000, 201)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return torch.tensor(filters, dtype=torch.float32)


class EncoderBlock(nn.Module):
    """A pre-norm transformer block; its key has no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.value, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x_BAD: Tensor) -> Tensor:
        """Return (B, A, D) after attention and the feed-forward layers."""
        normed_BAD = self.attention_norm(x_BAD)
        query, key, value = (
            layer(normed_BAD).unflatten(2, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x_BAD = x_BAD + self.out(attended)
        update: Tensor = self.down(F.gelu(self.up(self.mlp_norm(x_BAD))))
        return x_BAD + update


class SpeechEncoder(nn.Module):
    """From samples to the states after the convolutions and after each block."""

    mel: Tensor

    def __init__(self, num_blocks: int) -> None:
        super().__init__()
        self.register_buffer("mel", mel_filters(), persistent=False)
        self.conv1 = nn.Conv1d(MEL_BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.blocks = nn.ModuleList(EncoderBlock() for _ in range(num_blocks))

    def log_mel(self, samples_BS: Tensor) -> Tensor:
        """Return the log-mel spectrogram (B, M, steps of 10 ms), scaled as in Whisper's training."""
        spectrum = torch.stft(samples_BS, 400, 160, window=torch.hann_window(400), return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        logs = torch.log10((self.mel @ power).clamp(min=1e-10))
        return (torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def forward(self, samples_BS: Tensor) -> list[Tensor]:
        """Return L states (B, A, D): after the convolutions, and after each block. At most 3 s of samples."""
        x_BAD = F.gelu(self.conv2(F.gelu(self.conv1(self.log_mel(samples_BS))))).transpose(1, 2)
        states = [x_BAD + self.positions[: x_BAD.shape[1]]]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states

    @torch.inference_mode()
    def features(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Return what is kept of a window (L, 3 D): mean, deviation, and deviation of the steps, over active steps."""
        samples = samples[: POSITIONS * STEP]
        states_LAD = torch.stack(self(torch.from_numpy(samples[None])))[:, 0]
        marks = active_steps(samples)
        length = min(len(marks), states_LAD.shape[1])
        used = torch.from_numpy(marks[:length])
        active, steps = states_LAD[:, :length][:, used], states_LAD[:, :length].diff(dim=1)[:, used[1:]]
        parts = [active.mean(1), active.std(1, correction=0), steps.pow(2).mean(1).sqrt()]
        return np.asarray(torch.cat(parts, 1).double().numpy())


def dequantised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return float tensors from int8 tensors `name` and their scales by row `name.scale`; others are only converted."""
    weights = {}
    for name, tensor in tensors.items():
        if name.endswith(".scale"):
            continue
        scale = tensors.get(f"{name}.scale")
        rows = 1.0 if scale is None else scale.float().reshape(-1, *[1] * (tensor.ndim - 1))
        weights[name] = tensor.float() * rows
    return weights
