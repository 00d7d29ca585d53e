"""Verification of a store: every clip decodes, is whole and agrees with its video's ledger row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from veridical import progress
from veridical.clips.clip import Clip
from veridical.clips.encoding import content_digest, decode_clips
from veridical.clips.settings import StoreSettings
from veridical.clips.store import ClipStore

ROWS_AT_ONCE = 256


def verify(store: ClipStore) -> list[str]:
    """Return the problems of a store, one line each; empty when ledger and clips agree and every frame decodes."""
    ledger, index = store.ledger(), store.index()
    problems = [f"{video_id}: has two ledger rows" for video_id in ledger["video_id"][ledger["video_id"].duplicated()]]
    counts = index.groupby("video_id").size()
    strangers = sorted(set(counts.index) - set(ledger["video_id"]))
    problems += [f"{video_id}: {counts[video_id]} clips without a ledger row" for video_id in strangers]
    twice = index[index.duplicated(["video_id", "start_s", "person"])]
    problems += [f"{row.video_id}: two clips start at {row.start_s:g} s" for row in twice.itertuples()]
    columns = (ledger["video_id"], ledger["status"], ledger["num_clips"], ledger["digest"])
    for video_id, status, num_clips, digest in progress.track(list(zip(*columns, strict=True)), "verify", unit="video"):
        problems += _video_problems(store, video_id, status, num_clips, digest)
    return problems


def _video_problems(store: ClipStore, video_id: str, status: str, num_clips: int, digest: str) -> Iterator[str]:
    rows = store.rows_of(video_id)
    if len(rows) != num_clips:
        yield f"{video_id}: the ledger says {num_clips} clips, the store has {len(rows)}"
    if (status == "ok") != (len(rows) > 0):
        yield f"{video_id}: status {status} with {len(rows)} clips"
    if not len(rows):
        return
    table = store.take_table(rows)
    if content_digest(table) != digest:
        yield f"{video_id}: the content of its clips is not what was written (digest differs)"
    for first in range(0, len(rows), ROWS_AT_ONCE):
        try:
            clips = decode_clips(table.slice(first, ROWS_AT_ONCE))
        except ValueError as error:
            yield f"{video_id}: a clip does not decode ({error})"
            continue
        for clip in clips:
            yield from _clip_problems(clip, store.settings)


def _clip_problems(clip: Clip, settings: StoreSettings) -> Iterator[str]:
    where = f"{clip.video_id} at {clip.start_s:g} s"
    expected = (settings.num_frames, settings.crop_size, settings.crop_size, 3)
    if clip.frames.shape != expected:
        yield f"{where}: frames have shape {clip.frames.shape}, expected {expected}"
    if clip.samples is not None and len(clip.samples) != settings.num_samples:
        yield f"{where}: {len(clip.samples)} samples, expected {settings.num_samples}"
    if clip.mouths is not None and len(clip.mouths) != settings.num_mouths:
        yield f"{where}: {len(clip.mouths)} mouth crops, expected {settings.num_mouths}"
    if clip.flow is not None and not np.isfinite(clip.flow).all():
        yield f"{where}: flow is not finite"
    if not np.isfinite(clip.landmarks).all():
        yield f"{where}: landmarks are not finite"
