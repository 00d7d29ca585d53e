"""Which videos a figure is about: data set and split, target label, and slices.

A slice of fakes (a generator, a forged modality) is compared with ALL reals of the same data set and split. A slice of videos
(compression, attribute, audio, speech) takes reals and fakes alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from veridical.corpora import demographic
from veridical.evaluation.evidence import Evidence, describe_condition
from veridical.evaluation.figures import Sample
from veridical.evaluation.settings import EvaluationSettings
from veridical.metrics import FloatArray, GroupBootstrap, IntArray, draw_groups
from veridical.randomness import seed_from

AUDIO_CONDITIONS = ("video_masked", "audio_head")
"""Conditions in which the detector sees audio only: videos without audio are left out."""
HEAD_TARGETS = {"video_head": "visual_label", "audio_head": "audio_label"}
"""The label of its own modality, against which a head is evaluated as well."""
FORGED = {"video": (1.0, 0.0), "audio": (0.0, 1.0), "both": (1.0, 1.0), "neither": (0.0, 0.0)}
"""visual_label and audio_label of a fake; `neither`: real face and real voice that do not belong together."""
UNSPLIT = ""


@dataclass(frozen=True, eq=False)
class Cell:
    """The videos of one data set and split, with one draw of group weights for all figures about them."""

    dataset: str
    split: str
    """'' where videos have no split."""
    videos: IntArray
    """(n,) positions in `Evidence.videos`."""
    place: IntArray
    """(V,) the inverse: position in this cell, -1 for other videos."""
    bootstrap: GroupBootstrap
    ungrouped: int
    """Videos without a leak group; each is a group of its own."""

    @property
    def is_test(self) -> bool:
        """True for a test split, and for videos without a split: these are evaluated in full."""
        return self.split in ("test", UNSPLIT)


def choose_test_splits(sets: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return data set → the split that is its test set: `test`, or '' (videos without a split) where it has no test split.

    Args:
        sets: (data set, split); a data set that has neither is left out.
    """
    splits = [(dataset, split) for dataset, split in sets if split in ("test", UNSPLIT)]
    return dict(sorted(splits, key=lambda item: item[1] == "test"))  # of two of a data set, the last one stays


def cells(evidence: Evidence, settings: EvaluationSettings) -> list[Cell]:
    """Return a cell for each data set and split, in order of name; the order of the rows of the tables does not matter."""
    videos = evidence.videos
    parts = []
    scored = np.zeros(len(videos), bool)
    for clips in evidence.clips.values():
        scored[clips.video] = True
    names, splits = videos["dataset"].to_numpy(), videos["split"].to_numpy()
    ids = videos["video_id"].to_numpy(dtype=object)
    for dataset, split in sorted(set(zip(names, splits, strict=True))):
        rows = np.flatnonzero((names == dataset) & (splits == split))
        rows = rows[np.argsort(ids[rows], kind="stable")]
        if split == "train" and not scored[rows].any():
            continue  # figures on training videos are not expected
        group = videos["resampling_group"].to_numpy()[rows]
        unit = np.where(group == "", "\x00" + ids[rows], group)
        place = np.full(len(videos), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        seed = seed_from(settings.seed, "cell", dataset, split)
        bootstrap = draw_groups(pd.factorize(unit)[0], replicates=settings.replicates, seed=seed)
        parts.append(Cell(str(dataset), str(split), rows, place, bootstrap, int((group == "").sum())))
    return parts


def video_sample(
    evidence: Evidence,
    cell: Cell,
    settings: EvaluationSettings,
    *,
    condition: str,
    logits: FloatArray,
    target: str = "label",
    mask: NDArray[np.bool_] | None = None,
) -> Sample:
    """Return the videos of a cell that have a score under a condition and a label.

    Args:
        evidence: Everything.
        cell: Data set and split.
        settings: For the confidence of intervals.
        condition: Under which the scores were made.
        logits: (V,) video logits; NaN where there is none.
        target: Label column to compare with.
        mask: (n,) of the cell's videos: the slice.
    """
    facts = evidence.videos
    labels = facts[target].to_numpy(dtype=float)[cell.videos]
    scores = logits[cell.videos]
    inside = np.ones(len(cell.videos), dtype=bool) if mask is None else mask.copy()
    reason = "" if condition in evidence.clips else f"no scores under the condition {describe_condition(condition)}"
    if condition in AUDIO_CONDITIONS or target == "audio_label":
        with_audio = facts["has_audio"].to_numpy(dtype=float)[cell.videos] != 0
        if not (inside & with_audio).any() and inside.any():
            reason = f"none of the {int(inside.sum())} videos has audio"
        inside &= with_audio
    scored = inside & np.isfinite(scores)
    if not reason and not scored.any():
        reason = f"no video has a score under the condition {describe_condition(condition)}"
    rows = np.flatnonzero(scored & np.isfinite(labels))
    if not reason and len(rows) == 0:
        reason = f"{target} is unknown for all {int(scored.sum())} scored videos"
    return Sample(labels[rows].astype(np.int64), scores[rows], rows, cell.bootstrap, settings.confidence, reason)


def clip_sample(evidence: Evidence, cell: Cell, settings: EvaluationSettings, condition: str) -> Sample:
    """Return the scored clips of a cell that have a label; clips of one group are drawn together."""
    clips = evidence.clips[condition]
    place = cell.place[clips.video]
    rows = np.flatnonzero((place >= 0) & np.isfinite(clips.label))
    reason = (
        "" if len(rows) else f"no clip with a label has a score under the condition {describe_condition(condition)}"
    )
    return Sample(
        clips.label[rows].astype(np.int64), clips.logit[rows], place[rows], cell.bootstrap, settings.confidence, reason
    )


BOOKKEEPING = frozenset(
    {
        "corpus",
        "target",
        "donor",
        "original",
        "severity",
        "forgery_family",
        "youtube_id",
        "part",
        "official_split",
        "mask",
        "audio_path",
        "perceptual_hash",
        "container",
    }
)
"""Attributes about where a video came from rather than its content: not broken down."""


def slices(evidence: Evidence, cell: Cell, settings: EvaluationSettings) -> dict[str, NDArray[np.bool_]]:
    """Return slice name → mask (n,) of the cell's videos; a fact with one value only makes no slice."""
    facts = evidence.videos.iloc[cell.videos]
    named = {**fake_slices(facts)}
    compression = facts["compression"].to_numpy()
    named |= _by_value("compression", compression, settings.max_slice_values)
    label = np.nan_to_num(facts["label"].to_numpy(dtype=float), nan=-1)
    names = sorted({name for attributes in facts["attributes"] for name in attributes} - BOOKKEEPING)
    for name in names:
        values = np.array([attributes.get(name, "") for attributes in facts["attributes"]], dtype=object)
        values = _age_groups(values) if demographic(name) == "age group" else values
        masks = _by_value(name, values, settings.max_slice_values)
        # An attribute known for one class only (how a fake was made) gives no AUC.
        named |= masks if any(len(set(label[mask]) - {-1}) == 2 for mask in masks.values()) else {}
    has_audio = facts["has_audio"].to_numpy(dtype=float)
    named |= _by_value("audio", np.select([has_audio == 1, has_audio == 0], ["yes", "no"], "").astype(object), 2)
    for name in BANDS:
        values = banded(name, facts[name].to_numpy(dtype=float))
        masks = {f"{name}={band}": values == band for band in band_names(name) if (values == band).any()}
        named |= masks if len(masks) > 1 else {}
    return named


BANDS = {"speech_share": ((0.2, 0.5, 0.8), ""), "face_size_px": ((64, 128, 256), " px")}
"""Fact of a video → edges of its bands and their unit. Faces under 64 pixels are those of video calls and crowds."""


def band_names(name: str) -> list[str]:
    """Return the names of a fact's bands, lowest first."""
    edges, unit = BANDS[name]
    between = [f"{low:g} to {high:g}{unit}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}{unit}", *between, f"from {edges[-1]:g}{unit}"]


def banded(name: str, values: FloatArray) -> np.ndarray:
    """Return (n,) the name of each value's band, '' where it is unknown."""
    bands = np.array(band_names(name), dtype=object)[np.digitize(np.nan_to_num(values), BANDS[name][0])]
    return np.where(np.isfinite(values), bands, "")


def fake_slices(facts: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return the slices of fakes, each with all reals: `generator=…` and `forged=…`."""
    real = (facts["label"] == 0).to_numpy()
    fake = (facts["label"] == 1).to_numpy()
    generator = facts["generator"].to_numpy()
    named = {f"generator={name}": real | (fake & (generator == name)) for name in sorted(set(generator[fake]) - {""})}
    visual, audio = (facts[name].to_numpy(dtype=float) for name in ("visual_label", "audio_label"))
    audio = np.where(np.isnan(audio) & (facts["has_audio"].to_numpy(dtype=float) == 0), 0.0, audio)
    for name, (visual_label, audio_label) in FORGED.items():
        part = fake & (visual == visual_label) & (audio == audio_label)
        if part.any():
            named[f"forged={name}"] = real | part
    return named


AGES = (18, 30, 45, 60)
"""Edges of age groups, where ages are stated in years."""


def _age_groups(values: np.ndarray) -> np.ndarray:
    """Return (n,) ages in years as groups; values that are groups already stay."""
    years = pd.to_numeric(pd.Series(values).replace("", None), errors="coerce").to_numpy(dtype=float)
    if np.isnan(years[values != ""]).any() or len(set(years[values != ""])) <= len(AGES) + 1:
        return values
    names = [f"under {AGES[0]}", *(f"{low} to {high - 1}" for low, high in pairwise(AGES)), f"from {AGES[-1]}"]
    groups = np.array(names, dtype=object)[np.digitize(np.nan_to_num(years), AGES)]
    return np.where(values != "", groups, "")


def _by_value(name: str, values: np.ndarray, limit: int) -> dict[str, NDArray[np.bool_]]:
    distinct = sorted(set(values) - {""})
    if not 2 <= len(distinct) <= limit:
        return {}
    return {f"{name}={value}": values == value for value in distinct}
