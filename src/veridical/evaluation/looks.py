"""A count of the looks at test sets: choosing among many looks is training on the test set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from veridical.errors import ArtefactError
from veridical.evaluation.slices import Cell


def count_looks(path: Path, fingerprints: Mapping[str, str | None], parts: list[Cell]) -> int:
    """Add a line for this look and return how many different score tables have been looked at, this one included.

    Judging the very same scores again is no new look. Nothing is added when no test split is among the parts.

    Raises:
        ArtefactError: when the file is not a count of looks.
    """
    path = Path(path)
    tests = sorted(f"{cell.dataset} {cell.split or 'unsplit'}" for cell in parts if cell.judged)
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        seen = {line["scores"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: is not a count of looks ({error})") from None
    if tests and fingerprints["scores"] not in seen:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"scores": fingerprints["scores"], "test": tests}) + "\n")
        seen.add(fingerprints["scores"])
    return len(seen)
