"""Clips: the store of prepared windows, and how to read, write, join, label and check it."""

from veridical.clips.clip import SAMPLE_RATE_HZ, SPEECH_STEP_S, Clip
from veridical.clips.contents import CONTENTS, FLOW_STATISTICS, MOUTH_FPS, MOUTH_SIZE, Content
from veridical.clips.encoding import EncodedClip, clip_schema, decode_clips, decode_frames, encode_clips
from veridical.clips.facts import content_facts
from veridical.clips.joined import join_stores
from veridical.clips.labels import LABELS, label_clips
from veridical.clips.ledger import STATUSES, LedgerEntry, Status
from veridical.clips.remote import copy_store
from veridical.clips.settings import StoreSettings
from veridical.clips.store import ClipStore, reading_table
from veridical.clips.verify import verify
from veridical.clips.writer import ClipWriter

__all__ = [
    "CONTENTS",
    "FLOW_STATISTICS",
    "LABELS",
    "MOUTH_FPS",
    "MOUTH_SIZE",
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
    "join_stores",
    "label_clips",
    "reading_table",
    "verify",
]
