"""Abstention with a guarantee: class-conditional (Mondrian) split conformal prediction for real and fake.

A label belongs to the prediction set of a video unless the video is less typical of that label than all but a share
`error_rate` of the validation videos that have it. For exchangeable videos the true label is missing from the set in at
most that share of cases, for reals and for fakes alike (V. Vovk, "Conditional validity of inductive conformal
predictors", 2012). Where the set is not a single label, the answer is "cannot tell". Videos of another corpus are not
exchangeable with the validation videos: the guarantee is void there, and the actual error rate has to be measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from veridical.errors import NotEvaluableError
from veridical.metrics.checks import FloatArray, IntArray, labels_and_scores

ABSTAIN = -1


@dataclass(frozen=True)
class ConformalRule:
    """When to say fake, real, or cannot tell."""

    error_rate: float
    fake_from: float
    """Fake is possible from this logit upwards."""
    real_to: float
    """Real is possible up to this logit."""

    def decide(self, logits: FloatArray) -> IntArray:
        """Return (n,) 1 fake, 0 real, -1 cannot tell (both are possible, or neither)."""
        fake, real = logits >= self.fake_from, logits <= self.real_to
        return np.where(fake & ~real, 1, np.where(real & ~fake, 0, ABSTAIN)).astype(np.int64)

    def excludes(self, labels: IntArray, logits: FloatArray) -> IntArray:
        """Return (n,) 1 where the true label is not in the prediction set."""
        inside = np.where(labels == 1, logits >= self.fake_from, logits <= self.real_to)
        return (~inside).astype(np.int64)


def fit_conformal(labels: ArrayLike, logits: ArrayLike, error_rate: float = 0.1) -> ConformalRule:
    """Find the rule on validation videos.

    Raises:
        NotEvaluableError: one class only, logits that are not finite, or so few videos of a class (fewer than
            1 / error_rate - 1) that only abstaining always would guarantee the error rate.
    """
    label_array, logit_array = labels_and_scores(labels, logits)
    ends = []
    for label, sign in ((1, 1.0), (0, -1.0)):
        typical = np.sort(sign * logit_array[label_array == label])
        rank = int(np.floor(error_rate * (len(typical) + 1)))
        if rank == 0:
            needed = int(np.ceil(1 / error_rate - 1))
            raise NotEvaluableError(
                f"an error rate of {error_rate:g} needs at least {needed} validation videos of each class, found {len(typical)}"
            )
        ends.append(sign * float(typical[rank - 1]))
    return ConformalRule(error_rate, fake_from=ends[0], real_to=ends[1])
