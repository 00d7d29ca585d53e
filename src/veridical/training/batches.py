"""Drawing batches: a pure function of (data, seed, stage, epoch), so that a resumed run draws the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from veridical.randomness import stream
from veridical.settings import Settings

Rows = npt.NDArray[np.int64]
LOOK_AHEAD = 64
"""How many places ahead to look for a video that is not yet in the batch."""


class BatchSettings(Settings):
    """How batches are drawn."""

    also_called: ClassVar[Mapping[str, str]] = {
        "balanced": "balance",
        "pairs": "balance=pairs",
        "class_weights": "balance=weights",
    }

    videos: int = Field(8, ge=2)
    """Videos per batch."""
    clips: int = Field(4, ge=1)
    """Clips of each; 8 x 4 is the strategy's batch of 32."""
    balance: Literal["classes", "pairs", "weights", "none"] = "classes"
    """`classes`: half of a batch's videos are real, half fake, the fakes spread evenly over generators. `pairs`: the same, with
    each fake next to the real video that it was made from where that is known, so that person, room and voice say nothing about
    the label. `weights` and `none` draw every video once per epoch, whatever its label; with `weights` clips are weighted in
    the segment term inversely to the share of their class."""
    hard_examples: float = Field(0.0, ge=0, lt=1)
    """Share of the places that go to videos in proportion to their loss in the previous epoch, instead of all alike."""


def epoch_batches(
    index: pd.DataFrame,
    settings: BatchSettings,
    seed: int,
    stage: str,
    epoch: int,
    hardness: Mapping[str, float] | None = None,
) -> list[Rows]:
    """Return the batches of an epoch: arrays of store rows, a video's clips next to each other.

    Args:
        index: Training clips: row, video_id, target (0 or 1), generator (None for real videos); for pairs also origin.
        settings: Videos per batch, clips per video, balance.
        seed: Seed of the run.
        stage: Name of the stage.
        epoch: Number of the epoch in the stage.
        hardness: Mean loss of videos in the previous epoch, for `hard_examples`.

    An epoch has as many batches as hold all clips once. Balanced, the fakes of a batch take turns over the generators, and
    the class with fewer videos repeats them.
    """
    randomness = stream(seed, "batches", stage, epoch)
    clips_of = {str(video): group.to_numpy() for video, group in index.groupby("video_id", sort=True)["row"]}
    videos = _videos(index)
    num_batches = max(1, round(len(index) / (settings.videos * settings.clips)))
    draw = _Draw(randomness, settings.hard_examples, hardness or {})
    if settings.balance in ("classes", "pairs"):
        orders = _balanced_orders(videos, settings, num_batches, draw)
    else:
        names = draw.repeated(videos["video_id"].to_list(), num_batches * settings.videos)
        orders = _cut(_apart(names, settings.videos, {}, {}), settings.videos, num_batches)
    return [np.concatenate([_draw(clips_of[name], settings.clips, randomness) for name in names]) for names in orders]


def count_paired(index: pd.DataFrame) -> tuple[int, int]:
    """Return how many fakes have their original among the clips, and how many fakes there are."""
    videos = _videos(index)
    fakes = videos[videos["target"] == 1]
    return int(fakes["origin"].isin(videos.loc[videos["target"] == 0, "video_id"]).sum()), len(fakes)


def _videos(index: pd.DataFrame) -> pd.DataFrame:
    """Return a row per video; one with any forged clip is a fake."""
    return index.sort_values(["video_id", "target"]).drop_duplicates("video_id", keep="last")


def class_weights(index: pd.DataFrame) -> tuple[float, float]:
    """Return the weights of real and of fake clips, inverse to the share of their class; the mean over all clips is 1."""
    num_fake = int((index["target"] == 1).sum())
    num_real = len(index) - num_fake
    return len(index) / (2 * num_real), len(index) / (2 * num_fake)


@dataclass(frozen=True)
class _Draw:
    """Draws videos."""

    randomness: np.random.Generator
    hard_share: float
    hardness: Mapping[str, float]

    def repeated(self, names: Sequence[str], length: int) -> list[str]:
        """Return names in random order, as many as asked for, every name once before any name twice.

        A share of the places then goes to names in proportion to their hardness; unknown hardness counts as the mean.
        """
        result: list[str] = []
        while len(result) < length:
            result.extend(names[i] for i in self.randomness.permutation(len(names)))
        result = result[:length]
        if not self.hard_share or not self.hardness:
            return result
        usual = float(np.mean(list(self.hardness.values())))
        weights = np.array([self.hardness.get(name, usual) for name in names]) + 1e-9
        hard = self.randomness.choice(len(names), length, p=weights / weights.sum())
        taken = self.randomness.random(length) < self.hard_share
        return [names[j] if take else name for name, j, take in zip(result, hard, taken, strict=True)]


def _balanced_orders(videos: pd.DataFrame, settings: BatchSettings, num_batches: int, draw: _Draw) -> list[list[str]]:
    num_real = settings.videos // 2
    num_fake = settings.videos - num_real
    real = draw.repeated(videos[videos["target"] == 0]["video_id"].to_list(), num_batches * num_real)
    real = _apart(real, num_real, {}, {})
    fakes = videos[videos["target"] == 1]
    generator = dict(zip(fakes["video_id"], fakes["generator"].fillna(""), strict=True))
    by_generator = [group["video_id"].to_list() for _, group in fakes.groupby(fakes["generator"].fillna(""), sort=True)]
    # Spare fakes replace those whose original is already in the batch.
    spare = num_fake if settings.balance == "pairs" else 0
    per_generator = -(-num_batches * num_fake // len(by_generator)) + spare
    columns = [draw.repeated(names, per_generator) for names in by_generator]
    fake = [name for row in zip(*columns, strict=True) for name in row]
    partner = _partners(videos) if settings.balance == "pairs" else {}
    fake_batches = _cut(_apart(fake, num_fake, partner, generator), num_fake, num_batches)
    real_batches = _cut(real, num_real, num_batches)
    if settings.balance == "pairs":
        real_batches = [
            _beside(fakes_of[:num_real], partner, others)
            for fakes_of, others in zip(fake_batches, real_batches, strict=True)
        ]
    return [a + b for a, b in zip(real_batches, fake_batches, strict=True)]


def _partners(videos: pd.DataFrame) -> dict[str, str]:
    """Return the original of each fake that has it among the videos."""
    real = set(videos[videos["target"] == 0]["video_id"])
    made_from = zip(videos["video_id"], videos["origin"], strict=True)
    return {video: origin for video, origin in made_from if origin in real}


def _beside(fakes: Sequence[str], partner: Mapping[str, str], others: Sequence[str]) -> list[str]:
    """Return the original of each fake, or another real video, if possible one that is not in the batch yet."""
    taken = {partner[fake] for fake in fakes if fake in partner}
    free = [other for other in others if other not in taken] + [other for other in others if other in taken]
    rest = iter(free)
    return [partner[fake] if fake in partner else next(rest) for fake in fakes]


def _cut(names: Sequence[str], size: int, count: int) -> list[list[str]]:
    return [list(names[i * size : (i + 1) * size]) for i in range(count)]


def _apart(names: Sequence[str], size: int, stands_for: Mapping[str, str], kind: Mapping[str, str]) -> list[str]:
    """Reorder names so that no batch of `size` holds the same video twice where that can be avoided.

    Args:
        names: In the preferred order.
        size: Of a batch.
        stands_for: What a name must not share with the others of its batch (a fake's original); by default the name itself.
        kind: Names of the same kind are exchanged first, so that kinds keep their turns.
    """
    order = list(names)
    seen: set[str] = set()
    for i in range(len(order)):
        if i % size == 0:
            seen = set()
        ahead = [j for j in range(i, min(i + LOOK_AHEAD, len(order))) if stands_for.get(order[j], order[j]) not in seen]
        if ahead and ahead[0] != i:
            alike = [j for j in ahead if kind.get(order[j]) == kind.get(order[i])]
            j = (alike or ahead)[0]
            order[i], order[j] = order[j], order[i]
        seen.add(stands_for.get(order[i], order[i]))
    return order


def _draw(rows: Rows, count: int, randomness: np.random.Generator) -> Rows:
    """Draw clips of one video, each once before any twice."""
    picks = [randomness.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(picks)[:count].astype(np.int64)
