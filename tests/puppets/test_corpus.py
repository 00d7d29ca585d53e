"""Corpora on disk: rows, files, resuming, and folders that hold something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from veridical.artefacts import Manifest
from veridical.errors import UsageError
from veridical.media import probe
from veridical.puppets import render_corpus


def _render(folder: Path, **changes: object) -> Manifest:
    values: dict[str, object] = {
        "name": "pup", "num_identities": 2, "videos_per_identity": 1, "duration_s": 0.6, "family": "a", "seed": 3, "workers": 1
    }  # fmt: skip
    return render_corpus(folder, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("puppets")
    return folder, _render(folder)


def test_rows_say_what_the_files_hold(corpus: tuple[Path, Manifest]) -> None:
    folder, manifest = corpus
    videos = list(manifest.videos())
    assert [video.video_id for video in videos] == ["pup/pup-000/000", "pup/pup-001/000"]
    assert Manifest.read(folder / "manifest.parquet").fingerprint == manifest.fingerprint
    for video in videos:
        assert (video.label, video.visual_label, video.audio_label) == (0, 0, 0)
        assert video.identities == (video.group,)
        facts = probe(Path(video.path))
        assert (facts.width, facts.height) == (video.width, video.height)
        assert facts.codec == "h264"
        assert facts.audio_codec == "aac"
        assert facts.fps == pytest.approx(25)
        assert facts.duration_s == pytest.approx(video.duration_s, abs=0.1)
        assert {"voice", "hair", "glasses", "skin", "age", "family"} <= set(video.attributes)


def test_finished_videos_are_kept_and_missing_ones_made_alike(corpus: tuple[Path, Manifest]) -> None:
    folder, manifest = corpus
    kept, lost = (Path(video.path) for video in manifest.videos())
    before, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    again = _render(folder)
    assert again.fingerprint == manifest.fingerprint
    assert kept.stat().st_mtime_ns == stamp
    assert lost.read_bytes() == before


def test_a_corpus_can_grow(corpus: tuple[Path, Manifest], tmp_path: Path) -> None:
    folder, manifest = corpus
    shutil.copytree(folder, tmp_path / "grown")
    grown = _render(tmp_path / "grown", num_identities=3)
    assert len(grown) == 3
    assert [video.attributes for video in grown.videos()][:2] == [video.attributes for video in manifest.videos()]


def test_a_folder_of_other_puppets_is_refused(corpus: tuple[Path, Manifest]) -> None:
    with pytest.raises(UsageError, match="made with other settings"):
        _render(corpus[0], seed=4)


@pytest.mark.parametrize("name", ["num_identities", "videos_per_identity", "workers"])
def test_numbers_must_be_positive(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        _render(tmp_path, **{name: 0})


@pytest.mark.slow
def test_workers_do_not_change_the_result(tmp_path: Path) -> None:
    files = []
    for workers in (1, 2):
        manifest = _render(tmp_path / str(workers), workers=workers, videos_per_identity=2)
        files.append([Path(video.path).read_bytes() for video in manifest.videos()])
    assert len(files[0]) == 4
    assert files[0] == files[1]
