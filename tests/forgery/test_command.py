"""`veridical forge` from the shell's point of view."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from veridical.artefacts import Manifest, Video
from veridical.cli.forge import forge as command
from veridical.errors import UsageError
from veridical.forgery import FORGERIES, reading
from veridical.media import write_video


@pytest.fixture
def run(tmp_path, footage_of, monkeypatch):
    known = footage_of(0, num_frames=16)
    monkeypatch.setattr(
        reading, "track_landmarks", lambda frames: (known.landmarks[: len(frames)], np.ones(len(frames), bool))
    )
    videos = []
    for person in (0, 1):
        footage = footage_of(person, num_frames=16)
        path = tmp_path / f"{person}.mp4"
        write_video(path, footage.frames, fps=25, samples=footage.samples)
        videos.append(Video("d", f"d/{person}", str(path), label=0, identities=(str(person),), split="train"))
    Manifest.from_videos(videos).write(tmp_path / "in.parquet")
    app = typer.Typer()
    app.command()(command)

    def invoke(*arguments: str):
        return CliRunner().invoke(
            app, [str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out"), "--workers", "0", *arguments]
        )

    return invoke


def test_it_writes_videos_and_a_manifest_and_counts_them(run, tmp_path):
    result = run("--method", "self_blend", "--method", "lip_dub", "--severity", "0.3", "--compression", "c30")
    assert result.exit_code == 0, result.output
    manifest = Manifest.read(tmp_path / "out" / "manifest.parquet")
    rows = list(manifest.videos())
    assert sorted((row.generator or "real") for row in rows) == ["real", "real", "self_blend", "self_blend"]
    assert {row.attributes["severity"] for row in rows if row.label} == {"0.300"}
    lines = {line.split("│")[1].strip(): line for line in result.output.splitlines() if line.startswith("│")}
    assert lines["real"].split("│")[2:4] == [" 2     ", " 2   "]
    assert lines["lip_dub"].rstrip(" │").endswith("2"), "no donor, counted"
    assert (tmp_path / "out" / "outcomes.csv").read_text().count("no_donor") == 2


def test_levels_from_the_shell(run, tmp_path):
    result = run("--method", "self_blend", "--compression", "c0, c40")
    assert result.exit_code == 0, result.output
    rows = list(Manifest.read(tmp_path / "out" / "manifest.parquet").videos())
    assert (
        sorted((row.label, row.compression) for row in rows)
        == [(0, "c0")] * 2 + [(0, "c40")] * 2 + [(1, "c0")] * 2 + [(1, "c40")] * 2
    )
    assert run("--method", "self_blend", "--compression", "c0,c40").exit_code == 0, "the same corpus may go on"


def test_nothing_forged_is_an_error_that_says_why(run, tmp_path):
    result = run("--method", "lip_dub")
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    reason = "no_donor: no suitable other video of the same speaker in split train"
    assert f"none of 2 videos could be forged; 2 of them {reason}" in str(result.exception)
    assert (tmp_path / "out" / "outcomes.csv").read_text().count("no_donor") == 2
    assert not (tmp_path / "out" / "manifest.parquet").exists()


@pytest.mark.parametrize("severity", ["much", "0.1-", "2", "0.9-0.1"])
def test_a_wrong_severity_is_refused(run, severity):
    result = run("--method", "self_blend", "--severity", severity)
    if severity == "0.1-":
        assert result.exit_code == 0, "an open range is the number itself"
    else:
        assert "severity" in str(result.exception)


def test_the_list_names_every_forgery(run):
    result = run("--list")
    assert result.exit_code == 0
    assert all(name in result.output for name in FORGERIES)
