"""scan, split, stats and audit as they are typed, on real files: good ones, a text file called .mp4, an empty one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from veridical.artefacts import Manifest, Video
from veridical.cli.audit import audit
from veridical.cli.scan import scan
from veridical.cli.split import split
from veridical.cli.stats import stats
from veridical.errors import UsageError
from veridical.media import write_video


def run(*arguments: object) -> Result:
    app = typer.Typer()
    for command in (scan, split, stats, audit):
        app.command(command.__name__)(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for person in range(6):
        base = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        for kind in ("real", "fake/swap"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            sound = None if kind != "real" else rng.integers(-3000, 3000, 16_000).astype(np.float32) / 32768
            write_video(root / kind / f"s{person}.mp4", [base] * 25, fps=25, samples=sound)
    (root / "real/s7.mp4").write_text("this is no video")
    (root / "real/s8.mp4").touch()
    return root


def test_scan_split_stats(folder: Path, tmp_path: Path) -> None:
    manifest, divided = tmp_path / "m.parquet", tmp_path / "s.parquet"
    scanned = run("scan", "folder", folder, "-o", manifest, "--probe", "--perceptual-hash", "--fakes", "visual",
                  "--identity-pattern", r"(?P<identity>s\d)\.")  # fmt: skip
    assert scanned.exit_code == 0, scanned.output
    assert scanned.output.count("cannot be read") == 2
    facts = {video.video_id.split("/", 1)[1]: video for video in Manifest.read(manifest).videos()}
    assert (facts["real/s0"].has_audio, facts["fake/swap/s0"].has_audio, facts["real/s7"].has_audio) == (
        True,
        False,
        None,
    )
    assert len(facts["real/s0"].attributes["perceptual_hash"]) == 48
    assert not (tmp_path / "m.parquet.probe.jsonl").exists()
    done = run("split", manifest, "-o", divided, "--fractions", "0.5,0.25,0.25", "--strict")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "s.parquet.proof.json").read_text())["clean"] is True
    assert set(Manifest.read(divided).table["split"].to_pylist()) == {"train", "val", "test"}
    figures = json.loads(run("stats", divided, "--json").output)["totals"]
    assert (figures["videos"], figures["with_sound"], figures["without_sound"], figures["sound_unknown"]) == (
        14,
        6,
        6,
        2,
    )
    assert "swap" in run("stats", divided).output


def test_strict_scan_and_wrong_use(folder: Path, tmp_path: Path) -> None:
    assert (
        run("scan", "folder", folder, "-o", tmp_path / "m.parquet", "--probe", "--no-hash", "--strict").exit_code == 1
    )
    wrong = run("scan", "celebdf", folder, "-o", tmp_path / "m.parquet")
    assert isinstance(wrong.exception, UsageError)
    assert "Celeb-real" in str(wrong.exception)
    assert isinstance(
        run("split", tmp_path / "m.parquet", "-o", tmp_path / "s.parquet", "--fractions", "most").exception, UsageError
    )


@pytest.mark.parametrize("option", [["--workers", "2"], ["--no-hash"], ["--hash"], ["--perceptual-hash"]])
def test_options_of_probe_are_refused_without_it(option: list[str], folder: Path, tmp_path: Path) -> None:
    wrong = run("scan", "folder", folder, "-o", tmp_path / "m.parquet", *option)
    assert isinstance(wrong.exception, UsageError)
    assert "add --probe" in str(wrong.exception)


def test_wrong_files_are_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    (tmp_path / "folder").mkdir()
    scanned = run("scan", "folder", folder, "-o", tmp_path / "folder", "--probe")
    assert "expected the name of a file to write" in str(scanned.exception)
    Manifest.from_videos([Video("w", "w/1", "v.mp4", 0)]).write(tmp_path / "one.parquet")
    for command in ("stats", "audit"):
        assert "none in split 'val'" in str(run(command, tmp_path / "one.parquet", "--split", "val").exception)
        assert "scan csv" in str(run(command, tmp_path / "list.csv").exception)
        assert "not a clip store (no store.json)" in str(run(command, tmp_path / "folder").exception)
        assert "no such manifest or clip store" in str(run(command, tmp_path / "nothing").exception)
    Manifest.from_videos([Video("w", "w/1", "v.mp4", 0)]).write(tmp_path / "folder/m.parquet")
    assert "m.parquet" in str(run("stats", tmp_path / "folder").exception)
    assert "expected a manifest file; in it: m.parquet" in str(
        run("split", tmp_path / "folder", "-o", "x.parquet").exception
    )
    assert "unknown split 'tets'" in str(run("stats", tmp_path / "folder/m.parquet", "--split", "tets").exception)


def test_a_scan_without_probe_leaves_the_journal_of_an_interrupted_one(folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "m.parquet.probe.jsonl"
    journal.write_text("{}\n")
    assert run("scan", "folder", folder, "-o", tmp_path / "m.parquet").exit_code == 0
    assert journal.exists()
    assert run("scan", "folder", folder, "-o", tmp_path / "m.parquet", "--probe").exit_code == 0
    assert not journal.exists()


def test_audit_says_when_nothing_could_be_judged(tmp_path: Path) -> None:
    Manifest.from_videos([Video("w", "w/1", "v.mp4", 0)]).write(tmp_path / "m.parquet")
    assert "nothing was testable; this does not count as a pass" in run("audit", tmp_path / "m.parquet").output


def test_audit_exits_with_one_on_a_leak(tmp_path: Path) -> None:
    videos = [
        Video("w", f"w/{person}/{fake}", "v.mp4", fake, fake, None, generator="g" if fake else None, has_audio=not fake,
              identities=(f"p{person}",), fps=25.0)
        for person in range(40) for fake in (0, 1)
    ]  # fmt: skip
    Manifest.from_videos(videos).write(tmp_path / "m.parquet")
    leaking = run("audit", tmp_path / "m.parquet")
    assert leaking.exit_code == 1
    assert "leaks: has_audio" in leaking.output
    assert run("audit", tmp_path / "m.parquet", "--accept-leak", "has_audio").exit_code == 0
    plain = json.loads(run("audit", tmp_path / "m.parquet", "--json").output)
    assert plain["leaks"] == ["has_audio", "all that the model sees"]


def test_audit_says_what_splits_share_and_lack(tmp_path: Path) -> None:
    parts = ("train", "train", "val", "test")
    videos = [
        Video("w", f"w/{person}/{kind}", "v.mp4", int(kind > 0), generator=f"g{kind}" if kind else None,
              identities=(f"p{person}",), split=parts[person % 4], has_audio=True, fps=25.0)
        for person in range(16) for kind in range(3)
    ]  # fmt: skip
    path = tmp_path / "m.parquet"

    def audited(changed: list[Video], *arguments: str) -> Result:
        Manifest.from_videos(changed).write(path)
        return run("audit", path, *arguments)

    clean = audited(videos)
    assert clean.exit_code == 0, clean.output
    assert "no two splits share" in clean.output
    shared = [replace(video, split="test") if video.video_id == "w/0/1" else video for video in videos]
    found = audited(shared)
    assert found.exit_code == 1
    assert "LEAK train/test: 1 × the same identity, 3 videos" in found.output
    assert run("audit", path, "--accept-leak", "identity").exit_code == 0
    copy = replace(videos[0], video_id="w/copy", identities=(), sha256="a" * 64, split="val")
    doubled = audited([replace(videos[0], sha256="a" * 64), *videos[1:], copy], "--json")
    leaks = {leak["link"]: leak["keys"] for leak in json.loads(doubled.output)["splits"]["leaks"] if leak["keys"]}
    assert (doubled.exit_code, leaks) == (1, {"sha256": 1})
    lacking = audited([video for video in videos if (video.split, video.generator) != ("train", "g2")])
    assert lacking.exit_code == 0, "it may have been held out on purpose"
    assert "train of w has no video of 'g2' (other splits: 8)" in lacking.output


@pytest.mark.parametrize("command", ["audit", "stats"])
def test_a_second_manifest_is_refused_where_it_would_take_the_place_of_the_first(command: str, tmp_path: Path) -> None:
    Manifest.from_videos([Video("w", "w/1", "v.mp4", 0)]).write(tmp_path / "m.parquet")
    wrong = run(command, tmp_path / "m.parquet", "--manifest", tmp_path / "m.parquet")
    assert isinstance(wrong.exception, UsageError)
    assert "goes with a clip store" in str(wrong.exception)
