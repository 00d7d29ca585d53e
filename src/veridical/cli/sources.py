"""What `stats` and `audit` look at: a manifest (a file), or a clip store (a folder) with its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.artefacts import Manifest
    from veridical.clips import ClipStore

ManifestOfStore = Annotated[
    Path | None, typer.Option(help="For a store: take labels from this manifest instead of the store's own copy.")
]


@dataclass(frozen=True, eq=False)
class Source:
    """A manifest, and the clip store made from it when there is one."""

    manifest: Manifest
    """All its videos, of every split."""
    videos: Manifest
    """Those of the split that was asked for."""
    store: ClipStore | None


def open_source(source: Path, manifest: Path | None, split: str | None) -> Source:
    """Open a manifest or a clip store.

    Args:
        source: A manifest (a file), or a clip store (a folder).
        manifest: For a store: the manifest to use instead of its own copy.
        split: The split that is asked for; None is all of them.

    Raises:
        UsageError: when the source is missing, is a folder without a store or holds no videos (of the split), or an
            option does not go with it.
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
        everything, store = Manifest.read(source), None
    elif not (source / "store.json").is_file():
        inside = sorted(path.name for path in source.glob("*.parquet"))
        hint = f"name the manifest in it ({', '.join(inside[:3])})" if inside else "give a manifest or a clip store"
        raise UsageError(f"{source}: is a folder but not a clip store (no store.json); {hint}")
    else:
        store = ClipStore.open(source)
        everything = Manifest.read(manifest) if manifest else store.manifest()
    videos = everything.select(split=split)
    if not len(videos):
        where = f", none in split {split!r}" if split else ""
        raise UsageError(f"{source}: the manifest holds {len(everything)} videos{where}; nothing to look at")
    return Source(everything, videos, store)
