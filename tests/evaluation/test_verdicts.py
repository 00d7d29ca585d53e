"""From a figure with its interval to one of four verdicts; few people get no figure."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.worlds import World

from veridical.evaluation import EvaluationSettings, evaluate
from veridical.evaluation.verdicts import among_many, judge_figure
from veridical.metrics import Interval

FAST = EvaluationSettings(replicates=100)
Row = tuple[float, tuple[float, float], str, bool, bool]
TABLE: dict[str, Row] = {
    "all of it is good": (0.50, (0.45, 0.60), "PASS", True, False),
    "good, but it might be bad": (0.60, (0.50, 0.70), "UNDECIDED", False, False),
    "bad, but chance gives as much": (0.70, (0.40, 0.90), "UNDECIDED", False, True),
    "bad, and not by chance": (0.70, (0.60, 0.80), "FLAG", False, True),
    "all of it is bad": (0.80, (0.70, 0.90), "FLAG", True, True),
    "nothing was measured": (np.nan, (np.nan, np.nan), "NOT EVALUABLE", False, False),
}


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("below", [False, True])
def test_the_verdict_follows_from_value_interval_and_threshold(case: str, below: bool) -> None:
    value, (low, high), verdict, certain, crossed = TABLE[case]
    ends = Interval(1 - high, 1 - low) if below else Interval(low, high)
    judged = judge_figure(
        1 - value if below else value,
        ends,
        1 - 0.65 if below else 0.65,
        groups=20,
        below=below,
        no_fault=0.5,
    )
    assert (judged.verdict, judged.certain, judged.crossed) == (verdict, certain, crossed)
    assert (judged.groups_needed > 20) == (verdict == "UNDECIDED")


def test_how_many_people_would_decide() -> None:
    """An interval shrinks with the square root of the people: twice too wide takes four times as many."""
    assert judge_figure(0.6, Interval(0.5, 0.7), 0.65, groups=20).groups_needed == 80
    assert judge_figure(0.7, Interval(0.6, 0.8), 0.65, groups=20).groups_needed == 80


def test_what_chance_gives_is_taken_off_but_the_plain_rule_is_kept() -> None:
    judged = judge_figure(0.0, Interval(0.0, 0.03), 0.05, groups=60, observed=0.06, p_chance=0.6)
    assert (judged.verdict, judged.crossed) == ("PASS", True)
    judged = judge_figure(0.06, Interval(0.01, 0.1), 0.05, groups=60, observed=0.09, p_chance=0.01)
    assert (judged.verdict, judged.certain) == ("FLAG", False)
    judged = judge_figure(0.06, Interval(0.01, 0.1), 0.05, groups=60, observed=0.09, p_chance=0.2)
    assert (judged.verdict, judged.crossed) == ("UNDECIDED", True)


def test_a_count_is_certain() -> None:
    assert judge_figure(0.0, Interval(0, 0), 0.0, groups=0).verdict == "PASS"
    judged = judge_figure(3.0, Interval(3, 3), 0.0, groups=0)
    assert (judged.verdict, judged.certain) == ("FLAG", True)


def test_many_looks_of_one_kind_raise_what_chance_gives() -> None:
    assert among_many([0.01, np.nan, 0.3])[0] == 0.01
    assert np.isnan(among_many([0.01, np.nan, 0.3])[1])
    assert among_many([0.04] + [0.5] * 19)[0] > 0.05
    assert among_many([0.0001] + [0.5] * 19)[0] < 0.05


def test_fewer_than_five_people_get_no_figure() -> None:
    scores, manifest = World(splits={"val": 30, "test": 4}).build(0)
    result = evaluate(scores, manifest=manifest, settings=FAST)
    said = "too few to say (4 people with real videos; at least 5 are needed)"
    tested = result.metrics[(result.metrics["split"] == "test") & (result.metrics["metric"] != "ece_by_chance")]
    assert tested["value"].isna().all()
    row = result.figure("A", "test", "auc")
    assert row is not None
    assert row["reason"] == said
    assert any("A test: too few to say anything: 4 people with real videos" in line for line in result.facts.warnings)
    assert not set(result.risks["verdict"]) & {"FLAG", "UNDECIDED"}


def test_every_figure_lies_in_an_interval_that_has_a_width() -> None:
    scores, manifest = World(splits={"val": 20, "test": 6}, auc={"Swap": 0.999, "Mouth": 0.9}).build(3)
    metrics = evaluate(scores, manifest=manifest, settings=FAST).metrics
    known = metrics[metrics["value"].notna() & (metrics["metric"] != "ece_by_chance")]
    assert len(known) > 100
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    assert (known["high"] - known["low"] > 1e-6).all()
    few = metrics[metrics["reason"].str.startswith("too few to say")]
    assert set(few["metric"]) >= {"auc", "tpr_at_1_fpr"}, "slices of a few people, and rates that few videos set"
