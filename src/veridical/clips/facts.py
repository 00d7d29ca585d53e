"""Content properties of a store's clips, for the audit and for the risk register: light, blur, level, onset, box."""

from __future__ import annotations

import pandas as pd

from veridical.clips.store import ClipStore
from veridical.corpora import clip_facts
from veridical.progress import track


def content_facts(store: ClipStore, video_ids: set[str], clips_per_video: int = 3) -> pd.DataFrame:
    """Decode the first clips of each of the videos and measure them.

    Args:
        store: Prepared clips.
        video_ids: Videos to look at; those that the store does not hold are left out.
        clips_per_video: Clips decoded of each.

    Returns:
        video_id, start_s and the columns of `corpora.clip_facts`, a row per clip.
    """
    index = store.index()
    index = index[index["video_id"].isin(video_ids)]
    rows = index.groupby("video_id", sort=False).head(clips_per_video)["row"].to_numpy()
    found = []
    for start in track(range(0, len(rows), 64), "look at clips", unit="batch"):
        for clip in store.take(rows[start : start + 64]):
            facts = clip_facts(clip.frames, clip.boxes, clip.detector_score, clip.samples, clip.speech, clip.start_s)
            found.append({"video_id": clip.video_id, "start_s": clip.start_s, **facts})
    return pd.DataFrame(found) if found else pd.DataFrame({"video_id": []})
