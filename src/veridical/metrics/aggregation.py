"""Aggregation: how the logits of a video's clips become the logit of the video.

One rule serves the loss, the choice of checkpoints, calibration, prediction and evaluation alike; it is stored with the model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from veridical.metrics.checks import FloatArray, IntArray
from veridical.settings import Settings

AggregationRule = Literal["mean", "max", "top-k", "median"]


class Aggregation(Settings):
    """How the logits of a video's clips become the logit of the video."""

    rule: AggregationRule = "mean"
    """`mean`, `max`, `median`, or `top-k`: the mean of the `top_k` largest, which suits partial fakes."""
    top_k: int = Field(default=3, ge=1)
    """Number of clips that `top-k` averages; a video with fewer clips uses all of them."""

    def __str__(self) -> str:
        """Return the rule as it is printed: `mean`, `top-3`."""
        return f"top-{self.top_k}" if self.rule == "top-k" else self.rule

    def video_logits(self, clip_logits: FloatArray, video: IntArray, num_videos: int) -> FloatArray:
        """Aggregate clip logits into video logits.

        Args:
            clip_logits: (n,) logits; NaN where a clip could not be scored, which leaves it out.
            video: (n,) position of each clip's video, 0 to num_videos - 1.
            num_videos: V.

        Returns:
            (V,) logits; NaN for a video without a scored clip.
        """
        scored = np.isfinite(clip_logits)
        logits, video = clip_logits[scored], video[scored]
        count = np.bincount(video, minlength=num_videos)
        result = np.full(num_videos, np.nan)
        present = count > 0
        if self.rule == "mean":
            result[present] = np.bincount(video, weights=logits, minlength=num_videos)[present] / count[present]
            return result
        order = np.lexsort((-logits, video))
        ordered = logits[order]
        start = np.concatenate([[0], np.cumsum(count)[:-1]])
        if self.rule == "max":
            result[present] = ordered[start[present]]
        elif self.rule == "median":
            low, high = start + np.maximum(count - 1, 0) // 2, start + count // 2
            result[present] = (ordered[low[present]] + ordered[high[present]]) / 2
        else:
            rank = np.arange(len(ordered)) - np.repeat(start, count)
            kept = rank < self.top_k
            sums = np.bincount(video[order][kept], weights=ordered[kept], minlength=num_videos)
            result[present] = sums[present] / np.minimum(count, self.top_k)[present]
        return result

    def video_logit(self, clip_logits: FloatArray) -> float:
        """Return the logit of one video from those of its clips (n,); NaN without a scored clip."""
        logits = np.asarray(clip_logits, dtype=np.float64)
        return float(self.video_logits(logits, np.zeros(len(logits), dtype=np.int64), 1)[0])
