"""What a store and a manifest add to an evaluation: properties of the judged clips, pictures of the worst videos, statistics."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from veridical.artefacts import Manifest, write_json
from veridical.clips import ClipStore, content_facts
from veridical.corpora import statistics
from veridical.evaluation.evaluation import Evaluation

THUMBNAIL_PX = 112
_JPEG_QUALITY = 85


def look_at_clips(stores: Sequence[ClipStore], manifest: Manifest, clips_per_video: int = 2) -> pd.DataFrame:
    """Return the content properties of the first clips of the videos that are judged (test, or without a split)."""
    facts = manifest.frame(["video_id", "split"])
    judged = set(facts.loc[facts["split"].isna() | (facts["split"] == "test"), "video_id"])
    return pd.concat([content_facts(store, judged, clips_per_video) for store in stores], ignore_index=True)


def attach(folder: Path, evaluation: Evaluation, stores: Sequence[ClipStore], manifest: Manifest | None) -> None:
    """Write `thumbnails.json` and `statistics.json` beside the figures.

    Args:
        folder: Of the evaluation.
        evaluation: Says which videos are the worst.
        stores: Clips of the judged videos; none: no pictures.
        manifest: The judged videos; None: no statistics.
    """
    if stores:
        write_json(folder / "thumbnails.json", thumbnails(evaluation.facts["failures"], stores))
    if manifest is None:
        return
    found = []
    for dataset in sorted(set(manifest.table["dataset"].to_pylist())):
        videos = manifest.select(dataset=dataset)
        holding = [
            store for store in stores if store.index()["video_id"].isin(videos.table["video_id"].to_pylist()).any()
        ]
        clips = pd.concat([store.index() for store in holding], ignore_index=True) if holding else None
        ledger = pd.concat([store.ledger() for store in holding], ignore_index=True) if holding else None
        frames = holding[0].settings.num_frames if holding else 5
        found.append({"name": dataset, **statistics(videos, clips, ledger=ledger, frames_per_clip=frames).to_json()})
    write_json(folder / "statistics.json", found)


def thumbnails(failures: Sequence[Mapping[str, object]], stores: Sequence[ClipStore]) -> dict[str, str]:
    """Return video_id → the middle face of its most wrongly judged clip, as JPEG in base64, where a store holds it."""
    found: dict[str, str] = {}
    for failure in failures:
        name = str(failure["video_id"])
        for store in stores:
            rows = store.rows_of(name)
            if len(rows):
                clip = store.take([_worst_row(failure, store, rows)])[0]
                found[name] = _jpeg(clip.frames[len(clip.frames) // 2])
                break
    return found


def _worst_row(failure: Mapping[str, object], store: ClipStore, rows: np.ndarray) -> int:
    """Return the row of the clip that was judged worst; the first for a detector that scores whole videos."""
    timeline = failure["timeline"]
    assert isinstance(timeline, list)
    if not timeline:
        return int(rows[0])
    sign = -1 if failure["label"] else 1
    start_s = max(timeline, key=lambda point: sign * point[1])[0]
    starts = store.index().set_index("row").loc[rows, "start_s"].to_numpy()
    return int(rows[np.argmin(np.abs(starts - start_s))])


def _jpeg(frame: np.ndarray) -> str:
    small = cv2.resize(frame, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode("ascii")
