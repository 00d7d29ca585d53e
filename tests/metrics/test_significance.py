"""DeLong against its definition over all pairs; both tests keep their error rate; Holm against a worked example."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from veridical.errors import NotEvaluableError
from veridical.metrics import (
    clustered_auc_variance,
    clustered_test,
    delong_covariance,
    delong_test,
    expected_auc_variance,
    holm,
    placements,
    roc_auc,
)


def test_delong_agrees_with_all_pairs() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [25, 35])
    scores = [np.round(rng.normal(labels, 1), 1) for _ in range(2)]
    fake_parts, real_parts = [], []
    for values in scores:
        wins = (values[labels == 1][:, None] > values[labels == 0]) + 0.5 * (
            values[labels == 1][:, None] == values[labels == 0]
        )
        fake_parts.append(wins.mean(axis=1))
        real_parts.append(wins.mean(axis=0))
    expected = np.cov(fake_parts) / 35 + np.cov(real_parts) / 25
    areas, covariance = delong_covariance(labels, *scores)
    assert np.allclose(covariance, expected)
    assert areas == pytest.approx([roc_auc(labels, values) for values in scores])


def test_equal_detectors_do_not_differ_and_better_ones_do() -> None:
    rng = np.random.default_rng(1)
    labels = np.tile([0, 1], 150)
    weak, strong = rng.normal(labels, 1.5), rng.normal(labels * 2, 0.7)
    assert delong_test(labels, weak, weak).p_value == 1.0
    same = clustered_test(labels, weak, weak, np.arange(300) // 2)
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert -0.05 < same.interval.low < 0.0 < same.interval.high < 0.05
    better = delong_test(labels, weak, strong)
    paired = clustered_test(labels, weak, strong, np.arange(300) // 2)
    for difference in (better, paired):
        assert difference.value == pytest.approx(roc_auc(labels, strong) - roc_auc(labels, weak))
        assert difference.p_value < 0.01
        assert 0 < difference.interval.low < difference.value < difference.interval.high
    assert delong_test(labels, strong, weak).value == pytest.approx(-better.value)


def test_without_a_difference_p_values_are_small_as_rarely_as_they_say() -> None:
    rng = np.random.default_rng(2)
    labels = np.tile([0, 1], 60)
    p_values = []
    for _ in range(300):
        common = rng.normal(labels, 1)
        noisy = [common + rng.normal(0, 0.8, 120) for _ in range(2)]
        p_values.append(delong_test(labels, *noisy).p_value)
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01


def test_over_groups_p_values_are_small_as_rarely_as_they_say() -> None:
    """Two detectors of one area, on 12 people with several videos: DeLong is below .05 in 10 % and more."""
    rng = np.random.default_rng(5)
    group, labels = np.repeat(np.arange(12), 8), np.tile([0, 1], 48)
    p_values = []
    for _ in range(400):
        common = labels + rng.normal(0, 0.8, (2, 12))[labels, group]
        noisy = [common + rng.normal(0, 0.6, (2, 12))[labels, group] + rng.normal(0, 0.6, 96) for _ in range(2)]
        p_values.append(clustered_test(labels, *noisy, group).p_value)
    below = np.mean(np.array(p_values) < 0.05)
    assert 0.02 <= below <= 0.08, below
    assert 0.14 <= np.mean(np.array(p_values) < 0.2) <= 0.26


def test_delong_refuses_single_rows() -> None:
    with pytest.raises(NotEvaluableError, match="two rows of each class"):
        delong_covariance([0, 1, 1], [0.1, 0.2, 0.3])


def test_variance_over_clusters_of_one_row_is_that_of_delong() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], [400, 600])
    scores = np.round(rng.normal(labels, 1), 1)
    parts = placements(labels, scores)
    alone = clustered_auc_variance(*parts, np.arange(600), np.arange(600, 1000))
    assert alone == pytest.approx(delong_covariance(labels, scores)[1][0, 0], rel=0.01)
    repeated = [np.repeat(part, 5) for part in parts]
    clusters = np.repeat(np.arange(600), 5), np.repeat(np.arange(600, 1000), 5)
    assert clustered_auc_variance(*repeated, *clusters) == pytest.approx(alone)


def test_expected_variance_without_information_is_that_of_mann_and_whitney() -> None:
    assert expected_auc_variance(0.5, 20, 30) == pytest.approx((20 + 30 + 1) / (12 * 20 * 30))
    assert expected_auc_variance(1.0, 20, 30) == 0.0
    for num_fake, num_real in ((0, 5), (5, 0)):
        with pytest.raises(NotEvaluableError, match="rows of both classes"):
            expected_auc_variance(0.5, num_fake, num_real)
        with pytest.raises(NotEvaluableError, match="rows of both classes"):
            placements(np.repeat([1, 0], [num_fake, num_real]), np.arange(5.0))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("groups", [6, 40])
def test_the_p_value_says_what_the_interval_says(groups: int) -> None:
    differing = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), 8)
        labels = np.tile([0, 1], groups * 4)
        effect = rng.normal(0, 0.6, groups)[group]
        first = labels + rng.normal(0, 1, len(labels))
        second = labels * (1 + effect) + 0.5 * labels + rng.normal(0, 1, len(labels))
        difference = clustered_test(labels, first, second, group)
        excluded = not difference.interval.low <= 0 <= difference.interval.high
        differing += excluded != (difference.p_value < 0.05)
    assert differing == 0


def test_two_people_do_not_make_a_difference() -> None:
    """The range of a handful of distinct draws excluded zero while p was .27."""
    labels, group = np.tile([0, 1], 8), np.repeat(["ann", "ben"], 8)
    weak, strong = np.tile([0.4, 0.5, 0.6, 0.5], 4), labels.astype(float)
    with pytest.raises(NotEvaluableError, match=r"too few to say \(2 people of a class; at least 5 are needed\)"):
        clustered_test(labels, weak, strong, group)
