"""Clips: the store of prepared windows, and how to read, write, join, label and check it."""

from veridical.clips.clip import SAMPLE_RATE_HZ, SPEECH_STEP_S, Clip
from veridical.clips.contents import (
    CONTENTS,
    FLOW_REGIONS,
    FLOW_STATISTICS,
    MOUTH_FPS,
    MOUTH_SIZE,
    NUM_DENSE_LANDMARKS,
    Content,
)
from veridical.clips.encoding import (
    EncodedClip,
    clip_schema,
    decode_clips,
    decode_frames,
    encode_clips,
    encode_frames,
    encode_grey,
)
from veridical.clips.facts import CLIPS_PER_VIDEO, content_facts, first_clip_hashes
from veridical.clips.joined import join_stores
from veridical.clips.labels import label_clips
from veridical.clips.ledger import STATUSES, LedgerEntry, Status
from veridical.clips.remote import copy_store
from veridical.clips.settings import StoreSettings
from veridical.clips.store import FACTS_FILE, MANIFEST_FILE, ClipStore, reading_table
from veridical.clips.verify import verify
from veridical.clips.writer import COMMIT_SECONDS, ClipWriter

__all__ = [
    "CLIPS_PER_VIDEO",
    "COMMIT_SECONDS",
    "CONTENTS",
    "FACTS_FILE",
    "FLOW_REGIONS",
    "FLOW_STATISTICS",
    "MANIFEST_FILE",
    "MOUTH_FPS",
    "MOUTH_SIZE",
    "NUM_DENSE_LANDMARKS",
    "SAMPLE_RATE_HZ",
    "SPEECH_STEP_S",
    "STATUSES",
    "Clip",
    "ClipStore",
    "ClipWriter",
    "Content",
    "EncodedClip",
    "LedgerEntry",
    "Status",
    "StoreSettings",
    "clip_schema",
    "content_facts",
    "copy_store",
    "decode_clips",
    "decode_frames",
    "encode_clips",
    "encode_frames",
    "encode_grey",
    "first_clip_hashes",
    "join_stores",
    "label_clips",
    "reading_table",
    "verify",
]
