"""The group bootstrap against a loop over resampled rows, and the coverage of its intervals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from veridical.errors import NotEvaluableError
from veridical.metrics import (
    auc_of,
    average_precision_of,
    delong_covariance,
    draw_groups,
    eer_of,
    group_bootstrap_auc,
    label_support,
    roc_auc,
    roc_curve,
)
from veridical.metrics.bootstrap import MAX_GROUPS, score_bins


def grouped_world(
    rng: np.random.Generator, *, groups: int, rows: int = 5, shift: float = 1.5
) -> tuple[np.ndarray, ...]:
    """Each group has a real and fakes, and a group effect that makes its rows alike."""
    group = np.repeat(np.arange(groups), rows)
    labels = np.tile([0] * (rows // 2) + [1] * (rows - rows // 2), groups)
    scores = rng.normal(labels * shift, 0.7) + rng.normal(0, 0.7, groups)[group]
    return group, labels, scores


def test_replicates_are_those_of_repeated_rows() -> None:
    group, labels, scores = grouped_world(np.random.default_rng(0), groups=12)
    scores = np.round(scores, 1)
    bootstrap = draw_groups(group, replicates=30, seed=4)
    rows = np.ones(len(labels), dtype=bool)
    curves = next(bootstrap.curves(labels, scores, rows))
    for replicate in range(30):
        repeats = bootstrap.weights[bootstrap.cluster, replicate]
        y, s = np.repeat(labels, repeats), np.repeat(scores, repeats)
        assert auc_of(curves)[replicate] == pytest.approx(sklearn.metrics.roc_auc_score(y, s), abs=1e-6)
        assert average_precision_of(curves)[replicate] == pytest.approx(
            sklearn.metrics.average_precision_score(y, s), abs=1e-6
        )
        assert eer_of(curves)[replicate] == pytest.approx(eer_of(roc_curve(y, s))[0], abs=1e-6)
    totals = bootstrap.totals(np.stack([labels, scores], axis=1).astype(float), rows)
    assert totals[3] == pytest.approx(
        [np.repeat(v, bootstrap.weights[bootstrap.cluster, 3]).sum() for v in (labels, scores)]
    )


def test_a_slice_uses_the_same_draw_as_the_whole() -> None:
    group, labels, scores = grouped_world(np.random.default_rng(1), groups=30)
    bootstrap = draw_groups(group, replicates=50, seed=0)
    rows = group < 15
    part = next(bootstrap.curves(labels[rows], scores[rows], rows))
    repeats = bootstrap.weights[:, 7][group[rows]]
    expected = sklearn.metrics.roc_auc_score(np.repeat(labels[rows], repeats), np.repeat(scores[rows], repeats))
    assert auc_of(part)[7] == pytest.approx(expected, abs=1e-6)


def test_weights_draw_each_replicate_whole_and_depend_on_the_seed() -> None:
    first, again, other = (draw_groups(["a", "b", "c", "c"], replicates=40, seed=seed) for seed in (0, 0, 1))
    assert (first.weights.sum(axis=0) == 3).all()
    assert (first.weights == again.weights).all()
    assert (first.weights != other.weights).any()
    assert first.cluster.tolist() == [0, 1, 2, 2]


def test_binned_scores_keep_their_order_and_hardly_move_the_auc() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50_000)
    scores = rng.normal(labels, 1)
    thresholds, position = score_bins(scores, limit=1000)
    assert len(thresholds) == 1000
    assert (np.diff(thresholds) < 0).all()
    assert (thresholds[position] <= scores).all()
    assert roc_auc(labels, -position.astype(float)) == pytest.approx(roc_auc(labels, scores), abs=1e-5)


def test_many_groups_are_merged_without_changing_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, MAX_GROUPS * 3)
    scores = rng.normal(labels, 1)
    _, merged = group_bootstrap_auc(labels, scores, np.arange(len(labels)), replicates=300)
    _, exact = delong_covariance(labels, scores)
    assert merged.high - merged.low == pytest.approx(2 * 1.96 * np.sqrt(exact[0, 0]), rel=0.15)


def test_rows_of_one_group_do_not_count_as_independent() -> None:
    group, labels, scores = grouped_world(np.random.default_rng(2), groups=40)
    _, once = group_bootstrap_auc(labels, scores, group)
    repeated = [np.repeat(values, 10) for values in (labels, scores, group)]
    _, ten_times = group_bootstrap_auc(repeated[0], repeated[1], repeated[2])
    assert ten_times.high - ten_times.low == pytest.approx(once.high - once.low, rel=0.02)


def test_perfect_scores_do_not_get_an_interval_of_no_width() -> None:
    labels = np.tile([0, 1], 10)
    value, interval = group_bootstrap_auc(labels, labels * 4.0, np.arange(20) // 2)
    assert (value, interval.high) == (1.0, 1.0)
    assert 0.6 < interval.low < 0.95


def test_the_support_counts_videos_and_groups_of_each_class() -> None:
    bootstrap = draw_groups(["a", "a", "b", "b", "c"], replicates=5)
    support = label_support(bootstrap, np.array([0, 1, 1, 1]), np.array([0, 1, 2, 4]))
    assert (support.num_fake, support.num_real, support.groups_fake, support.groups_real) == (3, 1, 3, 1)
    assert (support.groups, support.fewest) == (3, 1)
    assert support.too_few == "too few to say (1 person with real videos; at least 5 are needed)"


def test_too_few_people_get_no_interval() -> None:
    with pytest.raises(NotEvaluableError, match=r"too few to say \(1 person with real videos; at least 5 are needed\)"):
        group_bootstrap_auc([0, 1, 1], [0.0, 1.0, 2.0], ["a", "a", "a"])


@pytest.mark.parametrize("groups", [6, 12, 40])
def test_intervals_cover_the_truth_as_often_as_they_say(groups: int) -> None:
    rng = np.random.default_rng(0)
    truth = scipy.stats.norm.cdf(1.5 / np.sqrt(2 * (0.7**2 + 0.7**2)))
    trials, hits = 300, 0
    for _ in range(trials):
        group, labels, scores = grouped_world(rng, groups=groups)
        _, interval = group_bootstrap_auc(labels, scores, group, replicates=400)
        hits += interval.low <= truth <= interval.high
    assert hits / trials >= 0.93, "at least as often"
    assert groups < 40 or hits / trials <= 0.985, "and hardly more often with many"
