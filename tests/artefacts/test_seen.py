"""What a detector remembers of its training, and which videos it recognises."""

from __future__ import annotations

from pathlib import Path

import pytest

from veridical.artefacts import Manifest, Seen, Video
from veridical.errors import ArtefactError

TRAINED = Manifest.from_videos(
    [
        Video("a", "1", "1.mp4", 0, split="train", identities=("Ann",), sha256="f1"),
        Video("a", "2", "2.mp4", 1, split="val", identities=("Bob",)),
        Video("a", "3", "3.mp4", 1, split="test", identities=("Eve",)),
    ]
)
CLIPS = {"1": "c1", "2": "c2", "3": "c3"}


@pytest.mark.parametrize(
    ("video", "clip", "expected"),
    [
        (Video("a", "1", "x", 0), "", "training"),
        (Video("a", "1", "x", 0, sha256="other"), "", "new"),
        (Video("b", "renamed", "x", 0, sha256="f1"), "", "training"),
        (Video("b", "renamed", "x", 0), "c1", "training"),
        (Video("a", "2", "x", 1, sha256="f2"), "", "validation"),
        (Video("a", "4", "x", 1, identities=("Ann",)), "c4", "people"),
        (Video("b", "4", "x", 1, identities=("Ann",)), "c4", "new"),
        (Video("a", "3", "x", 1, identities=("Eve",)), "c3", "new"),
    ],
)
def test_videos_are_recognised_by_name_file_clip_and_people(
    video: Video, clip: str, expected: str, tmp_path: Path
) -> None:
    Seen.of(TRAINED, CLIPS).write(tmp_path / "seen.json")
    seen = Seen.read(tmp_path / "seen.json")
    assert seen.compare(Manifest.from_videos([video]), {video.video_id: clip}) == {video.video_id: expected}


def test_the_file_names_nobody(tmp_path: Path) -> None:
    Seen.of(TRAINED, CLIPS).write(tmp_path / "seen.json")
    text = (tmp_path / "seen.json").read_text()
    assert "Ann" not in text
    assert "f1" not in text.split('"')


def test_models_joined_have_seen_what_either_has() -> None:
    first, second = (Seen.of(TRAINED.select(split=name), CLIPS) for name in ("train", "val"))
    assert first.joined(second) == Seen.of(TRAINED, CLIPS)
    assert first.compare_file("f1") == "training"
    assert first.compare_file("f2") == "new"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seen.json").write_text('{"kind": "seen", "schema_version": 1}')
    with pytest.raises(ArtefactError, match="damaged record"):
        Seen.read(tmp_path / "seen.json")
