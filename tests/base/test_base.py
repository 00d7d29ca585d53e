"""Errors, settings, randomness, progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical import progress
from veridical.errors import UsageError, unknown_name
from veridical.randomness import seed_from, stream
from veridical.settings import Settings, differences, flatten, parse_settings, read_yaml, with_overrides


class Inner(Settings):
    size: int = 3


class Machine(Settings):
    also_called: ClassVar[Mapping[str, str]] = {"device": "accelerator"}

    accelerator: str = "auto"
    devices: int = 1


class Outer(Settings):
    inner: Inner = Inner()
    machine: Machine = Machine()
    names: tuple[str, ...] = ()


def test_unknown_names_list_the_nearest_first() -> None:
    message = str(unknown_name("corpus", "celebfd", ["faceforensics", "celebdf", "csv"]))
    assert message == "unknown corpus 'celebfd'; did you mean 'celebdf'? Valid: celebdf, csv, faceforensics"


def test_of_very_many_names_only_some_are_listed() -> None:
    message = str(unknown_name("column", "colum_99", [f"column_{number}" for number in range(500)]))
    assert "did you mean 'column_99'" in message
    assert message.endswith("and 440 more")


def test_a_name_like_nothing_gets_the_plain_list() -> None:
    assert str(unknown_name("corpus", "xyzzy", ["b", "a"])) == "unknown corpus 'xyzzy'. Valid: a, b"
    assert "did you mean 'cuda'? Valid: cuda, cpu" in str(unknown_name("device", "gpu", ["cpu", "cuda"], "cuda"))
    assert str(unknown_name("generator", "foo", [])) == "unknown generator 'foo': there is none here"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"size": "many"}}, r"f\.yaml: inner\.size: .*integer.*found 'many'"),
        ({"inner": {"siez": 3}}, r"f\.yaml: unknown setting 'siez'; did you mean 'size'"),
        (
            {"machine": {"device": "cpu"}},
            r"unknown setting 'device'; did you mean 'accelerator'\? Valid: accelerator, devices$",
        ),
        ({"machine": {"devics": 2}}, r"unknown setting 'devics'; did you mean 'devices'"),
        ({"outer": 1, "b": 2}, r"and 1 more"),
    ],
)
def test_wrong_settings_name_the_field(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(Outer, values, "f.yaml")


def test_overrides() -> None:
    values = {"inner": {"size": 1}, "list": [{"a": 1}, {"a": 2}]}
    changed = with_overrides(values, ["inner.size=7", "list.1.a=[x, 2]", "new.deep=true"])
    assert changed == {"inner": {"size": 7}, "list": [{"a": 1}, {"a": ["x", 2]}], "new": {"deep": True}}
    assert values["inner"] == {"size": 1}, "the original is left alone"


@pytest.mark.parametrize("assignment", ["inner.size", "=3", "list.9.a=1", "inner.size.x=1", "list.a=2"])
def test_unusable_overrides_are_refused(assignment: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        with_overrides({"inner": {"size": 1}, "list": [1]}, [assignment])


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\x00"])
def test_unusable_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="recipe"):
        read_yaml(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", r"line 5: is not valid YAML \(the key 'c' stands already in line 3\)"),
        ("a: 1\na: 1\n", "line 2: .*'a' stands already in line 1"),
        ("a: 1\nb: [1,\nc: 2\n", "line 4: is not valid YAML .*, in what begins in line 2"),
        ("a: 1\n\tb: 2\n", "line 2: is not valid YAML"),
        ("a: 1\nb: *none\n", "line 2: .*alias 'none'"),
        ("a: !!python/name:os.system\n", "line 1: .*python/name"),
        ("a: 1\nb: \x00\n", "line 2: is not valid YAML"),
        ("a: 1\nb: 2024-13-45\n", "is not valid YAML .*month"),
    ],
)
def test_a_fault_in_yaml_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"recipe\.yaml.*" + problem):
        read_yaml(path)


def test_a_merged_key_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  a: 3\n")
    assert read_yaml(path)["other"] == {"a": 3, "b": 2}


@pytest.mark.parametrize("assignment", ["a=[1", "a={b: 1, b: 2}", "a=*x"])
def test_a_value_that_is_no_yaml_is_refused(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"^--set a=.*: is not valid YAML"):
        with_overrides({}, [assignment])


@given(st.integers(0, 2**40), st.lists(st.text(max_size=5), max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_streams_depend_on_seed_and_names_only(seed: int, first: list[str], second: list[str]) -> None:
    assert seed_from(seed, *first) == seed_from(seed, *first)
    assert (seed_from(seed, *first) == seed_from(seed, *second)) == (first == second)
    assert seed_from(seed, *first) != seed_from(seed + 1, *first)
    assert 0 <= seed_from(seed, *first) < 2**63


def test_names_do_not_run_together() -> None:
    assert stream(0, "ab", "c").random() != stream(0, "a", "bc").random()


class Recorder:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def start(self, description: str, total: float | None, unit: str) -> Recorder:
        self.heard.append(("start", description, total, unit))
        return self

    def advance(self, steps: float = 1, **facts: object) -> None:
        self.heard.append(("advance", steps, facts))

    def finish(self, task: progress.Task) -> None:
        self.heard.append(("finish",))

    def say(self, message: str) -> None:
        self.heard.append(("say", message))


def test_progress_reaches_the_listener_and_only_inside_its_block() -> None:
    recorder = Recorder()
    with progress.listening(recorder):
        assert list(progress.track([1, 2], "count", unit="thing")) == [1, 2]
        progress.say("half")
    list(progress.track([1], "unheard"))
    assert recorder.heard == [
        ("start", "count", 2, "thing"), ("advance", 1, {}), ("advance", 1, {}), ("finish",), ("say", "half"),
    ]  # fmt: skip


def test_a_failing_task_is_finished() -> None:
    recorder = Recorder()
    with progress.listening(recorder), pytest.raises(RuntimeError), progress.task("work"):
        raise RuntimeError
    assert recorder.heard[-1] == ("finish",)


def test_differences_name_every_setting_that_differs() -> None:
    first = {"seed": 0, "stages": [{"lr": 0.1, "train": ["head"]}, {"lr": 0.2}], "data": {"store": None}}
    second = {"seed": 0, "stages": [{"lr": 0.1, "train": ["head", "fusion"]}, {"lr": 0.3}], "data": {"store": "a"}}
    assert differences(first, first) == {}
    assert differences(first, second) == {
        "stages.0.train.1": (None, "fusion"),
        "stages.1.lr": (0.2, 0.3),
        "data.store": (None, "a"),
    }
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}}) == {"a.b": 1, "a.c.d": [2]}
