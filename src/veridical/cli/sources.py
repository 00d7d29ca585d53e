"""What `stats` and `audit` are asked about: a manifest (a file), or a clip store (a folder) with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veridical.artefacts import Manifest
    from veridical.clips import ClipStore


def open_source(source: Path, manifest: Path | None, split: str | None) -> tuple[Manifest, ClipStore | None]:
    """Return the videos (all of them), and the store when there is one.

    Raises:
        UsageError: when the source is not there, is a folder without a store, or an option does not go with it.
    """
    from veridical.artefacts import SPLITS, Manifest
    from veridical.clips import ClipStore
    from veridical.errors import UsageError, unknown_name

    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if not source.exists():
        raise UsageError(f"{source}: no such manifest or clip store")
    if not source.is_dir():
        if manifest is not None:
            raise UsageError("--manifest goes with a clip store; SOURCE is a manifest already")
        return Manifest.read(source), None
    if not (source / "store.json").is_file():
        inside = sorted(path.name for path in source.glob("*.parquet"))
        hint = f"name the manifest in it ({', '.join(inside[:3])})" if inside else "give a manifest or a clip store"
        raise UsageError(f"{source}: is a folder but not a clip store (no store.json); {hint}")
    store = ClipStore.open(source)
    return Manifest.read(manifest) if manifest else store.manifest(), store
