"""Checks of what metrics are given: two classes, finite scores, probabilities in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veridical.errors import NotEvaluableError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def labels_and_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[IntArray, FloatArray]:
    """Return labels (n,) in {0, 1} and finite scores (n,) as arrays.

    Raises:
        NotEvaluableError: when there are no rows, one class only, or scores that are NaN or infinite.
        ValueError: when the shapes differ or a label is neither 0 nor 1.
    """
    label_array, score_array = _same_length(labels, scores)
    if not np.isfinite(score_array).all():
        wrong = int((~np.isfinite(score_array)).sum())
        raise NotEvaluableError(f"{wrong} of {len(score_array)} scores are NaN or infinite")
    num_fake = int(label_array.sum())
    if num_fake in (0, len(label_array)):
        raise NotEvaluableError(f"one class only: {len(label_array) - num_fake} real, {num_fake} fake")
    return label_array, score_array


def labels_and_probabilities(labels: ArrayLike, p_fake: ArrayLike) -> tuple[IntArray, FloatArray]:
    """Return labels (n,) and probabilities of fake (n,); one class is enough.

    Raises:
        NotEvaluableError: when there are no rows, or a probability is NaN or outside [0, 1].
        ValueError: when the shapes differ or a label is neither 0 nor 1.
    """
    label_array, probability_array = _same_length(labels, p_fake)
    inside = (probability_array >= 0) & (probability_array <= 1)
    if not inside.all():
        wrong = int((~inside).sum())
        raise NotEvaluableError(f"{wrong} of {len(probability_array)} probabilities are NaN or outside [0, 1]")
    return label_array, probability_array


def _same_length(labels: ArrayLike, values: ArrayLike) -> tuple[IntArray, FloatArray]:
    raw = np.asarray(labels)
    value_array = np.asarray(values, dtype=np.float64)
    if raw.ndim != 1 or raw.shape != value_array.shape:
        raise ValueError(
            f"labels and scores must be two vectors of one length, got {raw.shape} and {value_array.shape}"
        )
    if len(raw) == 0:
        raise NotEvaluableError("no rows")
    if not np.isin(raw, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (fake)")
    return raw.astype(np.int64), value_array
