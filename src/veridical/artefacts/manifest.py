"""Manifest: the videos of a corpus and what is known about them, a row per video. Written by scan, forge and split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from veridical.artefacts.files import fingerprint, read_table, write_table
from veridical.errors import ArtefactError

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")
LABELS = ("label", "visual_label", "audio_label")
"""The columns of labels, in manifests and in score tables: of the whole, of its frames, of its audio; 1 = fake."""

_SEGMENT = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("modality", pa.string())])
MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.int8()),
        pa.field("visual_label", pa.int8()),
        pa.field("audio_label", pa.int8()),
        pa.field("generator", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("identities", pa.list_(pa.string())),
        pa.field("group", pa.string()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.field("split", pa.string()),
        pa.field("fake_segments", pa.list_(_SEGMENT)),
        pa.field("has_audio", pa.bool_()),
        pa.field("duration_s", pa.float64()),
        pa.field("fps", pa.float64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("codec", pa.string()),
        pa.field("pixel_format", pa.string()),
        pa.field("bitrate", pa.int64()),
        pa.field("audio_codec", pa.string()),
        pa.field("audio_rate_hz", pa.int32()),
        pa.field("sha256", pa.string()),
    ]
)


@dataclass(frozen=True)
class FakeSegment:
    """A forged segment of a partial fake."""

    start_s: float
    """Start, seconds of presentation time from the start of the video."""
    end_s: float
    """End, exclusive."""
    modality: Literal["visual", "audio"]

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s:
            raise ArtefactError(f"fake segment: expected 0 <= start_s < end_s, got {self.start_s} and {self.end_s}")
        if self.modality not in ("visual", "audio"):
            raise ArtefactError(f"fake segment: modality must be visual or audio, got {self.modality!r}")


@dataclass(frozen=True)
class Video:
    """One row of a manifest. Labels: 0 real, 1 fake, None unknown."""

    dataset: str
    video_id: str
    """Unique over datasets and compressions."""
    path: str
    label: int | None = None
    """1 when anything about the video is forged."""
    visual_label: int | None = None
    audio_label: int | None = None
    """None when unknown, and when there is no audio."""
    generator: str | None = None
    """What forged it; None for a real video."""
    compression: str | None = None
    identities: tuple[str, ...] = ()
    """Everyone whose face or voice is in it, donors included."""
    group: str | None = None
    """Leak group: videos of one group must stay in one split."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    fake_segments: tuple[FakeSegment, ...] = ()
    """Empty: the whole video, when it is a fake."""
    has_audio: bool | None = None
    duration_s: float | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    pixel_format: str | None = None
    bitrate: int | None = None
    """Bits per second of the whole file."""
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("label", "visual_label", "audio_label"):
            if getattr(self, name) not in (0, 1, None):
                raise ArtefactError(f"{self.video_id}: {name} must be 0, 1 or None, got {getattr(self, name)!r}")
        if self.split is not None and self.split not in SPLITS:
            raise ArtefactError(f"{self.video_id}: split must be one of {', '.join(SPLITS)}, got {self.split!r}")

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Video:
        """Build a video from a plain row as `pyarrow.Table.to_pylist` gives it."""
        values = dict(row)
        values["identities"] = tuple(values.get("identities") or ())
        values["attributes"] = dict(values.get("attributes") or {})
        values["fake_segments"] = tuple(FakeSegment(**segment) for segment in values.get("fake_segments") or ())
        return cls(**values)

    def to_row(self) -> dict[str, object]:
        """Return the plain row that `from_row` reads."""
        row = {item.name: getattr(self, item.name) for item in fields(self)}
        row["identities"] = list(self.identities)
        row["attributes"] = list(self.attributes.items())
        row["fake_segments"] = [asdict(segment) for segment in self.fake_segments]
        return row


@dataclass(frozen=True, eq=False)
class Manifest:
    """A validated table of videos. Columnar: millions of rows are fine; iterate `videos()` only where rows are needed."""

    table: pa.Table

    def __post_init__(self) -> None:
        if self.table.schema.names != MANIFEST_SCHEMA.names:
            missing = [name for name in MANIFEST_SCHEMA.names if name not in self.table.schema.names]
            extra = [name for name in self.table.schema.names if name not in MANIFEST_SCHEMA.names]
            raise ArtefactError(f"manifest: columns missing {missing}, unknown {extra}")
        object.__setattr__(self, "table", self.table.cast(MANIFEST_SCHEMA).combine_chunks())
        _check_rows(self.table)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def from_videos(cls, videos: Iterable[Video]) -> Manifest:
        """Build a manifest from rows; the order is kept."""
        return cls(pa.Table.from_pylist([video.to_row() for video in videos], schema=MANIFEST_SCHEMA))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read `manifest.parquet`.

        Raises:
            ArtefactError: when it is missing, damaged or not a manifest.
        """
        return cls(read_table(Path(path), "manifest", SCHEMA_VERSION))

    def write(self, path: Path) -> None:
        """Write `manifest.parquet` atomically."""
        write_table(Path(path), self.table, "manifest", SCHEMA_VERSION)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the content."""
        return fingerprint(self.table)

    def videos(self) -> Iterator[Video]:
        """Yield the rows one by one."""
        for batch in self.table.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield Video.from_row(row)

    def frame(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Return the columns (all by default) as a pandas frame; labels become nullable integers."""
        table = self.table.select(columns) if columns else self.table
        frame: pd.DataFrame = table.to_pandas(maps_as_pydicts="strict")
        for name in ("label", "visual_label", "audio_label"):
            if name in frame:
                frame[name] = frame[name].astype("Int8")
        return frame

    def with_column(self, name: str, values: Iterable[object]) -> Manifest:
        """Return a manifest whose column holds these values, in row order."""
        index = MANIFEST_SCHEMA.get_field_index(name)
        array = pa.array(list(values), type=MANIFEST_SCHEMA.field(name).type)
        return Manifest(self.table.set_column(index, MANIFEST_SCHEMA.field(name), array))

    def select(self, *, split: str | None = None, dataset: str | None = None) -> Manifest:
        """Return the videos of one split and/or dataset, in the same order."""
        table = self.table
        for name, value in (("split", split), ("dataset", dataset)):
            if value is not None:
                table = table.filter(pc.equal(table[name], value))
        return Manifest(table)

    @staticmethod
    def concat(manifests: Iterable[Manifest]) -> Manifest:
        """Put manifests below each other; a video_id that is in two of them is an error."""
        return Manifest(pa.concat_tables([manifest.table for manifest in manifests]))


def _check_rows(table: pa.Table) -> None:
    ids = table["video_id"]
    for name in ("dataset", "video_id", "path"):
        if table[name].null_count:
            raise ArtefactError(f"manifest: {table[name].null_count} rows have no {name}")
    if pc.count_distinct(ids).as_py() != table.num_rows:
        counts = pc.value_counts(ids).to_pylist()
        twice = [item["values"] for item in counts if item["counts"] > 1]
        raise ArtefactError(f"manifest: video_id must be unique; {len(twice)} occur twice or more, first {twice[0]!r}")
    for name, valid in (("label", (0, 1)), ("visual_label", (0, 1)), ("audio_label", (0, 1)), ("split", SPLITS)):
        wrong = [value for value in pc.unique(table[name]).to_pylist() if value is not None and value not in valid]
        if wrong:
            raise ArtefactError(f"manifest: {name} must be one of {valid} or null, got {wrong[:3]}")
