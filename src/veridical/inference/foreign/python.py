"""A detector written in Python: a function of a clip, an object with `score(clip)`, or a class of such objects."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veridical.clips import Clip
from veridical.errors import UsageError, unknown_name
from veridical.inference.foreign.base import ForeignScorer


class PythonScorer(ForeignScorer):
    """A Python function behind the scorer protocol."""

    def __init__(self, name: str, function: Callable[[Clip], object]) -> None:
        super().__init__(name)
        self._function = function

    def score(self, clip: Clip) -> object:
        """Return what the function returns."""
        return self._function(clip)


def load_python(spec: str) -> PythonScorer:
    """Load `module:name` or `path/file.py:name`; the file's folder, or the current one, is searched for its imports.

    Raises:
        UsageError: when there is no such file, module or name, or it cannot be called.
    """
    where, _, name = spec.rpartition(":")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _from_module(where)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{where}: fails when it is imported ({type(error).__name__}: {error})") from error
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            raise unknown_name(f"name in {where}", part, [key for key in dir(target) if not key.startswith("_")])
        target = getattr(target, part)
    return PythonScorer(spec, _function(target, spec))


def _function(target: Any, spec: str) -> Callable[[Clip], object]:
    instance = target() if isinstance(target, type) else target
    function = getattr(instance, "score", instance)
    if not callable(function):
        raise UsageError(
            f"{spec}: is a {type(instance).__name__}; expected a function of a clip, or an object with score(clip)"
        )
    return function  # type: ignore[no-any-return]


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"{path}: not found; a Python detector is given as FILE.py:NAME or MODULE:NAME")
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _from_module(name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name}: {error}; install it, or give FILE.py:NAME") from None
