"""From a store to a ScoreTable: every clip of the chosen splits under every condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from veridical import progress
from veridical.artefacts import Manifest, ScoreTable
from veridical.clips import ClipStore
from veridical.clips.inputs import clip_inputs
from veridical.clips.loader import iter_batches
from veridical.errors import UsageError
from veridical.inference.bundle import Bundle
from veridical.inference.conditions import CONDITIONS, condition_logits

_FACTS = ["dataset", "split", "generator", "compression", "group", "attributes", "label", "visual_label", "audio_label"]


def score_store(
    bundle: Bundle,
    store: ClipStore,
    manifest: Manifest,
    *,
    splits: Sequence[str] = (),
    conditions: tuple[str, ...] = CONDITIONS,
    batch: int = 32,
) -> ScoreTable:
    """Score the clips of a store.

    Args:
        bundle: The detector.
        store: Prepared clips; must have been prepared as the model wants them.
        manifest: Labels and splits; clips of videos that it does not know are left out.
        splits: Only these splits; empty means every video, in a split or not.
        conditions: Some of `CONDITIONS`.
        batch: Clips at a time.

    Returns:
        A row per clip and condition. `p_fake` is set for `joint` when the model is calibrated.

    Raises:
        UsageError: when store and model do not fit, or no clip is left to score.
    """
    check_fit(bundle, store)
    clips = _chosen_clips(store, manifest, splits)
    rows = clips["row"].to_numpy()
    batches = [rows[i : i + batch].tolist() for i in range(0, len(rows), batch)]
    parts: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = {name: [] for name in conditions}
    device = bundle.detector.video.mean.device
    with progress.task("score", total=len(rows), unit="clip") as task:
        for read in iter_batches(store, batches):
            inputs = clip_inputs(read, bundle.facts.inputs)
            with torch.inference_mode():
                features = bundle.detector.features(
                    inputs.frames.to(device), inputs.samples.to(device), inputs.has_audio.to(device)
                )
            for name, values in condition_logits(bundle.detector, features, conditions).items():
                parts[name].append(values)
            task.advance(len(read))
    return _table(clips, {name: np.concatenate(values) for name, values in parts.items()}, bundle)


def check_fit(bundle: Bundle, store: ClipStore) -> None:
    """Refuse a store that was prepared otherwise than the model's own.

    Raises:
        UsageError: naming each fact that differs.
    """
    wanted = bundle.facts.preparation.model_dump()
    found = store.settings.model_dump()
    names = ("fps", "window_s", "crop_scale", "crop_size")
    differing = [f"{name} {found[name]} (model: {wanted[name]})" for name in names if found[name] != wanted[name]]
    if differing:
        raise UsageError(
            f"{store.path}: prepared otherwise than the model wants: {', '.join(differing)}; prepare it anew"
        )


def _chosen_clips(store: ClipStore, manifest: Manifest, splits: Sequence[str]) -> pd.DataFrame:
    facts = manifest.frame(["video_id", *_FACTS])
    if splits:
        facts = facts[facts["split"].isin(list(splits))]
    clips = store.index().merge(facts, on="video_id", how="inner", validate="many_to_one").sort_values("row")
    if clips.empty:
        where = f" in split {', '.join(splits)}" if splits else ""
        raise UsageError(f"{store.path}: no clip belongs to a video of the manifest{where}; nothing to score")
    return clips.reset_index(drop=True)


def _table(
    clips: pd.DataFrame, logits: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], bundle: Bundle
) -> ScoreTable:
    calibration = bundle.facts.calibration
    frames = []
    for condition, values in logits.items():
        frame = clips[["video_id", "start_s", *_FACTS, "speech_share"]].assign(condition=condition, logit=values)
        frame["p_fake"] = expit(values / calibration.temperature) if calibration and condition == "joint" else np.nan
        frames.append(frame)
    return ScoreTable.from_frame(pd.concat(frames, ignore_index=True))
