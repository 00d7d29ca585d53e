"""Risks that lie in the data: leaks across splits, and shortcuts, properties that separate the classes without being content.

Shortcuts (properties of the files, of the face boxes, of the audio) come from `corpora.audit` of each test set. Many properties
are tried, so one is flagged only where it exceeds the threshold after Holm's correction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from veridical.artefacts import LEARNED, PEOPLE, SELECTED
from veridical.corpora import PROPERTIES, attribute_column, leak_groups
from veridical.evaluation.figures import Figure, rank_figures
from veridical.evaluation.slices import Cell, video_sample
from veridical.evaluation.verdicts import Measurements, Risk, unmeasured, verdict


def leaks_across_splits(measured: Measurements) -> Iterator[Risk]:
    """Leak groups with videos in training or validation and in test."""
    yield _shared(
        measured,
        "group",
        "identity leak across splits",
        "leak groups of the test split",
        "a manifest with leak groups in a test split and in training or validation is needed",
        "split again over leak groups: veridical split --scheme repaired",
    )


def duplicates_across_splits(measured: Measurements) -> Iterator[Risk]:
    """Files with the same content in training or validation and in test."""
    yield _shared(
        measured,
        "sha256",
        "duplicates across splits",
        "test files, identical byte for byte",
        "a manifest with content hashes in a test split and in training or validation is needed: scan with --probe",
        "drop one of each pair and split again",
    )


def near_duplicates_across_splits(measured: Measurements) -> Iterator[Risk]:
    """Videos with the same perceptual hash in training or validation and in test."""
    name, mitigation = "near duplicates across splits", "inspect the pairs; drop one of each and split again"
    manifest = measured.manifest
    if manifest is None or attribute_column(manifest, "perceptual_hash").null_count == len(manifest):
        needed = "a manifest with perceptual hashes is needed: scan with --probe --perceptual-hash"
        yield unmeasured(name, 0.0, needed, mitigation)
        return
    videos = leak_groups(manifest, links=("perceptual_hash",)).frame(["split", "group"])
    before = set(videos.loc[videos["split"].isin(["train", "val"]), "group"])
    test = set(videos.loc[videos["split"] == "test", "group"])
    shared = float(len(before & test))
    note = f"{shared:.0f} of {len(test)} groups of videos that look alike in the test split"
    yield verdict(name, Figure(shared, shared, shared), 0.0, mitigation, note=note)


def _shared(measured: Measurements, fact: str, name: str, noun: str, needed: str, mitigation: str) -> Risk:
    """Return the row of a fact that must not have the same value on both sides of the split."""
    videos = measured.evidence.videos
    videos = videos[videos[fact] != ""]
    before = set(videos.loc[videos["split"].isin(["train", "val"]), fact])
    test = set(videos.loc[videos["split"] == "test", fact])
    if not before or not test:
        return unmeasured(name, 0.0, needed, mitigation)
    shared = float(len(before & test))
    return verdict(name, Figure(shared, shared, shared), 0.0, mitigation, note=f"{shared:.0f} of {len(test)} {noun}")


def seen_in_training(measured: Measurements) -> Iterator[Risk]:
    """Test videos that the detector was trained on, or that show people of its training."""
    mitigation = "judge on other videos, with people that training did not see"
    for cell in measured.test_sets:
        name = f"seen in training ({cell.dataset})"
        videos = measured.evidence.videos.iloc[cell.videos]
        known = videos.loc[videos["seen"] != "", "seen"]
        if not len(known):
            needed = "what the detector was trained on is not known: score it with its run, or trust its makers"
            yield unmeasured(name, 0.0, needed, mitigation)
            continue
        counts = {word: int((known == word).sum()) for word in (LEARNED, SELECTED, PEOPLE)}
        share = sum(counts.values()) / len(known)
        note = (
            f"of {len(known)} test videos the detector learned from {counts[LEARNED]}, was selected on {counts[SELECTED]}, and"
            f" knows people of {counts[PEOPLE]} more"
        )
        yield verdict(name, Figure(share, share, share), 0.0, mitigation, note=note)


def presence_of_audio(measured: Measurements, cell: Cell) -> Risk:
    """AUC of the mere presence of an audio track."""
    name, mitigation = f"presence of audio ({cell.dataset})", "give both classes an audio track, or neither"
    limit = measured.settings.thresholds.shortcut_auc
    facts = measured.evidence.videos["has_audio"].to_numpy(dtype=float)
    sample = video_sample(measured.evidence, cell, measured.settings, condition=measured.evidence.primary, logits=facts)
    if len(sample.labels) == 0:
        return unmeasured(name, limit, "has_audio is not known for any video", mitigation)
    figure = rank_figures(sample, ("auc",))["auc"]
    if figure.evaluable and figure.value < 0.5:
        figure = rank_figures(replace(sample, logits=-sample.logits), ("auc",))["auc"]
    same = len(set(sample.logits)) == 1
    note = f"has_audio is the same for all {len(sample.logits)} videos" if same else "AUC of has_audio alone"
    note = note if figure.evaluable else ""
    return verdict(name, figure, limit, mitigation, note=note, no_fault=0.5)


FROM_FILES = "the files were not probed: scan with --probe and give the manifest"
FROM_CLIPS = "the clips were not measured: give the clip store with --on"
SEEN, UNSEEN = "all that the model sees", "all that only the file shows"
JITTER = "jitter patterns"
SHORTCUTS: dict[str, tuple[tuple[str, ...], str]] = {
    "file properties": (
        (UNSEEN, *(name for name, facts in PROPERTIES.items() if facts.about == "file" and not facts.reaches_model)),
        FROM_FILES,
    ),
    "leading silence": (("speech_onset_s",), FROM_CLIPS),
    "crop scale and place": (("box_size_px", "box_x", "box_y", "box_aspect"), FROM_CLIPS),
    JITTER: (("landmark_jitter", "box_jitter"), FROM_CLIPS),
    "face-detector failure": (("detector_score", "interpolated", "prepared"), FROM_CLIPS),
    "light, blur and loudness": (
        ("brightness", "contrast", "sharpness", "jpeg_grid", "loudness_dbfs", "speech_share", SEEN),
        FROM_CLIPS,
    ),
}
"""Risk → the properties of `corpora.audit` that it is about, and what is needed to measure them."""


def shortcuts(measured: Measurements) -> Iterator[Risk]:
    """AUC of properties that are not content, each tried as a detector of its own on every test set."""
    for cell in measured.test_sets:
        audited = measured.audits.get(cell.dataset)
        for risk, (names, needed) in SHORTCUTS.items():
            row = _shortcut(measured, f"{risk} ({cell.dataset})", names, needed, audited)
            yield _by_generator(row, names, audited) if risk == JITTER and audited is not None else row


def _by_generator(risk: Risk, names: tuple[str, ...], audited: pd.DataFrame) -> Risk:
    """Return a risk whose reason gives the AUC of each property on the fakes of each generator."""
    parts = []
    for row in audited[audited["property"].isin(names) & (audited["target"] == "label")].to_dict(orient="records"):
        areas = row["by_generator"] if isinstance(row["by_generator"], dict) else {}
        if areas:
            parts.append(f"{row['property']}: " + ", ".join(f"{name} {area:.3f}" for name, area in areas.items()))
    return replace(risk, reason="; ".join([risk.reason, *parts]))


def _shortcut(
    measured: Measurements, name: str, properties: tuple[str, ...], needed: str, audited: pd.DataFrame | None
) -> Risk:
    limit = measured.settings.thresholds.shortcut_auc
    tried = audited[audited["property"].isin(properties)] if audited is not None else None
    if tried is None or (tried["verdict"] == "unknown").all() or not len(tried):
        known = tried is not None and tried["property"].isin(PROPERTIES).any()
        reasons = [] if tried is None else [reason for reason in tried["reason"] if "not known" not in reason]
        reason = reasons[0] if known and reasons else needed
        return unmeasured(name, limit, reason, "remove or equalise the property, then test again")
    tried = tried[tried["verdict"] != "unknown"]
    flagged = tried[tried["verdict"].isin(["leak", "warns"])]
    row = (flagged if len(flagged) else tried).sort_values("auc").iloc[-1]
    by_generator = len(flagged) > 0 and row["auc"] <= limit
    area = float(row["generator_auc"] if by_generator else row["auc"])
    low, high = (np.nan, np.nan) if by_generator else (float(row["low"]), float(row["high"]))
    where = f" on fakes of {row['generator']}" if by_generator else ""
    note = f"highest of {len(tried)}: {row['property']}{where}, AUC {area:.3f}, p = {row['p_adjusted']:.2g} after Holm"
    return Risk(
        risk=name,
        figure=area,
        low=low,
        high=high,
        threshold=limit,
        verdict="FLAG" if len(flagged) else "PASS" if high <= limit else "UNDECIDED",
        certain=bool(low > limit if len(flagged) else high <= limit),
        crossed=bool(area > limit),
        groups_needed=0,
        reason=note,
        mitigation=row["advice"] or "none needed",
    )
