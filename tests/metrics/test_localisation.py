"""Localisation against hand counts and a loop written from the definition."""

from __future__ import annotations

import numpy as np
import pytest

from veridical.errors import NotEvaluableError
from veridical.metrics import Segments, ranked_hits, recalled_segments, segment_average_precision
from veridical.metrics.localisation import temporal_iou


def average_precision(predictions: dict[str, Segments], truths: dict[str, np.ndarray], iou: float) -> float:
    correct, _ = ranked_hits(predictions, truths, iou)
    total = np.array([float(sum(map(len, truths.values())))])
    return float(segment_average_precision(correct, np.ones((len(correct), 1)), total)[0])


def made(*rows: tuple[float, float, float]) -> Segments:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Segments(table[:, :2], table[:, 2])


def test_overlap_by_hand() -> None:
    found = temporal_iou([[0, 2], [5, 6]], [[1, 3], [0, 2], [10, 11]])
    assert found == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))


def test_average_precision_by_hand() -> None:
    truths = {"a": np.array([[0.0, 1.0], [4.0, 6.0]]), "b": np.zeros((0, 2))}
    predictions = {"a": made((0, 1, 0.9), (0, 1, 0.5), (4, 6, 0.3)), "b": made((0, 1, 0.7))}
    assert average_precision(predictions, truths, 0.5) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert average_precision({"a": made((0, 1, 0.1), (4, 5.9, 0.2))}, truths, 0.95) == pytest.approx(1.0)
    assert average_precision({"a": made((0, 1, 0.1), (4, 5.5, 0.2))}, truths, 0.95) == pytest.approx(0.5 * 0.5)
    assert average_precision({}, truths, 0.5) == 0.0


def test_average_recall_by_hand() -> None:
    truths = {"a": np.array([[0.0, 10.0], [20.0, 30.0]])}
    predictions = {"a": made((0, 7, 0.9), (20, 30, 0.1))}
    truths["b"] = np.zeros((0, 2))
    assert recalled_segments(predictions, truths, 1) == pytest.approx([5 / 10, 0])
    assert recalled_segments(predictions, truths, 2) == pytest.approx([5 / 10 + 1, 0])


def by_definition(predictions: dict[str, Segments], truths: dict[str, np.ndarray], iou: float) -> float:
    """Walk down the ranking, count hits, and integrate the best precision at any recall at least as high."""
    ranking = sorted(
        ((score, video, index) for video, item in predictions.items() for index, score in enumerate(item.scores)),
        key=lambda entry: -entry[0],
    )
    free = {video: [True] * len(forged) for video, forged in truths.items()}
    total, hits, points = sum(map(len, truths.values())), 0, []
    for rank, (_, video, index) in enumerate(ranking, 1):
        start, end = predictions[video].bounds[index]
        best, which = 0.0, None
        for number, (low, high) in enumerate(truths[video]):
            shared = max(0.0, min(end, high) - max(start, low))
            overlap = shared / ((end - start) + (high - low) - shared)
            if free[video][number] and overlap > best:
                best, which = overlap, number
        if which is not None and best >= iou:
            free[video][which] = False
            hits += 1
        points.append((hits / total, hits / rank))
    area, last = 0.0, 0.0
    for recall in sorted({point[0] for point in points}):
        area += (recall - last) * max(precision for other, precision in points if other >= recall)
        last = recall
    return area


@pytest.mark.parametrize("seed", range(12))
def test_average_precision_agrees_with_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths, predictions = {}, {}
    for video in "abcdef":
        starts = np.sort(rng.uniform(0, 20, rng.integers(0, 4)))
        truths[video] = np.stack([starts, starts + rng.uniform(0.5, 3, len(starts))], axis=1)
        near = np.concatenate(
            [truths[video] + rng.normal(0, 0.3, truths[video].shape), rng.uniform(0, 20, (3, 1)) + np.array([0, 1.5])]
        )
        near = near[near[:, 0] < near[:, 1]]
        predictions[video] = Segments(near, rng.random(len(near)))
    for iou in (0.5, 0.75):
        expected = by_definition(predictions, truths, iou)
        assert average_precision(predictions, truths, iou) == pytest.approx(expected)
    assert expected < 1


def test_segments_are_checked() -> None:
    with pytest.raises(NotEvaluableError, match="start before the end"):
        made((3, 2, 0.1))
    with pytest.raises(ValueError, match="n scores"):
        Segments(np.zeros((2, 2)), np.zeros(3))


def test_weights_count_like_repetition() -> None:
    """A video that a bootstrap draws three times counts like three videos."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        truths = {str(n): np.array([[0.0, 1.0], [3.0, 4.0]])[: rng.integers(0, 3)] for n in range(6)}
        truths["0"] = np.array([[0.0, 1.0]])
        predictions = {
            name: made(*((float(start), start + 1.0, float(rng.normal())) for start in rng.choice(5, 3, replace=False)))
            for name in truths
        }
        times = rng.integers(0, 4, len(truths))
        times[0] = 1
        correct, video = ranked_hits(predictions, truths, 0.5)
        total = sum(count * len(forged) for count, forged in zip(times, truths.values(), strict=True))
        weighted = segment_average_precision(correct, times[video][:, None].astype(float), np.array([float(total)]))[0]
        names = [(name, copy) for name, count in zip(truths, times, strict=True) for copy in range(count)]
        repeated = average_precision(
            {f"{name}-{copy}": predictions[name] for name, copy in names},
            {f"{name}-{copy}": truths[name] for name, copy in names},
            0.5,
        )
        assert weighted == pytest.approx(repeated)
