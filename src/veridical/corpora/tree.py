"""Listing of folders: video files by relative path, in one walk; hidden files are left out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from veridical.corpora.adapter import Notes

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".3gp", ".ogv"}
)


def list_files(root: Path, suffixes: frozenset[str] = VIDEO_SUFFIXES, notes: Notes | None = None) -> list[str]:
    """Return the sorted POSIX paths, relative to `root`, of all files with these (lower-case) suffixes.

    Links to folders are followed, each real folder once. Names that begin with a dot are left out (`._x.mp4` of macOS), and
    those that are not text that a manifest can hold, counted in `notes`.
    """
    paths: list[str] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if prefix == "." else prefix + "/"
        paths += [prefix + name for name in names if os.path.splitext(name)[1].lower() in suffixes and name[0] != "."]
    text = [path for path in paths if _is_text(path)]
    if notes is not None and len(text) < len(paths):
        odd = min(path for path in paths if not _is_text(path))
        notes.warn("file name is not UTF-8 text, left out; rename the file", ascii(odd), len(paths) - len(text))
    return sorted(text)


def _is_text(path: str) -> bool:
    """Say whether a name is text: Python decodes bytes that are not UTF-8 to surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def absolute(root: Path, relative: str) -> str:
    """Return the absolute path of a file below `root`, as a manifest holds it."""
    return os.path.join(os.path.abspath(root), *relative.split("/"))


def stem(relative: str) -> str:
    """Return the file name without folder and suffix."""
    return PurePosixPath(relative).stem


def without_suffix(relative: Iterable[str]) -> dict[str, str]:
    """Map each relative path to itself without suffix, or to itself where that would not be unique."""
    paths = list(relative)
    short = [os.path.splitext(path)[0] for path in paths]
    counts: dict[str, int] = {}
    for name in short:
        counts[name] = counts.get(name, 0) + 1
    return {path: name if counts[name] == 1 else path for path, name in zip(paths, short, strict=True)}


def find_list(root: Path, names: Iterable[str], folders: Iterable[str] = ("",)) -> Path | None:
    """Return the first list file that exists under one of these names in one of these folders below `root`."""
    wanted = list(names)
    for folder in folders:
        for name in wanted:
            path = root / folder / name
            if path.is_file():
                return path
    return None
