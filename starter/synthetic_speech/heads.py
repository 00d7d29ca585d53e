"""Small classifiers on fixed-length features; each returns a logit, positive = synthetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Ridge classifier on standardised, clipped features."""

    centre: Array
    scale: Array
    weights: Array
    bias: float

    def __call__(self, x_ND: Array) -> Array:
        """Return logits (N)."""
        return np.clip((x_ND - self.centre) / self.scale, -4, 4) @ self.weights + self.bias


def fit_linear(x_ND: Array, y_N: Array, weight_N: Array, penalty: float) -> Linear:
    """Weighted least squares on targets of -1 and 1 with a ridge, solved over utterances (fewer than features or alike).

    `penalty` is relative to the mean squared length of a standardised utterance, so that it means the same for every
    number of features.
    """
    share = weight_N / weight_N.sum()
    centre = share @ x_ND
    scale = np.sqrt(share @ (x_ND - centre) ** 2) + 1e-6
    z = np.clip((x_ND - centre) / scale, -4, 4).astype(np.float32)
    target = 2 * y_N - 1
    target_mean, z_mean = float(share @ target), (share.astype(np.float32) @ z)
    root = np.sqrt(share).astype(np.float32)
    rows = (z - z_mean) * root[:, None]
    gram = rows @ rows.T
    gram[np.diag_indices(len(gram))] += penalty * float(np.trace(gram)) / len(gram) * 10
    weights = rows.T @ solve(gram, (root * (target - target_mean)).astype(np.float32), assume_a="pos")
    return Linear(centre, scale, weights.astype(np.float64), target_mean - float(z_mean @ weights))
