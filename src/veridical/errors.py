"""Errors a user can act on: each message says what was found, what is valid and what to do, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VeridicalError(Exception):
    """Base of all errors that are meant to be read by a user; the command line prints the message alone."""

    exit_code = 2
    """What the command line ends with: 2 wrong use or unusable input, 1 a result that falls short."""


class LeakError(VeridicalError):
    """Something that is not content tells the classes apart (exit code 1)."""

    exit_code = 1


class SeenError(VeridicalError):
    """A detector is to be judged on videos that it was trained on (exit code 1)."""

    exit_code = 1


class UsageError(VeridicalError):
    """Wrong use or unusable input (exit code 2)."""


class ArtefactError(VeridicalError):
    """A manifest, clip store, run or table is missing, damaged, or of another schema version."""


class MissingWeightsError(VeridicalError):
    """Model weights could not be had; the message names the file and where to put it."""


class DivergedError(VeridicalError):
    """A loss or gradient became NaN or infinite; the message names the batch."""


class ChecklistError(VeridicalError):
    """A row of the checklist before training fails (exit code 1)."""

    exit_code = 1


class StageStoppedError(VeridicalError):
    """A stage of training stayed below what the recipe asks for (exit code 1)."""

    exit_code = 1


class NotEvaluableError(VeridicalError):
    """A figure cannot be judged from the data at hand; the message says why."""


MOST_NAMES = 60
"""A message names at most so many valid names."""


def unknown_name(kind: str, name: str, valid: Iterable[str], meant: str | None = None) -> UsageError:
    """Return the error for an unknown variant name, the nearest valid names first.

    Args:
        kind: What was named, for the message ("corpus", "forgery").
        name: The name that was given.
        valid: All valid names.
        meant: The one that is meant where people write this, though it may look unlike.
    """
    names = sorted(valid)
    if not names:
        return UsageError(f"unknown {kind} {name!r}: there is none here")
    near = [meant] if meant else difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    ordered = near + [other for other in names if other not in near]
    if len(ordered) > MOST_NAMES:
        ordered = [*ordered[:MOST_NAMES], f"and {len(ordered) - MOST_NAMES} more"]
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"unknown {kind} {name!r}{hint} Valid: {', '.join(ordered)}")
