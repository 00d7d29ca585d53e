"""Confidence intervals by a bootstrap over leak groups: whole groups are drawn with replacement, never single rows.

Rows of one group (clips of a video, a fake and the real it was made from) are not independent; drawing rows would make
intervals too narrow. One draw of group weights serves every figure of a dataset, so that differences between slices or
conditions are paired.

What keeps it fast, and its coverage right:
- the weight of fakes and reals at each distinct score is a sparse matrix (K, G) times the group weights (G, B);
- above `MAX_SCORE_BINS` distinct scores the replicates (never the value itself) use equal-count score bins; above
  `MAX_GROUPS` groups, groups are merged at random into that many clusters, which leaves the variance unbiased.

How replicates become an interval that holds when groups are few: `metrics.intervals`.

Shapes: n rows, G groups, K score bins, B replicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from veridical.errors import NotEvaluableError
from veridical.metrics.checks import FloatArray, IntArray, labels_and_scores
from veridical.metrics.intervals import Interval, Support, auc_interval, group_variance
from veridical.metrics.ranking import RocCurves, auc_of, curves_from_counts, roc_auc
from veridical.randomness import stream

MAX_GROUPS = 20_000
MAX_SCORE_BINS = 8_192
_CHUNK = 250
Rows = NDArray[np.bool_] | IntArray
"""Which of the n units the rows are: a mask (n,), or positions (m,), among which a unit may recur (clips of a video)."""


@dataclass(frozen=True, eq=False)
class GroupBootstrap:
    """Group weights drawn once for a set of rows, from which every figure gets its replicates."""

    cluster: IntArray
    """(n,) which of the G drawn units each row belongs to."""
    weights: NDArray[np.uint16]
    """(G, B) how often each unit is in each replicate."""

    @property
    def num_clusters(self) -> int:
        """G."""
        return int(self.weights.shape[0])

    @property
    def replicates(self) -> int:
        """B."""
        return int(self.weights.shape[1])

    def totals(self, values: FloatArray, rows: Rows) -> FloatArray:
        """Return weighted sums (B, C) of the values (m, C) of the selected m rows."""
        columns = np.arange(values.shape[1])
        summed = [self.binned_totals(values[:, column], np.zeros(len(values), int), 1, rows) for column in columns]
        return np.concatenate(summed, axis=1)

    def binned_totals(self, values: FloatArray, bins: IntArray, num_bins: int, rows: Rows) -> FloatArray:
        """Return weighted sums (B, num_bins) of the values (m,) of the selected rows that fall into each bin (m,)."""
        place = self.cluster[rows] * num_bins + bins
        per_group = np.bincount(place, weights=values, minlength=self.num_clusters * num_bins)
        return np.asarray(self.weights.T.astype(np.float32) @ per_group.reshape(self.num_clusters, num_bins))

    def curves(self, labels: IntArray, scores: FloatArray, rows: Rows) -> Iterator[RocCurves]:
        """Yield ROC curves of the selected rows, up to 250 replicates at a time.

        Args:
            labels: (m,) of the selected rows.
            scores: (m,) of the selected rows.
            rows: Which units they are.
        """
        thresholds, bins = score_bins(scores)
        shape = (len(thresholds), self.num_clusters)
        cluster = self.cluster[rows]
        fake, real = (
            scipy.sparse.coo_array((np.ones(mask.sum(), np.float32), (bins[mask], cluster[mask])), shape=shape).tocsr()
            for mask in (labels == 1, labels == 0)
        )
        for start in range(0, self.replicates, _CHUNK):
            weights = self.weights[:, start : start + _CHUNK].astype(np.float32)
            yield curves_from_counts(thresholds, fake @ weights, real @ weights)


def score_bins(scores: FloatArray, limit: int = MAX_SCORE_BINS) -> tuple[FloatArray, IntArray]:
    """Return (K,) descending thresholds and the (m,) position of each score among them; at most `limit` are kept.

    Up to the limit each distinct score is a bin of its own; beyond it the bins hold equally many distinct scores and
    their threshold is the lowest score in them.
    """
    distinct, position = np.unique(scores, return_inverse=True)
    position = len(distinct) - 1 - position
    thresholds = distinct[::-1]
    if len(distinct) > limit:
        bin_of = (np.arange(len(distinct)) * limit) // len(distinct)
        last = np.flatnonzero(np.diff(bin_of, append=limit))
        thresholds, position = thresholds[last], bin_of[position]
    return thresholds, position


def draw_groups(groups: ArrayLike, *, replicates: int = 1000, seed: int = 0) -> GroupBootstrap:
    """Draw group weights for (n,) group names or codes.

    Args:
        groups: What belongs together; one entry per row.
        replicates: B.
        seed: Same seed and number of groups, same weights.
    """
    distinct, codes = np.unique(np.asarray(groups), return_inverse=True)
    num_groups = len(distinct)
    rng = stream(seed, "group bootstrap", num_groups)
    cluster = codes.astype(np.int64)
    if num_groups > MAX_GROUPS:
        cluster = (rng.permutation(num_groups) % MAX_GROUPS)[codes]
        num_groups = MAX_GROUPS
    weights = np.empty((num_groups, replicates), dtype=np.uint16)
    for replicate in range(replicates):
        drawn = rng.integers(0, num_groups, num_groups)
        weights[:, replicate] = np.bincount(drawn, minlength=num_groups)
    return GroupBootstrap(cluster, weights)


def label_support(bootstrap: GroupBootstrap, labels: IntArray, rows: Rows) -> Support:
    """Return the videos and drawn units of both classes behind the selected rows (m,)."""
    cluster = bootstrap.cluster[rows]
    real, fake = (np.bincount(cluster[labels == value], minlength=bootstrap.num_clusters) > 0 for value in (0, 1))
    num_fake = int(labels.sum())
    return Support(num_fake, len(labels) - num_fake, int(fake.sum()), int(real.sum()), int((real | fake).sum()))


def group_bootstrap_auc(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, *, replicates: int = 1000, seed: int = 0
) -> tuple[float, Interval]:
    """Return the AUC of (n,) rows and its 95 % interval over groups.

    Raises:
        NotEvaluableError: one class only, scores that are not finite, or too few groups.
    """
    label_array, score_array = labels_and_scores(labels, scores)
    bootstrap = draw_groups(groups, replicates=replicates, seed=seed)
    rows = np.ones(len(label_array), dtype=bool)
    replicated = np.concatenate([auc_of(curves) for curves in bootstrap.curves(label_array, score_array, rows)])
    support = label_support(bootstrap, label_array, rows)
    if support.too_few:
        raise NotEvaluableError(support.too_few)
    value = roc_auc(label_array, score_array)
    return value, auc_interval(value, group_variance(replicated, support.fewest), support)
