"""The seams: the tables and folders that pass between rooms, each with a schema version, a validator and a fingerprint."""

from veridical.artefacts.files import atomic_folder, atomic_path, check_file_name, fingerprint, read_json, write_json
from veridical.artefacts.manifest import FakeSegment, Manifest, Video
from veridical.artefacts.scores import ScoreTable

__all__ = [
    "FakeSegment",
    "Manifest",
    "ScoreTable",
    "Video",
    "atomic_folder",
    "atomic_path",
    "check_file_name",
    "fingerprint",
    "read_json",
    "write_json",
]
