"""Aggregation: how the logits of a video's clips become the logit of the video.

One rule serves the loss, the choice of checkpoints, calibration, prediction and evaluation alike; it is stored with the model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
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

    def selected(self, clip_logits: FloatArray, video: IntArray) -> NDArray[np.bool_]:
        """Return the clips whose mean logit is the logit of their video (n,): every rule is a mean over some of the clips.

        Args:
            clip_logits: (n,) logits; NaN where a clip could not be scored, which leaves it out.
            video: (n,) number of each clip's video, from 0.
        """
        scored = np.isfinite(clip_logits)
        if self.rule == "mean":
            return scored
        count = np.bincount(video[scored], minlength=int(video.max(initial=-1)) + 1)
        # By video, from the largest logit down, and the earlier clip first where two are equal; those without a logit last.
        order = np.lexsort((np.where(scored, -clip_logits, np.inf), video))
        size = np.bincount(video, minlength=len(count))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
        clips = count[video[order]]
        ranks: dict[str, tuple[IntArray | int, IntArray | int]] = {
            "max": (0, 0),
            "median": ((clips - 1) // 2, clips // 2),
            "top-k": (0, self.top_k - 1),
        }
        first, last = ranks[self.rule]
        chosen = np.zeros(len(order), dtype=bool)
        chosen[order] = (rank >= first) & (rank <= last)
        return chosen & scored

    def video_logits(self, clip_logits: FloatArray, video: IntArray, num_videos: int) -> FloatArray:
        """Aggregate clip logits into video logits.

        Args:
            clip_logits: (n,) logits; NaN where a clip could not be scored, which leaves it out.
            video: (n,) number of each clip's video, 0 to num_videos - 1.
            num_videos: V.

        Returns:
            (V,) logits; NaN for a video without a scored clip.
        """
        chosen = self.selected(clip_logits, video)
        logits, video = clip_logits[chosen], video[chosen]
        count = np.bincount(video, minlength=num_videos)
        sums = np.bincount(video, weights=logits, minlength=num_videos)
        result = np.full(num_videos, np.nan)
        result[count > 0] = sums[count > 0] / count[count > 0]
        return result

    def video_logit(self, clip_logits: FloatArray) -> float:
        """Return the logit of one video from those of its clips (n,); NaN without a scored clip."""
        logits = np.asarray(clip_logits, dtype=np.float64)
        return float(self.video_logits(logits, np.zeros(len(logits), dtype=np.int64), 1)[0])
