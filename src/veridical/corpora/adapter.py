"""What every corpus adapter is made of: its options, its notes on oddities, and what a scan returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veridical.artefacts import Manifest, Video
from veridical.settings import Settings

_MAX_EXAMPLES = 5


def of_corpus(person: str, dataset: str) -> str:
    """Return the identity of a person: `s1` of two corpora are two people; a name with a slash says its corpus itself."""
    return person if "/" in person else f"{dataset}/{person}"


@dataclass(frozen=True)
class Notice:
    """Something odd or unknown that a scan reports instead of guessing, counted."""

    reason: str
    """What was seen, and what was done about it."""
    count: int
    examples: tuple[str, ...]
    """The first few files or rows, for looking them up."""

    @property
    def line(self) -> str:
        """One line for the terminal."""
        shown = ", ".join(self.examples[:2])
        return f"{self.count} × {self.reason}" + (f" (for example {shown})" if shown else "")


@dataclass(frozen=True)
class OfficialCount:
    """How many videos of one kind a corpus should have, next to how many it has."""

    name: str
    expected: int
    found: int

    @property
    def outcome(self) -> str:
        """What is missing or too many."""
        difference = self.found - self.expected
        if difference:
            return f"{-difference:,} missing" if difference < 0 else f"{difference:,} more"
        return "as published"

    @property
    def line(self) -> str:
        """One line for the terminal."""
        return f"{self.name}: {self.found} of {self.expected} ({self.outcome})"


class Notes:
    """Collects notices and official counts while an adapter reads a tree."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._official: list[OfficialCount] = []
        self.release: str | None = None
        """Name of the release in `EXPECTED`, set by adapters that read several; empty when unknown."""

    def warn(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count one notice; `example` names the file or row."""
        self._counts[reason] = self._counts.get(reason, 0) + count
        examples = self._examples.setdefault(reason, [])
        if example and len(examples) < _MAX_EXAMPLES:
            examples.append(example)

    def rest(self, reason: str, files: Collection[str]) -> None:
        """Count leftover files, naming the first; without any, do nothing."""
        if files:
            self.warn(reason, min(files), len(files))

    def expect(self, name: str, expected: int, found: int) -> None:
        """Put an official count next to the number of videos found."""
        self._official.append(OfficialCount(name, expected, found))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """All notices in the order in which they first came up."""
        return tuple(Notice(reason, count, tuple(self._examples[reason])) for reason, count in self._counts.items())

    @property
    def counts(self) -> tuple[OfficialCount, ...]:
        """All official counts in the order given."""
        return tuple(self._official)


Reader = Callable[[Path, Any, Notes], Iterator[Video]]
"""(root, options, notes) -> videos; the options are an instance of the adapter's settings model."""


@dataclass(frozen=True)
class Adapter:
    """How one corpus, as it is downloaded, becomes the rows of a manifest."""

    title: str
    read: Reader
    options: type[Settings]
    layout: str
    """What the root is expected to look like, for error messages and help."""
    reads_file: bool = False
    """The root may be a file."""


@dataclass(frozen=True, eq=False)
class ScanResult:
    """A manifest, and what was odd or missing in the corpus."""

    manifest: Manifest
    notices: tuple[Notice, ...] = field(default=())
    counts: tuple[OfficialCount, ...] = field(default=())
    num_unreadable: int = 0
    """Videos that could not be opened; 0 when none was opened."""

    @property
    def complete(self) -> bool:
        """Whether every official count is met (where one is known) and no video was unreadable."""
        return not self.num_unreadable and all(count.found == count.expected for count in self.counts)

    @property
    def lines(self) -> tuple[str, ...]:
        """What the terminal shows: the official counts, and what was odd."""
        return (*(count.line for count in self.counts), *(notice.line for notice in self.notices))
