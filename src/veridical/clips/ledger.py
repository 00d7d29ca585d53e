"""The ledger of a clip store: the outcome of every video, so that none is dropped silently."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa

from veridical import media

Status = Literal["ok"] | media.Status
STATUSES: tuple[Status, ...] = ("ok", *media.STATUSES)

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("num_clips", pa.int32(), nullable=False),
        pa.field("num_dropped_windows", pa.int32(), nullable=False),
        pa.field("has_audio", pa.bool_()),
        pa.field("duration_s", pa.float64()),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class LedgerEntry:
    """The outcome of preparing one video."""

    video_id: str
    status: Status
    reason: str = ""
    """Why the status is not ok, or a remark (windows dropped), for people."""
    num_clips: int = 0
    num_dropped_windows: int = 0
    """Complete windows without enough detected faces."""
    has_audio: bool | None = None
    """None when the video could not be opened."""
    duration_s: float | None = None
    seconds: float = 0.0
    """Time the preparation took."""
    digest: str = ""
    """Fingerprint of the clips' content; filled in by the writer."""
    source: str = ""
    """Fingerprint of the file that was prepared (its size, beginning and end); another file under the same
    video_id is prepared again."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {self.status!r}")
        if self.status != "ok" and self.num_clips:
            raise ValueError(f"{self.video_id}: status {self.status} cannot have {self.num_clips} clips")
        if self.status != "ok" and not self.reason:
            raise ValueError(f"{self.video_id}: status {self.status} needs a reason")

    def to_row(self) -> dict[str, object]:
        """Return the plain row of LEDGER_SCHEMA."""
        return asdict(self)
