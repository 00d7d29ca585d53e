"""Media facts: unreadable files are counted, an interruption loses nothing, copies and near duplicates are found."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.artefacts import Manifest, Video
from veridical.corpora import Probing, leak_groups, probe_media, probing
from veridical.corpora.hashes import near_duplicate_keys, perceptual_hash
from veridical.errors import UsageError
from veridical.media import MediaFacts


class Probe:
    """Counts calls; files named bad raise."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, path: Path) -> MediaFacts:
        self.calls.append(path.name)
        if path.name.startswith("bad"):
            raise RuntimeError("is not a video")
        return MediaFacts(
            duration_s=2.0, fps=25.0, width=64, height=48, codec="h264", pixel_format="yuv420p", bitrate=None,
            has_audio=not path.name.startswith("mute"), audio_codec=None, audio_rate_hz=None, container="mov",
        )  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    names = ["a.mp4", "bad1.mp4", "bad2.mp4", "mute.mp4"]
    for name in names:
        (tmp_path / name).write_text(name)
    return Manifest.from_videos(
        Video("d", f"d/{name}", str(tmp_path / name), 0, 0, 0, attributes={"keep": "me"}) for name in names
    )


def test_facts_are_filled_in_and_failures_counted(manifest: Manifest) -> None:
    result = probe_media(manifest, probe=Probe())
    a, bad, _, mute = result.manifest.videos()
    assert (a.has_audio, a.fps, a.width, a.audio_label) == (True, 25.0, 64, 0)
    assert a.attributes == {"keep": "me", "container": "mov"}
    assert a.sha256 == hashlib.sha256(b"a.mp4").hexdigest()
    assert (bad.has_audio, bad.duration_s, bad.sha256) == (None, None, None)
    assert (mute.has_audio, mute.audio_label) == (False, None)
    assert [(n.reason, n.count) for n in result.unreadable] == [("cannot be read: is not a video", 2)]


def test_an_interrupted_probe_goes_on_where_it_was(manifest: Manifest, tmp_path: Path) -> None:
    journal = tmp_path / "out.jsonl"
    whole = probe_media(manifest, probe=Probe(), journal=journal)
    lines = journal.read_text().splitlines()
    done = {Path(json.loads(line)["path"]).name for line in lines[:2]}
    journal.write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])
    probe = Probe()
    again = probe_media(manifest, probe=probe, journal=journal)
    assert set(probe.calls) == {"a.mp4", "bad1.mp4", "bad2.mp4", "mute.mp4"} - done
    assert again.manifest.fingerprint == whole.manifest.fingerprint
    last = Probe()
    probe_media(manifest, probe=last, journal=journal)
    assert last.calls == []
    (tmp_path / "a.mp4").write_text("replaced")
    probe_media(manifest, probe=last, journal=journal)
    assert last.calls == ["a.mp4"]


def test_a_later_run_adds_what_an_earlier_one_was_not_asked_for(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, later = tmp_path / "out.jsonl", Probe()
    monkeypatch.setattr(probing, "_hash_of_frames", lambda path, duration_s: "00ff")
    probe_media(manifest, Probing(content_hash=False, perceptual_hash=True), probe=Probe(), journal=journal)
    probed = probe_media(manifest, probe=later, journal=journal)
    assert later.calls == []
    assert [v.sha256 is not None for v in probed.manifest.videos()] == [True, False, False, True]
    first = next(probed.manifest.videos())
    assert first.attributes == {"keep": "me", "container": "mov", "perceptual_hash": "00ff"}
    (tmp_path / "a.mp4").write_text("replaced")
    again = next(probe_media(manifest, probe=later, journal=journal).manifest.videos())
    assert later.calls == ["a.mp4"]
    assert "perceptual_hash" not in again.attributes


def test_probing_without_workers_is_an_error() -> None:
    with pytest.raises(UsageError, match="workers: expected 1 or more, got 0"):
        Probing(workers=0)


def test_copies_are_one_group(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "mute.mp4").write_text("a.mp4")
    probed = probe_media(manifest, probe=Probe())
    groups = leak_groups(probed.manifest).table["group"].to_pylist()
    assert groups[0] == groups[3] != groups[1]
    assert [(n.reason, n.count) for n in probed.copies] == [("the same file as another; both are in one leak group", 2)]
    contradictory = probe_media(manifest.with_column("label", [0, 0, 0, 1]), probe=Probe())
    assert [(n.reason, n.count) for n in contradictory.copies] == [
        ("the same file as another, with a different label: one of the two is wrong", 2)
    ]
    assert not probe_media(manifest, Probing(content_hash=False), probe=Probe()).copies


def test_perceptual_hash_survives_size_and_noise_and_tells_frames_apart() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (9, 12, 3)).astype(np.float32)
    frame = np.kron(small, np.ones((16, 16, 1))).astype(np.uint8)
    noisy = np.clip(frame[::2, ::2] + rng.normal(0, 3, (72, 96, 3)), 0, 255).astype(np.uint8)
    other = np.kron(rng.integers(0, 255, (9, 12, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    hashes = [perceptual_hash([one]) for one in (frame, noisy, other)]
    first, second, third = near_duplicate_keys(pa.array(hashes), 6).to_pylist()
    assert first == second != third


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=6), st.integers(0, 2**64 - 1))
def test_all_near_hashes_meet(value: int, flips: set[int], stranger: int) -> None:
    near = value
    for bit in flips:
        near ^= 1 << bit
    keys = near_duplicate_keys(pa.array([f"{value:016x}", f"{near:016x}", None]), 6).to_pylist()
    assert keys[0] == keys[1]
    assert keys[2] is None
    if (value ^ stranger).bit_count() > 6:
        keys = near_duplicate_keys(pa.array([f"{value:016x}", f"{stranger:016x}"]), 6).to_pylist()
        assert keys[0] != keys[1]
