"""Clips: the store of prepared windows, and how to read and write it."""

from veridical.clips.clip import SAMPLE_RATE_HZ, SPEECH_STEP_S, Clip
from veridical.clips.contents import CONTENTS, FLOW_STATISTICS, MOUTH_FPS, MOUTH_SIZE, Content
from veridical.clips.ledger import STATUSES, LedgerEntry, Status
from veridical.clips.remote import copy_store
from veridical.clips.settings import StoreSettings
from veridical.clips.store import ClipStore
from veridical.clips.verify import verify
from veridical.clips.writer import ClipWriter

__all__ = [
    "CONTENTS",
    "FLOW_STATISTICS",
    "MOUTH_FPS",
    "MOUTH_SIZE",
    "SAMPLE_RATE_HZ",
    "SPEECH_STEP_S",
    "STATUSES",
    "Clip",
    "ClipStore",
    "ClipWriter",
    "Content",
    "LedgerEntry",
    "Status",
    "StoreSettings",
    "copy_store",
    "verify",
]
