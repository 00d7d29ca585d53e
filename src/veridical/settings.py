"""The base of every settings model, and how settings are read from YAML and changed from the command line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from veridical.errors import UsageError, unknown_name


class Settings(BaseModel):
    """A frozen settings model: unknown keys are refused, the docstring under a field is its help text."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())
    also_called: ClassVar[Mapping[str, str]] = {}
    """What people write for a setting that has another name → its name; for the hint of the error message."""


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse_settings(
    model: type[SettingsT], values: Mapping[str, Any], source: str, assignments: Sequence[str] = ()
) -> SettingsT:
    """Validate plain values into a settings model.

    Args:
        model: The settings model.
        values: Nested mappings as read from YAML or JSON.
        source: Where the values come from, for the error message.
        assignments: Those that changed the values (see `with_overrides`); a wrong one is blamed instead of the source.

    Raises:
        UsageError: naming the first wrong field, what was found and what is expected.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            inside, name = _model_at(model, first["loc"][:-1]), str(first["loc"][-1])
            unknown = unknown_name("setting", name, inside.model_fields, getattr(inside, "also_called", {}).get(name))
            raise UsageError(f"{_blamed(where, source, assignments)}: {unknown}{more}") from None
        found = "" if isinstance(first.get("input"), Mapping) else f", found {first.get('input')!r}"
        place = f"{where}: " if where else ""
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{_blamed(where, source, assignments)}: {place}{message}{found}{more}") from None


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """Return the model at a place in a model; of lists and unions, the first model in them."""
    for part in place:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _blamed(where: str, source: str, assignments: Sequence[str]) -> str:
    """Return the assignment that set the field `where`, else the source and what changed it."""
    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if f"{where}.".startswith(f"{key}.") or f"{key}.".startswith(f"{where}."):
            return f"--set {assignment}"
    return " ".join([source, *(f"--set {assignment}" for assignment in assignments)])


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        UsageError: when the file is missing, is not YAML, holds a key twice, or something else than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    values = parse_yaml(text, str(path), name_line=True)
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected a mapping of settings, found {type(values).__name__}")
    return values


def parse_yaml(text: str, source: str, *, name_line: bool = False) -> Any:
    """Return what a YAML text holds.

    Args:
        text: The text.
        source: Where it comes from, for the error message.
        name_line: Say in which line a fault is; for files.

    Raises:
        UsageError: when it is not YAML, or a key stands twice in one mapping.
    """
    try:
        return yaml.load(text, _UniqueKeyLoader)  # noqa: S506 a safe loader
    except (yaml.YAMLError, ValueError) as error:
        line, reason = None, str(error).splitlines()[0]
        if isinstance(error, yaml.MarkedYAMLError):
            mark, begin = error.problem_mark or error.context_mark, error.context_mark
            line, reason = None if mark is None else mark.line + 1, error.problem or error.context or reason
            if begin is not None and line is not None and begin.line + 1 < line:
                reason += f", in what begins in line {begin.line + 1}"
        elif isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position) + 1
        where = f", line {line}" if name_line and line is not None else ""
        raise UsageError(f"{source}{where}: is not valid YAML ({reason})") from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice in one mapping; by default the last one wins without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                problem = f"the key {key!r} stands already in line {lines[key]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines |= {key: line} if isinstance(key, Hashable) else {}
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def with_overrides(values: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values with `a.b=c` assignments applied; c is read as YAML, so numbers and lists work.

    Raises:
        UsageError: when an assignment has no `=` or walks through something that is not a mapping.
    """
    result: dict[str, Any] = _copy(values)
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {assignment}: expected KEY=VALUE")
        *parents, last = key.strip().split(".")
        node: Any = result
        for parent in parents:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else _element(node, parent, assignment)
        if isinstance(node, list):
            node[_index(node, last, assignment)] = parse_yaml(text, f"--set {assignment}")
        elif isinstance(node, dict):
            node[last] = parse_yaml(text, f"--set {assignment}")
        else:
            raise UsageError(f"--set {assignment}: {'.'.join(parents)} is a single value and has no {last!r}")
    return result


def _copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node


def _element(node: Any, key: str, assignment: str) -> Any:
    if not isinstance(node, list):
        raise UsageError(f"--set {assignment}: {key!r} is below a single value")
    return node[_index(node, key, assignment)]


def _index(node: list[Any], key: str, assignment: str) -> int:
    if not key.isdigit() or int(key) >= len(node):
        raise UsageError(f"--set {assignment}: {key!r} is not a position in a list of {len(node)}")
    return int(key)


def flatten(values: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Return nested mappings as one level: `{"a": {"b": 1}}` becomes `{"a.b": 1}`; lists stay values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}{separator}{inner}": item for inner, item in flatten(value, separator).items()}
        else:
            flat[str(name)] = value
    return flat


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return dotted name → (value in the first, value in the second) where two nested mappings differ.

    Lists are compared item by item (`stages.0.lr`); a name that one of them lacks has the value None there.
    """
    left, right = flatten(_numbered(first)), flatten(_numbered(second))
    apart: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*left, *right]):
        if left.get(name) != right.get(name):
            apart[name] = left.get(name), right.get(name)
    return apart


def _numbered(value: Any) -> Any:
    """Return lists as mappings from position to item, so that they can be compared item by item."""
    if isinstance(value, Mapping):
        return {str(name): _numbered(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return {str(number): _numbered(item) for number, item in enumerate(value)}
    return value
