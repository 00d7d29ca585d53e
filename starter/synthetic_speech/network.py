"""A light convolutional network with max-feature-map units on a linear-band log spectrogram.

LCNN: Wu et al. 2018, arXiv:1511.02683; for speech: Lavrentyeva et al. 2019, arXiv:1904.05576. Departures: a fifth of the
width, linear bands in place of LFCC, mean and deviation over time in place of a recurrent layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthetic_speech.features import linear_matrix

# B utterances, S samples, C channels, F bands, T frames

NUM_BANDS, SIZE, HOP = 80, 400, 200


class LogBands(nn.Module):
    """Sound (B, S) to log linear-band energies (B, 1, F, T), their mean over time removed."""

    matrix: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            "matrix", torch.tensor(linear_matrix(NUM_BANDS, 257), dtype=torch.float32), persistent=False
        )
        self.register_buffer("window", torch.hann_window(SIZE), persistent=False)

    def forward(self, samples_BS: Tensor) -> Tensor:
        """Return log energies, bands centred over the utterance, scaled to about one."""
        waves = torch.stft(samples_BS, 512, HOP, SIZE, self.window, center=False, return_complex=True)
        logs = torch.log(self.matrix @ waves.abs() ** 2 + 1e-5)
        return ((logs - logs.mean(2, keepdim=True)) / 3)[:, None]


class MaxFeatureMap(nn.Module):
    """Convolution whose output is the larger of two halves."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, 2 * outputs, size, padding=size // 2, bias=False)
        self.norm = nn.BatchNorm2d(2 * outputs)

    def forward(self, x_BCFT: Tensor) -> Tensor:
        """(B, inputs, F, T) to (B, outputs, F, T)."""
        first, second = self.norm(self.convolution(x_BCFT)).chunk(2, 1)
        return torch.maximum(first, second)


class LightNetwork(nn.Module):
    """Log bands (B, 1, F, T) to one logit an utterance (B); any number of frames from 32."""

    def __init__(self, width: int = 8, dropout: float = 0.4) -> None:
        super().__init__()
        self.bands = nn.Parameter(torch.zeros(1, 1, NUM_BANDS, 1))
        self.body = nn.Sequential(
            MaxFeatureMap(1, width, 5), nn.MaxPool2d(2),
            MaxFeatureMap(width, 2 * width, 3), nn.MaxPool2d(2),
            MaxFeatureMap(2 * width, 3 * width, 3), nn.MaxPool2d(2),
            MaxFeatureMap(3 * width, 4 * width, 3), nn.MaxPool2d(2, ceil_mode=True),
        )  # fmt: skip
        size = 4 * width * -(-NUM_BANDS // 16)
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * size, 32), nn.SiLU(), nn.Dropout(dropout), nn.Linear(32, 1)
        )

    def forward(self, bands_B1FT: Tensor) -> Tensor:
        """Return logits, positive = synthetic."""
        x = self.body(bands_B1FT + self.bands).flatten(1, 2)
        return self.head(torch.cat([x.mean(2), x.std(2, correction=0)], 1))[:, 0]


def masked(bands_B1FT: Tensor, stream: torch.Generator) -> Tensor:
    """Zero one stretch of up to 12 bands and one of up to 20 frames (SpecAugment: Park et al. 2019)."""
    out = bands_B1FT.clone()
    for axis, most in ((2, 12), (3, 20)):
        count = out.shape[axis]
        for row in out:
            width = int(torch.randint(0, most + 1, (), generator=stream))
            start = int(torch.randint(0, count - width + 1, (), generator=stream))
            row.narrow(axis - 1, start, width).zero_()
    return out


def loss_with_margin(logits_B: Tensor, is_fake_B: Tensor, weight_B: Tensor, smoothing: float = 0.05) -> Tensor:
    """Weighted cross-entropy with smoothed targets."""
    target = is_fake_B * (1 - 2 * smoothing) + smoothing
    return (F.binary_cross_entropy_with_logits(logits_B, target, reduction="none") * weight_B).sum() / weight_B.sum()
