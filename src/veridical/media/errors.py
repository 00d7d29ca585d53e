"""Why a video cannot be used: the statuses of the preparation ledger, carried by one error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from veridical.errors import VeridicalError

Status = Literal["unreadable", "no_video", "no_face", "multiple_faces", "too_short", "timeout", "over_limit"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""Every status that an unusable video can have in the ledger."""


class UnusableVideoError(VeridicalError):
    """A video from which no clip can be made; `status` is for counting, the message for reading.

    Args:
        status: One of `STATUSES`.
        reason: Why it cannot be used, in one line.
        path: The file, put before the reason in the message.
    """

    def __init__(self, status: Status, reason: str, path: Path | None = None) -> None:
        assert status in STATUSES, status
        self.status: Status = status
        self.reason = " ".join(reason.split())
        self.path = path
        super().__init__(f"{path}: {self.reason}" if path is not None else self.reason)

    def __reduce__(self) -> tuple[type[UnusableVideoError], tuple[Status, str, Path | None]]:
        """Be picklable, for the way back from a worker process."""
        return type(self), (self.status, self.reason, self.path)
