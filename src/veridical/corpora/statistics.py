"""Statistics of a corpus: diversity matrix, durations, audio, faces and speech, next to the official numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from veridical.artefacts import SPLITS, Manifest
from veridical.corpora.adapter import OfficialCount
from veridical.corpora.demographics import demographic
from veridical.corpora.expected import official_counts, publishes_split
from veridical.corpora.groups import attribute_column
from veridical.corpora.proof import generators
from veridical.corpora.tables import (
    TextTable,
    clips_table,
    generators_table,
    lost_table,
    matrix_table,
    notes_table,
    official_table,
    splits_table,
    totals_table,
)
from veridical.errors import UsageError

_QUARTILES = (25, 50, 75)
_UNSPLIT = "no split"
_PER_VIDEO = {"speech_share": "speech_share", "face_px": "mean_box_size_px"}


@dataclass(frozen=True)
class GeneratorStatistics:
    """Figures of the videos of one generator, or of the reals; quartiles of seconds and of face size in pixels."""

    generator: str
    videos: int
    people: int
    hours: float | None
    duration_s_25: float | None
    duration_s_50: float | None
    duration_s_75: float | None
    sound_share: float | None
    fake_segments: int
    prepared_share: float | None
    clips: int | None
    face_px_25: float | None
    face_px_50: float | None
    face_px_75: float | None
    speech_share: float | None


@dataclass(frozen=True)
class SplitStatistics:
    """How many videos, people and clips a split has."""

    split: str
    videos: int
    real: int
    fake: int
    people: int
    clips: int | None


@dataclass(frozen=True)
class Statistics:
    """Figures of a manifest and of the clips made from it. Plain values: None where a figure is unknown."""

    totals: Mapping[str, float | int | None]
    """Figure → value; see the documentation for each."""
    matrix: Mapping[str, Mapping[str, int]]
    """Generator (real first) → compression → videos."""
    generators: tuple[GeneratorStatistics, ...]
    """The reals first."""
    splits: tuple[SplitStatistics, ...]
    lost: Mapping[str, int]
    """Status in the ledger → videos that gave no clips; empty for a manifest alone."""
    official: tuple[OfficialCount, ...]
    """Official numbers next to those of the manifest, where they are published."""
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What is known about people (gender, skin tone …) → group → videos."""
    notes: tuple[str, ...] = ()
    """What could not be counted or compared, and why."""

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Statistics:
        """Build statistics from what `to_json` returned; other keys are ignored."""
        return cls(
            totals=values["totals"],
            matrix=values["matrix"],
            generators=tuple(GeneratorStatistics(**row) for row in values["generators"]),
            splits=tuple(SplitStatistics(**row) for row in values["splits"]),
            lost=values["lost"],
            official=tuple(OfficialCount(**count) for count in values["official"]),
            groups=values.get("groups", {}),
            notes=tuple(values["notes"]),
        )

    def tables(self) -> tuple[TextTable, ...]:
        """Return the tables that the terminal and the report show."""
        tables = [totals_table(self.totals), matrix_table(self.matrix), generators_table(self.generators)]
        tables += [clips_table(self.generators)] if self.totals["clips"] is not None else []
        tables.append(splits_table(self.splits))
        tables += [lost_table(self.lost)] if self.lost else []
        tables += [official_table(self.official)] if self.official else []
        tables += [notes_table(self.notes)] if self.notes else []
        return tuple(tables)


def statistics(
    manifest: Manifest,
    clips: pd.DataFrame | None = None,
    *,
    ledger: pd.DataFrame | None = None,
    frames_per_clip: int = 5,
    split: str | None = None,
) -> Statistics:
    """Summarise a manifest, and the clips made from it.

    Args:
        manifest: The videos.
        clips: The index of a clip store (a row per clip with video_id, and optionally speech_share and
            mean_box_size_px), or None.
        ledger: The ledger of that store (video_id, status), or None.
        frames_per_clip: Frames in a clip of that store.
        split: Count the videos of this split only; official numbers are then not compared.

    Raises:
        UsageError: when there are no videos to count.
    """
    selected = manifest.select(split=split)
    if len(selected) == 0:
        raise UsageError(
            f"the manifest holds {len(manifest)} videos" + (f", none in split {split!r}" if split else "")
            + ": no statistics"
        )  # fmt: skip
    videos, own = _videos(selected), None
    if clips is not None:
        own = clips[clips["video_id"].isin(set(videos["video_id"]))]
        videos = _with_clips(videos, own)
    official = official_counts(manifest) if split is None else ()
    names = sorted(videos["generator"].unique(), key=lambda name: (name != "real", name))
    matrix = pd.crosstab(videos["generator"], videos["compression"])
    return Statistics(
        totals=_totals(videos, own, frames_per_clip),
        matrix={name: {str(k): int(v) for k, v in matrix.loc[name].items()} for name in names},
        generators=tuple(_generator(name, videos[videos["generator"] == name]) for name in names),
        splits=tuple(_split(name, rows) for name, rows in _by_split(videos)),
        lost={} if ledger is None else _lost(videos, ledger),
        official=official,
        groups=_groups(selected),
        notes=_notes(videos, official, split),
    )


def _videos(manifest: Manifest) -> pd.DataFrame:
    """Return a row per video with everything that is counted; None and NaN where unknown."""
    columns = ["dataset", "video_id", "label", "compression", "identities", "split", "has_audio", "duration_s", "fps"]
    videos = manifest.frame(columns)
    videos["generator"] = np.asarray(generators(manifest), dtype=object)
    for name, missing in (("compression", "unknown"), ("split", _UNSPLIT)):
        videos[name] = videos[name].astype(object).where(videos[name].notna(), missing)
    videos["frames"] = videos["duration_s"] * videos["fps"]
    videos["segments"] = np.asarray(pc.list_value_length(manifest.table["fake_segments"]).fill_null(0))
    videos["listed_official"] = np.asarray(attribute_column(manifest, "official_split").is_valid())
    return videos.assign(clips=np.nan, speech_share=np.nan, face_px=np.nan)


def _with_clips(videos: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    grouped = clips.groupby("video_id", sort=False)
    known = pd.DataFrame({"clips": grouped.size().astype(float)})
    for name, column in _PER_VIDEO.items():
        known[name] = grouped[column].mean() if column in clips else np.nan
    joined = videos.drop(columns=list(known)).join(known, on="video_id")
    joined["clips"] = joined["clips"].fillna(0)
    return joined


def _totals(videos: pd.DataFrame, clips: pd.DataFrame | None, frames_per_clip: int) -> dict[str, float | int | None]:
    real, fake = int((videos["label"] == 0).sum()), int((videos["label"] == 1).sum())
    audio = videos["has_audio"].dropna().astype(bool)
    seconds = videos["duration_s"].dropna()
    return {
        "videos": len(videos),
        "real": real,
        "fake": fake,
        "unlabelled": len(videos) - real - fake,
        "fakes_per_real": _plain(fake / real if real else np.nan, 4),
        "people": _people(videos),
        "probed": len(seconds),
        "hours": _plain(seconds.sum() / 3600 if len(seconds) else np.nan, 4),
        **_named_quartiles("duration_s", seconds),
        "frames": int(videos["frames"].sum()) if videos["frames"].notna().any() else None,
        "whole_seconds": int(np.floor(seconds).sum()) if len(seconds) else None,
        "partial_fakes": int((videos["segments"] > 0).sum()),
        "fake_segments": int(videos["segments"].sum()),
        "with_sound": int(audio.sum()) if len(audio) else None,
        "without_sound": int((~audio).sum()) if len(audio) else None,
        "sound_unknown": len(videos) - len(audio),
        "clips": None if clips is None else len(clips),
        "clip_frames": None if clips is None else len(clips) * frames_per_clip,
        "clips_with_sound": None if clips is None else _clips_with_sound(clips),
        **_named_quartiles("face_px", _column(clips, "mean_box_size_px")),
        "speech_share": _plain(float(_column(clips, "speech_share").mean()), 4),
    }  # fmt: skip


def _groups(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return what attributes say about people → group → videos, the largest group first."""
    names = sorted(set(pc.unique(manifest.table["attributes"].combine_chunks().keys).to_pylist()))
    groups: dict[str, dict[str, int]] = {}
    for name in names:
        if (kind := demographic(name)) is not None and kind not in groups:
            counts = attribute_column(manifest, name).drop_null().value_counts().to_pylist()
            ordered = sorted(counts, key=lambda item: (-item["counts"], item["values"]))
            groups[kind] = {str(item["values"]): int(item["counts"]) for item in ordered}
    return groups


def _people(videos: pd.DataFrame) -> int:
    return len({person for names in videos["identities"] if names is not None for person in names})


def _column(clips: pd.DataFrame | None, name: str) -> pd.Series[float]:
    """Return the known values of a column of the clips; none without clips or without the column."""
    return pd.Series(dtype=float) if clips is None or name not in clips else clips[name].dropna()


def _clips_with_sound(clips: pd.DataFrame) -> int | None:
    return int(clips["has_audio"].sum()) if "has_audio" in clips else None


def _quartiles(values: pd.Series[float]) -> list[float | None]:
    """Return the three quartiles of the known values; None where there are none."""
    return [_plain(float(values.quantile(share / 100)), 3) for share in _QUARTILES]


def _named_quartiles(name: str, values: pd.Series[float]) -> dict[str, float | None]:
    names = [f"{name}_{share}" for share in _QUARTILES]
    return dict(zip(names, _quartiles(values), strict=True))


def _plain(value: float, digits: int) -> float | None:
    """Return a rounded float, None for NaN."""
    return None if np.isnan(value) else round(float(value), digits)


def _generator(name: str, videos: pd.DataFrame) -> GeneratorStatistics:
    audio = videos["has_audio"].dropna().astype(float)
    prepared = videos["clips"].dropna()
    seconds, face_px = _quartiles(videos["duration_s"].dropna()), _quartiles(videos["face_px"].dropna())
    return GeneratorStatistics(
        generator=name,
        videos=len(videos),
        people=_people(videos),
        hours=_plain(videos["duration_s"].sum() / 3600 if videos["duration_s"].notna().any() else np.nan, 4),
        duration_s_25=seconds[0],
        duration_s_50=seconds[1],
        duration_s_75=seconds[2],
        sound_share=_plain(audio.mean(), 4),
        fake_segments=int(videos["segments"].sum()),
        prepared_share=_plain(float((prepared > 0).mean()), 4),
        clips=int(prepared.sum()) if len(prepared) else None,
        face_px_25=face_px[0],
        face_px_50=face_px[1],
        face_px_75=face_px[2],
        speech_share=_plain(videos["speech_share"].mean(), 4),
    )


def _by_split(videos: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, rows) for name in (*SPLITS, _UNSPLIT) if len(rows := videos[videos["split"] == name])]


def _split(name: str, videos: pd.DataFrame) -> SplitStatistics:
    real, fake = int((videos["label"] == 0).sum()), int((videos["label"] == 1).sum())
    clips = int(videos["clips"].sum()) if videos["clips"].notna().any() else None
    return SplitStatistics(name, len(videos), real, fake, _people(videos), clips)


def _lost(videos: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, int]:
    """Count the reasons why videos gave no clips; videos not yet prepared are counted too."""
    status = videos["video_id"].map(ledger.set_index("video_id")["status"]).fillna("not_prepared")
    return {str(name): int(count) for name, count in status[status != "ok"].value_counts().items()}


def _notes(videos: pd.DataFrame, official: Sequence[OfficialCount], split: str | None) -> tuple[str, ...]:
    notes = []
    listed = videos.groupby("dataset")["listed_official"].any()
    unlisted = listed.index[~listed]
    if split is not None:
        notes.append(f"only split {split}: official numbers are of whole corpora and were not compared")
    elif not official:
        notes.append(f"no official numbers are known for {', '.join(sorted(videos['dataset'].unique()))}")
    elif lacking := sorted(filter(publishes_split, set(unlisted))):
        notes.append(f"scan found no official split lists of {', '.join(lacking)}")
    if videos["duration_s"].isna().all():
        notes.append("durations, frames and audio are unknown: scan --probe fills them in")
    return tuple(notes)
