"""ScoreTable: the scores of a detector, a row per clip and condition; evaluation reads nothing else from a detector."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from veridical.artefacts.files import fingerprint, read_table, write_table
from veridical.artefacts.manifest import SPLITS
from veridical.errors import ArtefactError
from veridical.metrics import Aggregation
from veridical.settings import parse_settings

SCHEMA_VERSION = 1
AGGREGATION_KEY = b"aggregation"
"""Entry of the parquet schema's metadata that holds the aggregation rule as JSON."""
SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start_s", pa.float64()),
        pa.field("person", pa.int16()),
        pa.field("dataset", pa.string()),
        pa.field("split", pa.string()),
        pa.field("generator", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("group", pa.string()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.field("label", pa.int8()),
        pa.field("visual_label", pa.int8()),
        pa.field("audio_label", pa.int8()),
        pa.field("speech_share", pa.float32()),
        pa.field("face_size_px", pa.float32()),
        pa.field("condition", pa.string(), nullable=False),
        pa.field("logit", pa.float64()),
        pa.field("p_fake", pa.float64()),
        pa.field("seen", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """A validated table of scores; missing columns are added as null.

    `start_s` is null for a score of a whole video; `logit` is raw (higher = more fake); `p_fake` is calibrated, null before
    calibration. `person` numbers the people of a video, null where they are not told apart. Null labels are unknown. `seen` says
    how well the detector knows the video from its training (a word of `artefacts.Seen`), null where that is not known.
    (video_id, start_s, person, condition) is unique.
    """

    table: pa.Table
    aggregation: Aggregation | None = None
    """The detector's rule from clip logits to a video's logit; None for scores that do not say."""

    def __post_init__(self) -> None:
        table = self.table
        extra = [name for name in table.schema.names if name not in SCHEMA.names]
        if extra:
            raise ArtefactError(f"score table: columns not known: {extra}; known: {SCHEMA.names}")
        for required in ("video_id", "condition"):
            if required not in table.schema.names or table[required].null_count:
                raise ArtefactError(f"score table: every row needs a {required}")
        columns = [
            table[item.name] if item.name in table.schema.names else pa.nulls(table.num_rows, item.type)
            for item in SCHEMA
        ]
        table = pa.Table.from_arrays(
            [column.cast(item.type) for column, item in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
        object.__setattr__(self, "table", table.combine_chunks())
        self._check_values()

    def _check_values(self) -> None:
        keys = self.table.select(["video_id", "start_s", "person", "condition"]).to_pandas()
        twice = keys.duplicated()
        if twice.any():
            raise ArtefactError(
                f"score table: (video_id, start_s, person, condition) occurs twice, first {tuple(keys[twice].iloc[0])}"
            )
        splits = set(self.table["split"].unique().to_pylist()) - {None, *SPLITS}
        if splits:
            raise ArtefactError(f"score table: split must be one of {', '.join(SPLITS)}, found {min(splits)!r}")
        for name in ("label", "visual_label", "audio_label"):
            others = set(self.table[name].unique().to_pylist()) - {None, 0, 1}
            if others:
                raise ArtefactError(f"score table: {name} must be 0 (real), 1 (fake) or empty, found {min(others)}")
        logits = self.table["logit"].drop_null().to_numpy()
        if not np.isfinite(logits).all():
            raise ArtefactError(
                f"score table: {int((~np.isfinite(logits)).sum())} logits are NaN or infinite; use null for none"
            )
        p_fake = self.table["p_fake"].drop_null().to_numpy()
        if len(p_fake) and not ((p_fake >= 0) & (p_fake <= 1)).all():
            raise ArtefactError("score table: p_fake must lie in [0, 1]")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, aggregation: Aggregation | None = None) -> ScoreTable:
        """Build a score table from a pandas frame with (some of) the columns."""
        known = [item for item in SCHEMA if item.name in frame.columns]
        extra = [name for name in frame.columns if name not in SCHEMA.names]
        if extra:
            raise ArtefactError(f"score table: columns not known: {extra}; known: {SCHEMA.names}")
        arrays = [pa.array(_plain(frame[item.name], item.type), type=item.type, from_pandas=True) for item in known]
        return cls(pa.Table.from_arrays(arrays, schema=pa.schema(known)), aggregation)

    @classmethod
    def read(cls, path: Path) -> ScoreTable:
        """Read `scores.parquet`."""
        table = read_table(Path(path), "score table", SCHEMA_VERSION)
        rule = (table.schema.metadata or {}).get(AGGREGATION_KEY)
        return cls(table, None if rule is None else parse_settings(Aggregation, json.loads(rule), str(path)))

    def write(self, path: Path) -> None:
        """Write `scores.parquet` atomically."""
        rule = {} if self.aggregation is None else {AGGREGATION_KEY: self.aggregation.model_dump_json().encode()}
        write_table(Path(path), self.table.replace_schema_metadata(rule), "score table", SCHEMA_VERSION)

    @staticmethod
    def concat(tables: Iterable[ScoreTable]) -> ScoreTable:
        """Put score tables below each other.

        Raises:
            ArtefactError: when their detectors aggregate clips by different rules.
        """
        parts = list(tables)
        rules = list(dict.fromkeys(part.aggregation for part in parts))
        if len(rules) > 1:
            names = " and ".join("none" if rule is None else str(rule) for rule in rules)
            raise ArtefactError(
                f"score tables with different rules from clips to videos ({names}); evaluate them apart"
            )
        return ScoreTable(pa.concat_tables([part.table for part in parts]), rules[0] if rules else None)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the content."""
        return fingerprint(self.table)

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame; labels are nullable integers, attributes dicts."""
        frame: pd.DataFrame = self.table.to_pandas(maps_as_pydicts="strict")
        for name in ("label", "visual_label", "audio_label"):
            frame[name] = frame[name].astype("Int8")
        return frame


def _plain(column: Any, kind: pa.DataType) -> Any:
    if pa.types.is_map(kind):
        return [list(value.items()) if isinstance(value, dict) else value for value in column]
    return column
