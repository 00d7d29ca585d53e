"""Which clips make up a batch: a pure function of (data, seed, stage, epoch), so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from veridical.randomness import stream
from veridical.training.recipe import BatchSettings

Rows = npt.NDArray[np.int64]


def epoch_batches(index: pd.DataFrame, settings: BatchSettings, seed: int, stage: str, epoch: int) -> list[Rows]:
    """Return the batches of an epoch: arrays of store rows, a video's clips next to each other.

    Args:
        index: Training clips: row, video_id, target (0 or 1), generator (None for real videos); origin when pairs are wanted.
        settings: Videos per batch, clips per video, balance.
        seed: Seed of the run.
        stage: Name of the stage.
        epoch: Number of the epoch in the stage.

    An epoch has as many batches as it takes to fill once with all clips. Balanced: half of a batch's videos are real, half are
    fake, and the fakes go round the generators; whichever class has fewer videos repeats.
    """
    randomness = stream(seed, "batches", stage, epoch)
    clips_of = {str(video): group.to_numpy() for video, group in index.groupby("video_id", sort=True)["row"]}
    videos = _videos(index)
    num_batches = max(1, round(len(index) / (settings.videos * settings.clips)))
    orders = _balanced_orders(videos, settings, num_batches, randomness) if settings.balanced else None
    if orders is None:
        names = _repeated(videos["video_id"].to_list(), num_batches * settings.videos, randomness)
        orders = [names[i * settings.videos : (i + 1) * settings.videos] for i in range(num_batches)]
    return [np.concatenate([_draw(clips_of[name], settings.clips, randomness) for name in names]) for names in orders]


def count_paired(index: pd.DataFrame) -> tuple[int, int]:
    """Return how many fakes have the real video that they were made from among the clips, and how many fakes there are."""
    videos = _videos(index)
    fakes = videos[videos["target"] == 1]
    return int(fakes["origin"].isin(videos.loc[videos["target"] == 0, "video_id"]).sum()), len(fakes)


def _videos(index: pd.DataFrame) -> pd.DataFrame:
    """Return a row per video; one with any forged clip is a fake."""
    return index.sort_values(["video_id", "target"]).drop_duplicates("video_id", keep="last")


def _balanced_orders(
    videos: pd.DataFrame, settings: BatchSettings, num_batches: int, randomness: np.random.Generator
) -> list[list[str]]:
    num_real = settings.videos // 2
    num_fake = settings.videos - num_real
    real = _repeated(videos[videos["target"] == 0]["video_id"].to_list(), num_batches * num_fake, randomness)
    fakes = videos[videos["target"] == 1]
    by_generator = [group["video_id"].to_list() for _, group in fakes.groupby(fakes["generator"].fillna(""), sort=True)]
    per_generator = -(-num_batches * num_fake // len(by_generator))
    columns = [_repeated(names, per_generator, randomness) for names in by_generator]
    fake = [name for row in zip(*columns, strict=True) for name in row]
    if settings.pairs:
        real = _partners(videos, fake[: len(real)], real)
    return [
        real[i * num_fake : i * num_fake + num_real] + fake[i * num_fake : (i + 1) * num_fake]
        for i in range(num_batches)
    ]


def _partners(videos: pd.DataFrame, fakes: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return for each fake the real video it was made from, or another real one where that is not among the videos."""
    real = set(videos[videos["target"] == 0]["video_id"])
    origin = dict(zip(videos["video_id"], videos["origin"], strict=True))
    return [origin[fake] if origin[fake] in real else other for fake, other in zip(fakes, others, strict=True)]


def _repeated(names: Sequence[str], length: int, randomness: np.random.Generator) -> list[str]:
    """Shuffle, and shuffle again as often as needed to reach the length: every name once before any name twice."""
    result: list[str] = []
    while len(result) < length:
        result.extend(names[i] for i in randomness.permutation(len(names)))
    return result[:length]


def _draw(rows: Rows, count: int, randomness: np.random.Generator) -> Rows:
    """Draw clips of one video, none twice before each came once."""
    picks = [randomness.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(picks)[:count].astype(np.int64)
