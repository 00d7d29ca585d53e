"""A note in a folder of what was made in it, so that work can go on there but never be mixed with other work."""

from __future__ import annotations

from pathlib import Path

from veridical.artefacts import read_json, write_json
from veridical.errors import UsageError


def claim(path: Path, facts: dict[str, object]) -> None:
    """Note the facts in a JSON file, or check that it holds the same ones.

    Raises:
        UsageError: when it holds others, naming those that differ.
    """
    if not path.exists():
        write_json(path, facts)
        return
    found = read_json(path)
    wrong = [name for name in sorted({*found, *facts}) if found.get(name) != facts.get(name)]
    if wrong:
        differences = "; ".join(f"{name}: there {found.get(name)!r}, asked for {facts.get(name)!r}" for name in wrong)
        raise UsageError(
            f"{path.parent}: was made with other settings ({differences}); use another folder or delete it"
        )
