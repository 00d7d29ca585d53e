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


class PythonDetector:
    """Somebody's function behind the protocol."""

    def __init__(self, function: Callable[[Clip], float | None]) -> None:
        self._function = function

    def score(self, clip: Clip) -> float | None:
        """Return what the function says."""
        return self._function(clip)


def load_python(spec: str) -> PythonDetector:
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
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise unknown_name(f"name in {where}", part, [key for key in dir(found) if not key.startswith("_")])
        found = getattr(found, part)
    return PythonDetector(_scorer(found, spec))


def _scorer(found: Any, spec: str) -> Callable[[Clip], float | None]:
    made = found() if isinstance(found, type) else found
    scorer = getattr(made, "score", made)
    if not callable(scorer):
        raise UsageError(
            f"{spec}: is a {type(made).__name__}; expected a function of a clip, or an object with score(clip)"
        )
    return scorer  # type: ignore[no-any-return]


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
