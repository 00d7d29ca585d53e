"""The evidence of an evaluation: score table and manifest joined, a row per video next to the rows of clips.

Facts of a video come from the manifest where it states them, else from the score table. A video is fake when its manifest row
says so or, where that is null, when any of its clips is labelled fake. A clip has its label in the score table, else that of
its video; in a partial fake, clips without a label are left out. Where manifest and score table contradict each other, the
manifest wins and the videos are counted. No fact is read from a path. Everything is columnar: five million rows are fine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from veridical.artefacts import LABELS, Manifest, ScoreTable
from veridical.corpora import target_groups
from veridical.errors import ArtefactError, UsageError
from veridical.metrics import Aggregation, FloatArray, IntArray

TEXT_FACTS = ("dataset", "split", "generator", "compression", "group")
MIN_GROUPS = 10
"""Fewest leak groups of a data set and split over which videos are resampled."""
CONDITION_NAMES = {
    "joint": "video and audio",
    "audio_masked": "video only",
    "video_masked": "audio only",
    "video_head": "video head",
    "audio_head": "audio head",
}
"""Condition → its name for a reader; the first that was scored is the primary condition."""


def describe_condition(condition: str) -> str:
    """Return a condition for a message: its name in the score table and what the detector sees."""
    return f"{condition!r} ({CONDITION_NAMES[condition]})" if condition in CONDITION_NAMES else repr(condition)


@dataclass(frozen=True, eq=False)
class Clips:
    """The scored rows of one condition, n of them."""

    video: IntArray
    """(n,) position of the video in `Evidence.videos`."""
    start_s: FloatArray
    """(n,) seconds; NaN for the score of a whole video."""
    logit: FloatArray
    """(n,) finite."""
    label: FloatArray
    """(n,) 0, 1 or NaN; the video's where the score table has none for the clip (of a partial fake: NaN)."""
    p_fake: FloatArray
    """(n,) the model's own calibrated probability, NaN where it gave none."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the figures are computed from."""

    videos: pd.DataFrame
    """A row per video: video_id, the text facts ('' unknown), resampling_group (the unit of the bootstrap: the leak group, or
    the person shown where there are too few leak groups), labels (0, 1, NaN), has_audio (0, 1, NaN), speech_share, face_size_px,
    attributes (a dict), in_manifest, sha256 ('' unknown) and seen (how well the detector knows it, '' unknown)."""
    clips: Mapping[str, Clips]
    """Condition → its scored rows; the primary condition comes first."""
    rows_without_logit: int = 0
    """Rows of the primary condition that hold no score."""
    not_in_manifest: int = 0
    """Scored videos that the manifest does not list."""
    contradicted: tuple[str, ...] = ()
    """Videos whose label in the score table contradicts the manifest; the manifest wins."""
    segments: Mapping[int, FloatArray] = field(default_factory=dict)
    """Position of a partial fake in `videos` → (m, 2) its forged segments in seconds, of video and audio together."""
    has_manifest: bool = False
    _logits: dict[tuple[str, Aggregation], FloatArray] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        """The condition that stands for the detector: `joint` where there is one."""
        return next(iter(self.clips))

    def video_logits(self, condition: str, aggregation: Aggregation) -> FloatArray:
        """Return (V,) aggregated logits; NaN where a video has no score under the condition."""
        key = (condition, aggregation)
        if key not in self._logits:
            clips, num_videos = self.clips.get(condition), len(self.videos)
            self._logits[key] = (
                np.full(num_videos, np.nan)
                if clips is None
                else aggregation.video_logits(clips.logit, clips.video, num_videos)
            )
        return self._logits[key]


def gather(scores: ScoreTable, manifest: Manifest | None = None) -> Evidence:
    """Join scores and manifest.

    Raises:
        UsageError: when nothing is scored, or no scored video is in the manifest.
        ArtefactError: when the rows of one video disagree on its data set, split, generator, compression or group.
    """
    table = scores.table
    scored = table.filter(pc.is_valid(table["logit"]))
    if scored.num_rows == 0:
        raise UsageError("the score table holds no score: every logit is null")
    codes, names = _encode(scored["video_id"])
    videos = _facts_of_scores(scored, codes, names)
    not_in_manifest, contradicted, partial = 0, np.zeros(len(names), bool), np.zeros(len(names), bool)
    if manifest is not None:
        not_in_manifest = int((~np.isin(names, manifest.table["video_id"].to_numpy(zero_copy_only=False))).sum())
        if not_in_manifest == len(names):
            raise UsageError(
                f"none of the {len(names)} scored videos is in the manifest: the scores have video_id {names[0]!r},"
                f" the manifest has {_first_id(manifest)!r}; give the manifest that the scores were made with"
            )
        scored_label, partial = videos["label"].to_numpy(dtype=float), np.isin(names, _partial_fakes(manifest))
        videos = _with_manifest(videos, manifest)
        label = videos["label"].to_numpy(dtype=float)[: len(names)]
        known = np.isfinite(scored_label) & np.isfinite(label)
        contradicted = known & (scored_label != label) & ~(partial & (scored_label == 0))
    labels = _clip_labels(_floats(scored["label"]), codes, videos["label"].to_numpy(dtype=float), contradicted, partial)
    clips = _clips(scored, codes, labels)
    unscored = table.filter(pc.and_(pc.is_null(table["logit"]), pc.equal(table["condition"], next(iter(clips)))))
    return Evidence(
        videos=videos.assign(resampling_group=_resampling_groups(videos, manifest)),
        clips=clips,
        rows_without_logit=unscored.num_rows,
        not_in_manifest=not_in_manifest,
        segments=_segments(manifest, videos["video_id"]) if manifest is not None else {},
        contradicted=tuple(map(str, names[contradicted])),
        has_manifest=manifest is not None,
    )


def _encode(column: pa.ChunkedArray) -> tuple[IntArray, np.ndarray]:
    """Return (n,) codes in order of appearance and the (V,) names they stand for; null is the name ''."""
    encoded = pc.dictionary_encode(pc.fill_null(column, "")).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_numpy(
        zero_copy_only=False
    )


def _facts_of_scores(scored: pa.Table, codes: IntArray, names: np.ndarray) -> pd.DataFrame:
    first = np.empty(len(names), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    columns: dict[str, np.ndarray] = {"video_id": names}
    for fact in TEXT_FACTS:
        values, distinct = _encode(scored[fact])
        unlike = np.flatnonzero(values != values[first][codes])
        if len(unlike):
            name = names[codes[unlike[0]]]
            raise ArtefactError(f"score table: rows of video {name!r} disagree on its {fact}; video_id must be unique")
        columns[fact] = distinct[values[first]].astype(object)
    for label in LABELS:
        columns[label] = _any_fake(_floats(scored[label]), codes, len(names))
    for fact in ("speech_share", "face_size_px"):
        columns[fact] = _mean_known(_floats(scored[fact]), codes, len(names))
    with_audio = np.isfinite(columns["speech_share"])
    columns["has_audio"] = with_audio.astype(float) if with_audio.any() else np.full(len(names), np.nan)
    videos = pd.DataFrame(columns)
    attributes = scored["attributes"].take(pa.array(first)).to_pylist()
    seen, words = _encode(scored["seen"])
    videos["seen"] = words[seen[first]].astype(object)
    videos["attributes"] = pd.Series([dict(item or ()) for item in attributes], dtype=object)
    return videos.assign(in_manifest=False, sha256="")


def _mean_known(values: FloatArray, codes: IntArray, num_videos: int) -> FloatArray:
    """Return (V,) the mean of the known values of each video; NaN where none is known."""
    known = np.isfinite(values)
    count = np.bincount(codes[known], minlength=num_videos)
    total = np.bincount(codes[known], weights=values[known], minlength=num_videos)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _any_fake(labels: FloatArray, codes: IntArray, num_videos: int) -> FloatArray:
    fakes = np.bincount(codes[labels == 1], minlength=num_videos)
    reals = np.bincount(codes[labels == 0], minlength=num_videos)
    return np.where(fakes > 0, 1.0, np.where(reals > 0, 0.0, np.nan))


def _with_manifest(videos: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Let the manifest's facts take precedence, and add the videos that have no score."""
    columns = ["video_id", *TEXT_FACTS, *LABELS, "has_audio", "attributes", "sha256"]
    known = manifest.table.select(columns).to_pandas(maps_as_pydicts="strict").set_index("video_id")
    scored = videos.set_index("video_id")
    index = pd.Index([*scored.index, *known.index.difference(scored.index, sort=False)], name="video_id")
    known, scored = known.reindex(index), scored.reindex(index)
    merged = pd.DataFrame(index=index)
    for fact in TEXT_FACTS:
        stated = known[fact].astype(object).where(known[fact].notna(), scored[fact])
        merged[fact] = stated.where(stated.notna(), "").astype(object)
    for fact in (*LABELS, "has_audio"):
        stated = pd.to_numeric(known[fact].astype(object), errors="coerce").astype(float)
        merged[fact] = stated.where(stated.notna(), scored[fact].astype(float))
    merged["seen"] = scored["seen"].where(scored["seen"].notna(), "").astype(object)
    for fact in ("speech_share", "face_size_px"):
        merged[fact] = scored[fact].astype(float)
    pairs = zip(scored["attributes"], known["attributes"], strict=True)
    attributes = [{**_mapping(first), **_mapping(second)} for first, second in pairs]
    merged["attributes"] = pd.Series(attributes, index=index, dtype=object)
    merged["in_manifest"] = np.isin(
        index.to_numpy(dtype=object), manifest.table["video_id"].to_numpy(zero_copy_only=False)
    )
    merged["sha256"] = known["sha256"].astype(object).where(known["sha256"].notna(), "")
    return merged.reset_index()


def _resampling_groups(videos: pd.DataFrame, manifest: Manifest | None) -> pd.Series:
    """Return the unit that the bootstrap resamples, for each video.

    A video without a leak group is drawn with the other videos of the person it shows. Donors tie people together: all videos
    of a corpus of swaps can form one leak group (Celeb-DF's test list holds 30 people in one), and one group cannot be
    resampled. Where a data set and split has fewer than `MIN_GROUPS`, its videos are resampled by the person shown.
    """
    group = videos["group"].copy()
    if manifest is None:
        return group
    shown = pd.Series(
        [f"person shown {n}" for n in target_groups(manifest)], index=manifest.table["video_id"].to_pylist()
    )
    person = videos["video_id"].map(shown)
    missing = (group == "") & person.notna()
    if missing.any():
        first = group[group != ""].groupby(person[group != ""]).first()
        group[missing] = person[missing].map(first).astype(object).fillna(person[missing])
    for rows in videos.groupby(["dataset", "split"], sort=False).groups.values():
        known = group.loc[rows][group.loc[rows] != ""]
        if 0 < known.nunique() < MIN_GROUPS and person.loc[rows].nunique() > known.nunique():
            group.loc[rows] = person.loc[rows].where(person.loc[rows].notna(), group.loc[rows])
    return group


def _mapping(value: object) -> dict[str, str]:
    return dict(value) if isinstance(value, Mapping) else {}


def _partial_fakes(manifest: Manifest) -> np.ndarray:
    """Return the video_ids of fakes of which only some segments are forged."""
    table = manifest.table
    some = pc.greater(pc.fill_null(pc.list_value_length(table["fake_segments"]), 0), 0)
    names = table["video_id"].filter(pc.and_(some, pc.fill_null(pc.equal(table["label"], 1), False)))
    return np.asarray(names.to_numpy(zero_copy_only=False), dtype=object)


def _segments(manifest: Manifest, names: pd.Series) -> dict[int, FloatArray]:
    """Return position → disjoint segments, for every partial fake."""
    table = manifest.table
    rows = table.filter(pc.is_in(table["video_id"], pa.array(_partial_fakes(manifest), type=pa.string())))
    position = {name: number for number, name in enumerate(names)}
    forged = {}
    for name, segments in zip(rows["video_id"].to_pylist(), rows["fake_segments"].to_pylist(), strict=True):
        joined: list[list[float]] = []
        for start_s, end_s in sorted((item["start_s"], item["end_s"]) for item in segments):
            if joined and start_s <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], end_s)
            else:
                joined.append([start_s, end_s])
        forged[position[name]] = np.array(joined)
    return forged


def _clip_labels(
    labels: FloatArray,
    codes: IntArray,
    video_labels: FloatArray,
    contradicted: NDArray[np.bool_],
    partial: NDArray[np.bool_],
) -> FloatArray:
    """Return (n,) labels of rows: their own, else their video's; unknown ones of a partial fake stay unknown."""
    known = np.isfinite(labels)
    genuine = np.bincount(codes[labels == 0], minlength=len(partial)) > 0
    partial = partial | (genuine & (video_labels[: len(partial)] == 1))
    own = np.where(contradicted[codes], np.nan, labels)
    return np.where((known | partial[codes]) & ~contradicted[codes], own, video_labels[codes])


def _clips(scored: pa.Table, codes: IntArray, labels: FloatArray) -> dict[str, Clips]:
    """Return the rows of each condition."""
    conditions, names = _encode(scored["condition"])
    values = {name: _floats(scored[name]) for name in ("start_s", "logit", "p_fake")} | {"label": labels}
    clips: dict[str, Clips] = {}
    for name in sorted(names, key=_condition_rank):
        rows = np.flatnonzero(conditions == list(names).index(name))
        clips[str(name)] = Clips(video=codes[rows], **{key: column[rows] for key, column in values.items()})
    return clips


def _condition_rank(name: str) -> tuple[int, str]:
    order = list(CONDITION_NAMES)
    return (order.index(name) if name in order else len(order), name)


def _floats(column: pa.ChunkedArray) -> FloatArray:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _first_id(manifest: Manifest) -> str | None:
    return manifest.table["video_id"][0].as_py() if len(manifest) else None
