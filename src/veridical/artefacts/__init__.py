"""The seams: the tables and folders that pass between rooms, each with a schema version, a validator and a fingerprint."""

from veridical.artefacts.csv_files import numbered_rows, read_csv
from veridical.artefacts.files import (
    atomic_folder,
    atomic_path,
    check_file_name,
    check_writable,
    file_sha256,
    file_stamp,
    fingerprint,
    is_out_of_room,
    out_of_room,
    read_json,
    write_json,
)
from veridical.artefacts.folders import (
    check_folder,
    check_settings,
    claim_folder,
    lock_for_reading,
    lock_for_writing,
    locked,
)
from veridical.artefacts.manifest import LABELS, MANIFEST_SCHEMA, SPLITS, FakeSegment, Manifest, Video
from veridical.artefacts.scores import ScoreTable
from veridical.artefacts.seen import LEARNED, NEW, PEOPLE, SELECTED, Seen

__all__ = [
    "LABELS",
    "LEARNED",
    "MANIFEST_SCHEMA",
    "NEW",
    "PEOPLE",
    "SELECTED",
    "SPLITS",
    "FakeSegment",
    "Manifest",
    "ScoreTable",
    "Seen",
    "Video",
    "atomic_folder",
    "atomic_path",
    "check_file_name",
    "check_folder",
    "check_settings",
    "check_writable",
    "claim_folder",
    "file_sha256",
    "file_stamp",
    "fingerprint",
    "is_out_of_room",
    "lock_for_reading",
    "lock_for_writing",
    "locked",
    "numbered_rows",
    "out_of_room",
    "read_csv",
    "read_json",
    "write_json",
]
